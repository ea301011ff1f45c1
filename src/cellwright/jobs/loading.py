"""Reading a model back, whichever job wrote it."""

from __future__ import annotations

from pathlib import Path

from cellwright.errors import CellwrightError, ModelFileError
from cellwright.jobs import model_file
from cellwright.jobs.classify import SequenceClassifier

__all__ = ["ESTIMATORS", "load"]

ESTIMATORS = {"classify": SequenceClassifier}


def load(path: str | Path) -> SequenceClassifier:
    """Read a trained model.

    Parameters
    ----------
    path
        A model file, or a run folder that holds one.

    Raises
    ------
    ModelFileError
        The file is missing, truncated, foreign or contradicts itself. Nothing in it is ever
        executed, whatever it holds.
    """
    description, tensors = model_file.read(Path(path))
    if description.job not in ESTIMATORS:
        raise ModelFileError(f"{path}: made by a job {description.job!r} that is not known here")
    try:
        return ESTIMATORS[description.job].restore(description, tensors)
    except (CellwrightError, RuntimeError, OverflowError, TypeError, ValueError) as error:
        # What the description says cannot be built, or not of these tensors.
        raise ModelFileError(f"{path}: contradicts itself: {error}") from error
