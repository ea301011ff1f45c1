"""What a run folder, and the command line, want of every job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pandas as pd

from cellwright.errors import CellwrightError
from cellwright.jobs.asked import Asked
from cellwright.jobs.estimator import Estimator, Hooks

__all__ = ["Data", "Job"]


class Data(Protocol):
    """What a run learns from and is tested on."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def fingerprint(self) -> str:
        """A digest of all of it, to tell whether two runs had the same."""


Model = TypeVar("Model", bound=Estimator)
Given = TypeVar("Given", bound=Data)


class Job(ABC, Generic[Model, Given]):
    """How one kind of job is done from data to result.

    Attributes
    ----------
    estimator
        What learns.
    files
        Names of the pictures and tables that `finish` may write beside model, metrics and
        learning curve.
    """

    estimator: type[Model]
    files: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def read(self, asked: Asked) -> Given:
        """Read data to learn from, with a test part.

        Raises
        ------
        DataError
            The source is unknown or malformed; the message names file and line.
        """

    @abstractmethod
    def facts(self, data: Given) -> dict[str, Any]:
        """What is told of the data when a run starts: ``{"train": 1437, "test": 360, …}``."""

    def remarks(self, data: Given) -> list[str]:
        """What a user should know of the data before the training."""
        return []

    @abstractmethod
    def fit(self, model: Model, data: Given, hooks: Hooks) -> None:
        """Train on the training part: ``model.fit(…, **hooks)``."""

    @abstractmethod
    def finish(self, model: Model, data: Given, folder: Path) -> dict[str, Any]:
        """Test the model, and write its pictures into the folder.

        Returns
        -------
        dict
            Measures on the test part, the one that counts first.
        """

    @abstractmethod
    def read_samples(self, asked: Asked) -> Any:
        """Read what a trained model is used on; a named data set's test part."""

    @abstractmethod
    def test_part(self, data: Given) -> Any:
        """The test part of a run's own data, as `read_samples` returns samples."""

    @abstractmethod
    def predictions(self, model: Model, samples: Any, *, probabilities: bool) -> pd.DataFrame:
        """A row for each prediction; further columns of probabilities, or bounds, if asked."""

    @abstractmethod
    def scores(self, model: Model, samples: Any) -> tuple[dict[str, Any], str]:
        """Measures, the one that counts first, and a report for people."""

    def refuse_probabilities(self, what: str) -> CellwrightError:
        """The error where `predictions` has no probabilities to show."""
        return CellwrightError(f"{what} has no probabilities; leave out --probabilities")
