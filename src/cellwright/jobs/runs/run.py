"""A whole job from data to result, in a run folder that can be resumed and repeated."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from cellwright.errors import CellwrightError, RunError
from cellwright.jobs.estimator import Estimator, Hooks
from cellwright.jobs.job import Data, Job
from cellwright.jobs.registry import job_of
from cellwright.jobs.runs.config import RunConfig, configure, read_config
from cellwright.jobs.runs.folder import RunFolder
from cellwright.jobs.training.ranks import is_first
from cellwright.jobs.training.reporting import Reporter
from cellwright.look.pictures import draw_learning_curve, save_picture
from cellwright.nn.counting import count_learned

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
        Go on with the run that is there: where Ctrl-C ended it, or, if it was killed, from
        its last finished epoch; start where there is none.
    overwrite
        Replace a run that is there.
    reporter
        Is told of progress.

    Returns
    -------
    dict
        ``{"job", "test": {measure: value}, "seconds", "run", …}``; nothing in a process that
        is not the first of several.

    Raises
    ------
    RunError
        The folder holds a run and neither `resume` nor `overwrite` is set, another process
        works on it, or the run that is to go on was started with other options; the message
        names the first.
    DataError, SettingError, TrainingError
        Data or options cannot be used.
    """
    # Of several processes the first has the word.
    reporter = (reporter if is_first() else None) or Reporter()
    config = configure(job=config.job, **config.settings)
    with folder.occupied() if is_first() else nullcontext():
        return _run(config, folder, resume, overwrite, reporter)


def _run(
    config: RunConfig, folder: RunFolder, resume: bool, overwrite: bool, reporter: Reporter
) -> dict[str, Any]:
    job: Job[Estimator, Data] = job_of(config.job)
    folder = folder.of_job(job.files)
    going_on = resume and folder.config_file.exists()
    if going_on:
        _check_unchanged(read_config(folder.config_file), config)
        if finished := _result(folder):
            reporter.note(f"{folder.path} is finished already")
            reporter.finished(finished)
            return finished
        if is_first():
            folder.remove_leftovers()
    elif not overwrite:
        folder.check_free()
        if resume:
            reporter.note(f"nothing to resume in {folder.path}; starting a new run")
    dataset = config.read_data()
    for remark in job.remarks(dataset):
        reporter.note(remark)
    created = False

    def start() -> None:
        nonlocal created
        if not going_on:
            folder.clear(_earlier_files(folder))
            created = True
            folder.write_config(config.model_dump())
        reporter.started(_started(config, dataset.name, job.facts(dataset), folder))

    model = job.estimator(**config.estimator_options)
    hooks = Hooks(
        checkpoint=folder.checkpoint,
        resume=going_on,
        reporter=reporter,
        on_start=start,
        on_epoch=folder.write_metrics,
    )
    try:
        job.fit(model, dataset, hooks)
    except CellwrightError:
        # Without a finished epoch there is nothing to go on with.
        if created and not folder.checkpoint.exists():
            folder.clear()
        raise
    if not is_first():
        return {}
    reporter.testing()
    result = _finish(config, job, model, dataset, folder)
    reporter.finished(result)
    return result


def _result(folder: RunFolder) -> dict[str, Any] | None:
    """What a run that is to go on came to, if it is finished."""
    try:
        return folder.read_result()
    except RunError as error:
        raise RunError(f"{error}; delete it, and --resume writes it anew") from error


def _earlier_files(folder: RunFolder) -> Sequence[str]:
    """What the job of a run that is to be replaced has added."""
    try:
        return job_of(read_config(folder.config_file).job).files
    except RunError:  # there is none, or none that can be read
        return ()


def _check_unchanged(stored: RunConfig, wanted: RunConfig) -> None:
    if stored.job != wanted.job:
        raise RunError(f"the run is of the job {stored.job!r}, not {wanted.job!r}")
    for name, value in stored.settings.items():
        if wanted.settings[name] != value:
            raise RunError(
                f"the run was started with {name}={value!r}, not {wanted.settings[name]!r}; "
                f"resume it as it is, or start another one"
            )


def _started(
    config: RunConfig, data: str, facts: dict[str, Any], folder: RunFolder
) -> dict[str, Any]:
    network = {}
    if "cell" in config.options:
        network = {"cell": config.cell_name, "layers": config.options["layers"]}
    return {"job": config.job, "data": data, **facts, **network, "run": str(folder.path)}


def _finish(
    config: RunConfig,
    job: Job[Estimator, Data],
    model: Estimator,
    dataset: Data,
    folder: RunFolder,
) -> dict[str, Any]:
    folder.write_metrics(model.history_)
    model.save(folder.model)
    save_picture(draw_learning_curve(model.history_), folder.learning_curve)
    test = job.finish(model, dataset, folder.path)
    result: dict[str, Any] = {
        "job": config.job,
        "data": dataset.name,
        "test": test,
        "parameters": count_learned(model.network_),
        "epochs": len(model.history_),
        "seconds": round(sum(row["seconds"] for row in model.history_), 3),
        "data_fingerprint": dataset.fingerprint,
        "files": folder.files(),
        "run": str(folder.path),
    }
    folder.write_result(result)
    return result
