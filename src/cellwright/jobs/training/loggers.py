"""Sending the numbers of a training elsewhere, beside `metrics.csv`, which is always there."""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellwright.errors import SettingError, did_you_mean, require_extra
from cellwright.jobs.training.reporting import Progress, Reporter

__all__ = ["LOGGERS", "Logger", "MLflowLogger", "Several", "TensorBoardLogger", "make_loggers"]

# What names of MLflow may not have, such as a file's whose share of right answers is told.
_NOT_IN_NAMES = re.compile(r"[^\w.\- :/]|(?<=/)/+")
_LONGEST_NAME = 250


class Logger(Reporter):
    """A reporter that keeps something open until it is closed.

    The result of a run that was finished before, of which no start and no epoch is told, is
    nothing new.
    """

    def __init__(self) -> None:
        self._description: dict[str, Any] = {}

    def started(self, description: dict[str, Any]) -> None:
        """Keep what the training is, to be written with the first epoch."""
        self._description = description

    def close(self) -> None:
        """Write what is not yet written. What was not finished counts as stopped."""


class TensorBoardLogger(Logger):
    """Writes curves for TensorBoard: ``tensorboard --logdir FOLDER``.

    A training that is resumed goes on with its curves.

    Parameters
    ----------
    folder
        Where to; it is made when there is something to write.

    Raises
    ------
    MissingExtraError
        TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        require_extra("loggers", "tensorboard")
        self.folder = folder
        self._writer: Any = None

    def epoch_finished(self, row: dict[str, Any]) -> None:
        """A point on each curve; its place is the epoch."""
        writer = self._open(row["epoch"])
        for name, value in _numbers(row).items():
            writer.add_scalar(_tag(name), value, row["epoch"])
        writer.flush()

    def finished(self, result: dict[str, Any]) -> None:
        """The measures of the test."""
        if not self._description and self._writer is None:
            return
        writer = self._open(result.get("epochs", 0) + 1)
        for name, value in _numbers(result.get("test", {})).items():
            writer.add_scalar(f"test/{name}", value, result.get("epochs", 0))
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, epoch: int) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 optional, and slow

            # What a killed process wrote of epochs that are done again is not shown.
            self._writer = SummaryWriter(str(self.folder), purge_step=epoch)
            rows = "\n".join(f"| {name} | {value} |" for name, value in self._description.items())
            self._writer.add_text("run", f"| | |\n|---|---|\n{rows}", 0)
        return self._writer


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the stores of MLflow raise all sorts
        raise SettingError(f"log='mlflow': MLflow cannot keep the run: {error}") from error


class MLflowLogger(Logger):
    """Writes a run of MLflow: what was asked for, a point on each curve, the test's measures.

    A training that is resumed goes on with the MLflow run of its folder, if that was not
    finished.

    Parameters
    ----------
    folder
        The run folder, by whose place the run is found again.
    tracking
        Where MLflow keeps runs; None for what MLFLOW_TRACKING_URI says, or its default.
    experiment
        Under which name; None for ``cellwright JOB``.

    Raises
    ------
    MissingExtraError
        MLflow is not installed.
    SettingError
        Raised with an epoch: MLflow has no place to keep the run, or does not reach it.
        Beside other reporters only the first epoch ends the run, see `Several`.
    """

    def __init__(
        self, folder: Path, *, tracking: str | None = None, experiment: str | None = None
    ) -> None:
        super().__init__()
        require_extra("loggers", "mlflow")
        self.folder, self.tracking, self.experiment = folder.absolute(), tracking, experiment
        self._client: Any = None
        self._run = ""

    def epoch_finished(self, row: dict[str, Any]) -> None:
        """A point on each curve; its place is the epoch."""
        self._open(goes_on=row["epoch"] > 1)
        self._log({_tag(name): value for name, value in _numbers(row).items()}, row["epoch"])

    def finished(self, result: dict[str, Any]) -> None:
        """The measures of the test, and the end of the run."""
        if not self._description and self._client is None:
            return
        self._open(goes_on=True)
        test = {f"test/{name}": value for name, value in _numbers(result.get("test", {})).items()}
        self._log(test, result.get("epochs", 0))
        self._end("FINISHED")

    def close(self) -> None:
        """Mark a run that was not finished as stopped."""
        self._end("KILLED")

    def _open(self, goes_on: bool) -> None:
        if self._client is not None:
            return
        from mlflow import MlflowClient  # noqa: PLC0415 optional, and slow

        with _in_words():
            self._client = MlflowClient(tracking_uri=self.tracking)
            try:
                self._begin(goes_on)
            except Exception:
                self._client = None
                raise

    def _begin(self, goes_on: bool) -> None:
        client = self._client
        name = self.experiment or f"cellwright {self._description.get('job', 'training')}"
        found = client.get_experiment_by_name(name)
        place = client.create_experiment(name) if found is None else found.experiment_id
        # A digest, because the words of a search have no way to quote a path.
        mark = hashlib.blake2b(str(self.folder).encode(), digest_size=16).hexdigest()
        if goes_on and (earlier := self._earlier(place, mark)):
            self._run = earlier
            client.update_run(earlier, status="RUNNING")
            return
        tags = {"cellwright.folder": str(self.folder), "cellwright_folder": mark}
        self._run = client.create_run(place, tags=tags, run_name=self.folder.name).info.run_id
        for key, value in self._description.items():
            client.log_param(self._run, key, str(value)[:500])

    def _earlier(self, place: str, mark: str) -> str | None:
        words = f"tags.cellwright_folder = '{mark}'"
        runs = self._client.search_runs([place], words, order_by=["attributes.start_time DESC"])
        unfinished = [run.info.run_id for run in runs if run.info.status != "FINISHED"]
        return unfinished[0] if unfinished else None

    def _log(self, measures: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        with _in_words():
            for name, value in measures.items():
                known = _NOT_IN_NAMES.sub("_", name)[:_LONGEST_NAME]
                self._client.log_metric(self._run, known, value, timestamp=now, step=step)

    def _end(self, status: str) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            with _in_words():
                client.set_terminated(self._run, status)


class Several(Logger):
    """Tells several reporters, one after the other.

    A logger that has kept an epoch and fails later is left out from then on, with a note: a
    store that cannot be reached for a while is no reason to end a training.

    Parameters
    ----------
    reporters
        Whom to tell.
    """

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        super().__init__()
        self.reporters = list(reporters)
        self._kept = False

    def started(self, description: dict[str, Any]) -> None:
        """Tell all."""
        self._tell(lambda reporter: reporter.started(description))

    def advanced(self, progress: Progress) -> None:
        """Tell all."""
        self._tell(lambda reporter: reporter.advanced(progress))

    def epoch_finished(self, row: dict[str, Any]) -> None:
        """Tell all."""
        self._tell(lambda reporter: reporter.epoch_finished(row))
        self._kept = True

    def testing(self) -> None:
        """Tell all."""
        self._tell(lambda reporter: reporter.testing())

    def finished(self, result: dict[str, Any]) -> None:
        """Tell all."""
        self._tell(lambda reporter: reporter.finished(result))

    def note(self, message: str) -> None:
        """Tell all."""
        self._tell(lambda reporter: reporter.note(message))

    def close(self) -> None:
        """Close all that can be closed."""
        self._tell(lambda reporter: getattr(reporter, "close", int)())

    def _tell(self, say: Callable[[Reporter], object]) -> None:
        for reporter in tuple(self.reporters):
            try:
                say(reporter)
            except Exception as error:
                if not (self._kept and isinstance(reporter, Logger)):
                    raise
                self.reporters.remove(reporter)
                self.note(f"{error}; the run goes on without it, metrics.csv has every epoch")


LOGGERS: dict[str, Callable[[Path], Logger]] = {
    "tensorboard": lambda folder: TensorBoardLogger(folder / "tensorboard"),
    "mlflow": MLflowLogger,
}
"""Name -> what makes the logger of a run folder."""


def make_loggers(names: Sequence[str], folder: Path) -> list[Logger]:
    """The loggers of these names, for a run folder.

    Raises
    ------
    SettingError
        A name is unknown, or stands there twice.
    MissingExtraError
        The package that it needs is not installed.
    """
    for number, name in enumerate(names):
        if name not in LOGGERS:
            raise SettingError(
                f"log={name!r}: there is no such logger.{did_you_mean(name, LOGGERS)} Known: "
                f"{', '.join(LOGGERS)}; metrics.csv is always written"
            )
        if name in names[:number]:
            raise SettingError(f"log: {name!r} stands there twice")
    return [LOGGERS[name](folder) for name in names]


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """What can be drawn: numbers, but not the epoch, which is where they are drawn."""
    return {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, (int, float))
        and not isinstance(value, bool)
        and name != "epoch"
        and math.isfinite(value)
    }


def _tag(name: str) -> str:
    """``train_loss`` -> ``train/loss``, so that parts stand in groups."""
    part, _, measure = name.partition("_")
    return f"{part}/{measure}" if part in ("train", "validation") and measure else name
