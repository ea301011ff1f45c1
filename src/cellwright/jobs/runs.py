"""A whole job from data to result, in a run folder that can be resumed and repeated."""

from __future__ import annotations

from typing import Any

from sklearn.metrics import accuracy_score

from cellwright.data import Dataset
from cellwright.errors import CellwrightError, DataError, RunError
from cellwright.jobs.classify import SequenceClassifier
from cellwright.jobs.reporting import Reporter
from cellwright.jobs.run_config import RunConfig, configure, read_config
from cellwright.jobs.run_folder import RunFolder
from cellwright.look.pictures import draw_confusion, draw_learning_curve, save_picture

__all__ = ["run"]


def run(
    config: RunConfig,
    folder: RunFolder,
    *,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Do a job: read, train, test, and write everything into the folder.

    Parameters
    ----------
    config
        What to do.
    folder
        Where everything is written, once data and options are found to be usable.
    resume
        Go on with the run that is there, from its last finished epoch; start where there
        is none.
    overwrite
        Replace a run that is there.
    reporter
        Is told of progress.

    Returns
    -------
    dict
        ``{"job", "test": {"accuracy"}, "seconds", "run", …}``.

    Raises
    ------
    RunError
        The folder holds a run and neither `resume` nor `overwrite` is set, or the run that
        is to go on was started with other options; the message names the first.
    DataError, SettingError, TrainingError
        Data or options cannot be used.
    """
    reporter = reporter or Reporter()
    config = configure(**config.settings)
    going_on = resume and folder.config_file.exists()
    if going_on:
        _check_unchanged(read_config(folder.config_file), config)
        if finished := folder.read_result():
            reporter.note(f"{folder.path} is finished already")
            reporter.finished(finished)
            return finished
        folder.remove_leftovers()
    elif not overwrite:
        folder.check_free()
        if resume:
            reporter.note(f"nothing to resume in {folder.path}; starting a new run")
    dataset = config.read_data()
    if dataset.train.y is None or dataset.test.y is None:
        raise DataError(f"{dataset.name}: there are no labels to learn")
    untested = set(dataset.train.y.tolist()) - set(dataset.test.y.tolist())
    if untested:
        names = ", ".join(sorted(map(str, untested)))
        reporter.note(f"the test part has no sample of the class {names}; it says nothing of it")
    created = False

    def start() -> None:
        nonlocal created
        if not going_on:
            folder.create()
            created = True
            folder.write_config(config.model_dump())
        reporter.started(_started(config, dataset, folder))

    model = SequenceClassifier(**config.estimator_options)
    try:
        model.fit(
            dataset.train.x,
            dataset.train.y,
            checkpoint=folder.checkpoint,
            resume=going_on,
            reporter=reporter,
            on_start=start,
            on_epoch=folder.write_metrics,
        )
    except CellwrightError:
        # Without a finished epoch there is nothing to go on with.
        if created and not folder.checkpoint.exists():
            folder.undo_create()
        raise
    result = _finish(config, model, dataset, folder)
    reporter.finished(result)
    return result


def _check_unchanged(stored: RunConfig, wanted: RunConfig) -> None:
    for name, value in stored.settings.items():
        if wanted.settings[name] != value:
            raise RunError(
                f"the run was started with {name}={value!r}, not {wanted.settings[name]!r}; "
                f"resume it as it is, or start another one"
            )


def _started(config: RunConfig, dataset: Dataset, folder: RunFolder) -> dict[str, Any]:
    return {
        "job": config.job,
        "data": dataset.name,
        "train": len(dataset.train.x),
        "test": len(dataset.test.x),
        "features": dataset.train.x.features,
        "cell": config.cell_name,
        "layers": config.options["layers"],
        "run": str(folder.path),
    }


def _finish(
    config: RunConfig, model: SequenceClassifier, dataset: Dataset, folder: RunFolder
) -> dict[str, Any]:
    truth = model.known_labels(dataset.test.y)
    predicted = model.predict(dataset.test.x)
    folder.write_metrics(model.history_)
    model.save(folder.model)
    save_picture(draw_learning_curve(model.history_), folder.learning_curve)
    save_picture(draw_confusion(truth, predicted, model.classes_), folder.confusion_matrix)
    result = {
        "job": config.job,
        "data": dataset.name,
        "test": {"accuracy": float(accuracy_score(truth, predicted)), "samples": len(truth)},
        "parameters": sum(weight.numel() for weight in model.network_.parameters()),
        "epochs": len(model.history_),
        "seconds": round(sum(row["seconds"] for row in model.history_), 3),
        "data_fingerprint": dataset.fingerprint,
        "run": str(folder.path),
    }
    folder.write_result(result)
    return result
