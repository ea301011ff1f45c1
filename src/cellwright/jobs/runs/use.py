"""Using a trained model on data that are named or lie in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cellwright.errors import DataError, RunError
from cellwright.jobs.asked import Asked
from cellwright.jobs.estimator import Estimator
from cellwright.jobs.registry import job_of
from cellwright.jobs.runs.config import read_config, reading_of
from cellwright.jobs.runs.folder import RunFolder

__all__ = ["predictions", "samples", "scores"]


def samples(
    model: Estimator, run: Path, data: str | None, data_dir: Path | None, **reading: Any
) -> Any:
    """The samples asked for, or the test part of what a run was trained on.

    Parameters
    ----------
    model
        What was loaded from there.
    run
        A run folder, or a model file.
    data
        A named data set (its test part), a path, or None for the run's own.
    data_dir
        Folder of a named data set; None for where the run has read the one of that name.
    **reading
        Reading options of the job that differ from those of the run.

    Raises
    ------
    RunError
        The run has no data of its own.
    DataError
        The data are unknown or malformed, or the run's own have changed since.
    """
    folder, job = RunFolder(run), job_of(model.job)
    config = read_config(folder.config_file) if folder.config_file.exists() else None
    known = config.reading if config is not None else {}
    if data is not None:
        checked = reading_of(model.job, known | reading)
        if data_dir is None and config is not None and data == config.data and config.data_dir:
            data_dir = Path(config.data_dir)
        return job.read_samples(Asked(data, data_dir, checked, model.reading_options()))
    if config is None:
        raise RunError(f"{run} is not a run folder with data of its own; give --data")
    if data_dir is not None:
        config = config.model_copy(update={"data_dir": str(data_dir)})
    dataset = config.read_data()
    learned = (folder.read_result() or {}).get("data_fingerprint")
    if learned not in (None, dataset.fingerprint):
        raise DataError(
            f"{config.data} has changed since {run} was trained on it; name the data that are "
            f"meant with --data"
        )
    return job.test_part(dataset)


def predictions(model: Estimator, given: Any, *, probabilities: bool = False) -> pd.DataFrame:
    """A row for each prediction, as the job lays them out."""
    return job_of(model.job).predictions(model, given, probabilities=probabilities)


def scores(model: Estimator, given: Any) -> tuple[dict[str, Any], str]:
    """Measures, the one that counts first, and a report for people.

    Raises
    ------
    DataError
        There is nothing to score against, or a label was never seen in training.
    """
    return job_of(model.job).scores(model, given)
