"""What a comparison needs to know of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cellwright.cells.cell import Cell
from cellwright.errors import SettingError, did_you_mean
from cellwright.jobs.runs.folder import RunFolder
from cellwright.jobs.training.reporting import Reporter

__all__ = ["DECIDED", "ComparableJob", "Trial", "allowed", "check_sizes", "own_sizes"]

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
    one_budget
        Whether a budget of seconds takes the place of epochs and samples, and does not stand
        beside them.
    """

    name: str
    settings: dict[str, Any]
    one_budget: bool

    @property
    def subject(self) -> str:
        """What is learned, for people and for the name of a folder."""

    @property
    def data_fingerprint(self) -> str | None:
        """A digest of the data; None where the job draws them itself."""

    def layers(self) -> tuple[int, ...]:
        """Units of each layer where none are matched; none where they depend on the job."""

    def parameters(self, cell: Cell, layers: tuple[int, ...]) -> int:
        """Weights of the whole network that can learn, by building it.

        A `CellwrightError` if that fails.
        """

    def check(self, trial: Trial) -> None:
        """Raise a `CellwrightError` if no training can begin, whatever the seed."""

    def is_run_of(self, trial: Trial, folder: RunFolder) -> bool:
        """Whether the run that lies in a folder, if any, was asked for in these words."""

    def samples_in(self, seconds: float, trial: Trial) -> int | None:
        """Samples that can be learned from in that time; None if the job keeps to it itself.

        What a run needs is compiled when this returns.
        """

    def run(self, trial: Trial, folder: RunFolder, reporter: Reporter) -> None:
        """Do one run in a folder, or go on with it, up to its ``result.json``."""


def own_sizes(cell: Cell, sizes: Mapping[str, int] | None) -> dict[str, int] | None:
    """Those of the sizes that hold for all cells that a cell has."""
    return {name: n for name, n in (sizes or {}).items() if name in cell.graph.symbols} or None


def check_sizes(cells: Sequence[Cell], sizes: Mapping[str, int] | None) -> None:
    """Raise a `SettingError` if no cell has one of the sizes, or one of theirs is not given."""
    known = sorted({name for cell in cells for name in cell.graph.symbols})
    for name in sizes or {}:
        if name not in known:
            raise SettingError(
                f"sizes: no cell has a size {name!r}; sizes of their own: "
                f"{', '.join(known) or 'none'}.{did_you_mean(name, known)}"
            )
    for cell in cells:
        for name in sorted(cell.graph.symbols - (sizes or {}).keys()):
            raise SettingError(
                f"sizes: cell {cell.name!r} has a size {name!r} of its own; give it, in Python "
                f"sizes={{{name!r}: 32}}, on the command line --sizes {name}=32"
            )


def allowed(given: Mapping[str, Any], known: list[str], job: str) -> dict[str, Any]:
    """The options that are given, all of them the job's; else a `SettingError`."""
    for name in given:
        if name in DECIDED:
            raise SettingError(f"{name}: a comparison takes {DECIDED[name]} instead")
        if name not in known:
            raise SettingError(f"{job} has no option {name!r}.{did_you_mean(name, known)}")
    return dict(given)
