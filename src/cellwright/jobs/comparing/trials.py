"""What a comparison needs to know of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cellwright.cells.cell import Cell
from cellwright.errors import SettingError, did_you_mean
from cellwright.jobs.runs.folder import RunFolder
from cellwright.jobs.training.reporting import Reporter

__all__ = ["DECIDED", "ComparableJob", "Trial", "allowed"]

# What a comparison decides itself, option -> how the user says it.
DECIDED = {"cell": "cells", "random_state": "seeds", "seed": "seeds"}


@dataclass(frozen=True)
class Trial:
    """One run of a comparison: a cell, its layers, a seed.

    Attributes
    ----------
    cell
        The cell.
    layers
        Units of each layer; none for those that the job chooses.
    seed
        Of everything random.
    samples
        What a budget of seconds means for the cell; None where there is no such budget.
    """

    cell: Cell
    layers: tuple[int, ...]
    seed: int
    samples: int | None = None


class ComparableJob(Protocol):
    """What a comparison needs to know of a job.

    Attributes
    ----------
    name
        What the user calls it.
    settings
        Everything that holds for all cells, as plain data.
    """

    name: str
    settings: dict[str, Any]

    @property
    def subject(self) -> str:
        """What is learned, for people and for the name of a folder."""

    def layers(self) -> tuple[int, ...]:
        """Units of each layer where none are matched; none where they depend on the job."""

    def parameters(self, cell: Cell, layers: tuple[int, ...]) -> int:
        """Weights of the whole network that can learn, by building it.

        A `CellwrightError` if that fails.
        """

    def samples_in(self, seconds: float, trial: Trial) -> int | None:
        """Samples that can be learned from in that time; None if the job keeps to it itself.

        What a run needs is compiled when this returns.
        """

    def run(self, trial: Trial, folder: RunFolder, reporter: Reporter) -> None:
        """Do one run in a folder, or go on with it, up to its ``result.json``."""


def allowed(given: Mapping[str, Any], known: list[str], job: str) -> dict[str, Any]:
    """The options that are given, all of them the job's; else a `SettingError`."""
    for name in given:
        if name in DECIDED:
            raise SettingError(f"{name}: a comparison takes {DECIDED[name]} instead")
        if name not in known:
            raise SettingError(f"{job} has no option {name!r}.{did_you_mean(name, known)}")
    return dict(given)
