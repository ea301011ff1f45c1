"""Using a trained model on data that are named or lie in a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sklearn.metrics import accuracy_score, classification_report

from cellwright.data import Labelled, read, read_samples
from cellwright.errors import DataError, RunError
from cellwright.jobs.classify import SequenceClassifier
from cellwright.jobs.run_config import read_config
from cellwright.jobs.run_folder import RunFolder

__all__ = ["predictions", "samples", "scores"]


def samples(run: Path, data: str | None, data_dir: Path | None) -> Labelled:
    """The samples asked for, or the test part of what a run was trained on.

    Parameters
    ----------
    run
        A run folder, or a model file.
    data
        A named data set (its test part), a path, or None for the run's own.
    data_dir
        Folder of a named data set.

    Raises
    ------
    RunError
        The run has no data of its own.
    DataError
        The data are unknown or malformed, or the run's own have changed since.
    """
    if data is None:
        folder = RunFolder(run)
        if not folder.config_file.exists():
            raise RunError(f"{run} is not a run folder with data of its own; give --data")
        config = read_config(folder.config_file)
        if data_dir is not None:
            config = config.model_copy(update={"data_dir": str(data_dir)})
        dataset = config.read_data()
        learned = (folder.read_result() or {}).get("data_fingerprint")
        if learned not in (None, dataset.fingerprint):
            raise DataError(
                f"{config.data} has changed since {run} was trained on it; name the data that are "
                f"meant with --data"
            )
        return dataset.test
    if data_dir is None and data.endswith((".npz", ".csv")):
        return read_samples(data)
    return read(data, data_dir).test


def predictions(
    model: SequenceClassifier, given: Labelled, *, probabilities: bool = False
) -> pd.DataFrame:
    """A row for each sample: id, prediction, and the probability of each class if asked."""
    chances = model.predict_proba(given.x)
    table: pd.DataFrame = pd.DataFrame(
        {"id": given.ids, "prediction": model.classes_[chances.argmax(1)]}
    )
    if probabilities:
        for column, label in enumerate(model.classes_):
            table[f"probability_{label}"] = chances[:, column]
    return table


def scores(model: SequenceClassifier, given: Labelled) -> tuple[dict[str, float], str]:
    """Accuracy with the number of samples, and a report by class for people.

    Raises
    ------
    DataError
        There are no labels, or one was never seen in training.
    """
    if given.y is None:
        raise DataError("the data have no labels to score against")
    truth, predicted = model.known_labels(given.y), model.predict(given.x)
    report = classification_report(truth, predicted, digits=4, zero_division=0)
    accuracy = float(accuracy_score(truth, predicted))
    return {"accuracy": accuracy, "samples": len(truth)}, str(report)
