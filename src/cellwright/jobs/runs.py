"""A whole job from data to result, in a run folder that can be resumed and repeated."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sklearn.metrics import accuracy_score

from cellwright.cells.cell import Cell
from cellwright.data import Dataset, read
from cellwright.errors import DataError, RunError
from cellwright.jobs.classify import SequenceClassifier
from cellwright.jobs.options import validated
from cellwright.jobs.reporting import Reporter
from cellwright.jobs.run_folder import RunFolder
from cellwright.look.pictures import draw_confusion, draw_learning_curve, save_picture

__all__ = ["RunConfig", "read_config", "run"]


@dataclass(frozen=True)
class RunConfig:
    """What a run is asked to do: enough to repeat it.

    Attributes
    ----------
    job
        Name of the job.
    data
        A named data set or a path, as for `cellwright.data.read`.
    data_dir
        Folder of a named data set.
    test_fraction
        Part of the data kept for the test where they have no test part.
    options
        Every option of the job's estimator.
    """

    job: str = "classify"
    data: str = "digits"
    data_dir: str | None = None
    test_fraction: float = 0.2
    options: dict[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As data for a YAML file."""
        return asdict(self)

    def read_data(self) -> Dataset:
        """Read the data."""
        folder = Path(self.data_dir) if self.data_dir is not None else None
        return read(self.data, folder, test_fraction=self.test_fraction)


def configure(
    model: SequenceClassifier, data: str, data_dir: str | None, test_fraction: float
) -> RunConfig:
    """The configuration of a run of this model on these data, its options validated."""
    options = validated(model)
    if isinstance(options["cell"], Cell):
        raise RunError("a run folder names its cell; fit and save a cell of your own from Python")
    options["layers"] = list(options["layers"])
    return RunConfig("classify", data, data_dir, test_fraction, options)


def read_config(folder: RunFolder) -> RunConfig:
    """The configuration of a run that was started in a folder.

    Raises
    ------
    RunError
        It is missing or not one of ours.
    """
    try:
        config = RunConfig(**folder.read_config())
    except TypeError as error:
        raise RunError(f"{folder.config_file}: {error}") from error
    if config.job != "classify":
        raise RunError(f"{folder.config_file}: there is no job {config.job!r}")
    return config


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
        Where everything is written.
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
        The folder holds a run and neither `resume` nor `overwrite` is set.
    DataError, SettingError, TrainingError
        Data or options cannot be used.
    """
    reporter = reporter or Reporter()
    model = SequenceClassifier(**config.options)
    validated(model)
    if resume and folder.holds_run and (finished := folder.read_result()):
        reporter.note(f"{folder.path} is finished already")
        reporter.finished(finished)
        return finished
    dataset = config.read_data()
    if dataset.train.y is None or dataset.test.y is None:
        raise DataError(f"{dataset.name}: there are no labels to learn")
    if not resume or not folder.config_file.exists():
        folder.create(overwrite=overwrite or resume)
        folder.write_config(config.plain())
    reporter.started(_started(config, dataset, folder))
    model.fit(
        dataset.train.x,
        dataset.train.y,
        checkpoint=folder.checkpoint,
        resume=resume,
        reporter=reporter,
        on_epoch=folder.write_metrics,
    )
    return _finish(config, model, dataset, folder, reporter)


def _started(config: RunConfig, dataset: Dataset, folder: RunFolder) -> dict[str, Any]:
    return {
        "job": config.job,
        "data": dataset.name,
        "train": len(dataset.train.x),
        "test": len(dataset.test.x),
        "features": dataset.train.x.features,
        "cell": config.options["cell"],
        "layers": config.options["layers"],
        "run": str(folder.path),
    }


def _finish(
    config: RunConfig,
    model: SequenceClassifier,
    dataset: Dataset,
    folder: RunFolder,
    reporter: Reporter,
) -> dict[str, Any]:
    truth = model.known_labels(dataset.test.y)
    predicted = model.predict(dataset.test.x)
    folder.write_metrics(model.history_)
    model.save(folder.model)
    save_picture(draw_learning_curve(model.history_), folder.path / "learning_curve.png")
    save_picture(
        draw_confusion(truth, predicted, model.classes_), folder.path / "confusion_matrix.png"
    )
    result = {
        "job": config.job,
        "data": dataset.name,
        "test": {"accuracy": float(accuracy_score(truth, predicted)), "samples": len(truth)},
        "parameters": sum(weight.numel() for weight in model.network_.parameters()),
        "epochs": len(model.history_),
        "seconds": round(sum(row["seconds"] for row in model.history_), 3),
        "run": str(folder.path),
    }
    folder.write_result(result)
    reporter.finished(result)
    return result
