"""Reading a model back, whichever job wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cellwright.errors import CellwrightError, ModelFileError
from cellwright.jobs import model_file
from cellwright.jobs.registry import ENTRIES, job_of

__all__ = ["load"]


def load(path: str | Path) -> Any:
    """Read a trained model: an estimator of the job that wrote it.

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
    if description.job not in ENTRIES:
        raise ModelFileError(f"{path}: made by a job {description.job!r} that is not known here")
    try:
        return job_of(description.job).estimator.restore(description, tensors)
    except (CellwrightError, RuntimeError, OverflowError, TypeError, ValueError) as error:
        # What the description says cannot be built, or not of these tensors.
        raise ModelFileError(f"{path}: contradicts itself: {error}") from error
