"""What a recipe of the gallery is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Recipe", "data_folder"]


@dataclass(frozen=True)
class Recipe:
    """One line of the gallery's table: a job on real data, with the number that is asked.

    Attributes
    ----------
    job
        Name of the job.
    name
        What is learned, such as ``"spoken digits"``.
    setting
        Data, split, network and budget, in a line.
    measure
        What is reported, such as ``"accuracy"``.
    asked
        The value that is to be reached.
    lower_is_better
        Whether it is to be reached from above.
    published
        What others report, with the source.
    run
        Seed -> measures: the one reported under `measure`, ``"parameters"``, and whatever else is
        worth keeping. It trains with the public interface.
    seeds
        Which seeds are run; their mean is held against `asked`.
    minutes
        How long one seed took where it was last measured, on two cores.
    folder
        Folder of `data_folder` that it needs; None where it needs none.
    """

    job: str
    name: str
    setting: str
    measure: str
    asked: float
    run: Callable[[int], Mapping[str, float]]
    lower_is_better: bool = False
    published: str = ""
    seeds: tuple[int, ...] = (0, 1, 2)
    minutes: float = 1.0
    folder: str | None = None

    def reached(self, value: float) -> bool:
        """Whether the value is as good as what is asked, or better."""
        return value <= self.asked if self.lower_is_better else value >= self.asked


def data_folder(name: str) -> Path:
    """Where a data set of the gallery lies: CELLWRIGHT_SHARED_DATA, or beside the repository."""
    root = os.environ.get("CELLWRIGHT_SHARED_DATA")
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return (Path(root) if root else beside) / name
