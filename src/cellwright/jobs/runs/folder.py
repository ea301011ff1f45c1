"""A run folder: everything a job wrote, and enough to repeat it.

==================  ===========================================================
``config.yaml``     what was asked for: job, data, options
``metrics.csv``     a row for each epoch
``checkpoint.*``    the training after its last epoch, or where Ctrl-C ended it
``model.cw``        the trained model
``result.json``     the test's result; a run that has one is finished
``*.png``           pictures
==================  ===========================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cellwright.errors import RunError
from cellwright.jobs.model_file import MODEL_FILE
from cellwright.storage import json_text, replace_file

try:
    # Not filelock, which would leave a file of its own in every run folder.
    import fcntl
except ImportError:  # another system: two processes are not told apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["RunFolder", "next_folder"]

# In the order in which they are removed: what is left never looks like a finished run.
_FIRST = ("result.json",)
_THEN = (
    *("learning_curve.png", MODEL_FILE),
    *("checkpoint.safetensors", "metrics.csv", "config.yaml"),
)


class RunFolder:
    """A folder that holds one run, or will.

    Attributes
    ----------
    path
        The folder.
    own
        Names of the files that the job adds.
    """

    def __init__(self, path: Path, own: Sequence[str] = ()) -> None:
        self.path, self.own = path, tuple(own)

    def of_job(self, own: Sequence[str]) -> RunFolder:
        """The same folder, of a job that adds these files."""
        return RunFolder(self.path, own)

    @property
    def _files(self) -> tuple[str, ...]:
        return (*_FIRST, *self.own, *_THEN)

    @property
    def config_file(self) -> Path:
        """What was asked for."""
        return self.path / "config.yaml"

    @property
    def checkpoint(self) -> Path:
        """The training, as far as it is kept."""
        return self.path / "checkpoint.safetensors"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / MODEL_FILE

    @property
    def finished(self) -> bool:
        """Whether there is a result, be it one that cannot be read."""
        return (self.path / "result.json").exists()

    @property
    def learning_curve(self) -> Path:
        """Loss and accuracy by epoch."""
        return self.path / "learning_curve.png"

    def files(self) -> list[str]:
        """What a person looks at: model, settings, numbers, pictures."""
        named = (MODEL_FILE, "config.yaml", "metrics.csv", "learning_curve.png", *self.own)
        return [name for name in named if (self.path / name).exists()]

    def check_free(self) -> None:
        """Raise a `RunError` if the folder holds a run."""
        found = self._found()
        if found:
            raise RunError(
                f"{self.path} already holds a run ({found[-1]}); --resume goes on with it, "
                f"--overwrite replaces it, --out names another folder"
            )

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Make the folder, and keep other processes out; one that was made goes if it stays empty.

        Raises
        ------
        RunError
            It cannot be made, or another process works there.
        """
        made = [place for place in (self.path, *self.path.parents) if not place.exists()]
        try:
            try:
                self.path.mkdir(parents=True)
            except FileExistsError:
                if not self.path.is_dir():
                    raise
                made = []  # maybe by another process, just now
            lock = None if fcntl is None else os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise RunError(f"{self.path} cannot be made: {error.strerror}") from error
        try:
            self._lock(lock)
            yield
        finally:
            with suppress(OSError):  # what is not empty stays
                for place in made:
                    place.rmdir()
            if lock is not None:
                os.close(lock)

    def _lock(self, folder: int | None) -> None:
        if folder is None:
            return
        with suppress(OSError):  # a file system that knows no locks
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"another process is working on {self.path}") from error

    def clear(self, earlier: Sequence[str] = ()) -> None:
        """Remove any run; files that are no run's stay.

        Parameters
        ----------
        earlier
            Names of the files that the job of an earlier run has added.
        """
        either = self.of_job(sorted({*self.own, *earlier}))
        for name in either._found():
            (self.path / name).unlink()
        either.remove_leftovers()

    def _found(self) -> list[str]:
        return [name for name in self._files if (self.path / name).exists()]

    def remove_leftovers(self) -> None:
        """Remove files that a process was writing when it was killed."""
        for name in self._files:
            for half in self.path.glob(f".{name}.*"):
                half.unlink(missing_ok=True)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write what was asked for."""
        replace_file(self.config_file, yaml.safe_dump(dict(config), sort_keys=False))

    def write_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a row for each epoch."""
        table = pd.DataFrame(rows)
        replace_file(self.path / "metrics.csv", table.to_csv(index=False))

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the result, which marks the run as finished; a measure without a number is null."""
        replace_file(self.path / "result.json", json_text(result, indent=2) + "\n")

    def read_result(self) -> dict[str, Any] | None:
        """The result of a finished run, else None."""
        path = self.path / "result.json"
        try:
            return {**json.loads(path.read_text(encoding="utf-8")), "run": str(self.path)}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{path} cannot be read: {error}") from error


def next_folder(parent: Path, stem: str, *, last: bool = False) -> Path:
    """The numbered folder name behind all that are taken, or the last one that is taken."""
    taken = [path.name.removeprefix(f"{stem}-") for path in parent.glob(f"{escape(stem)}-*")]
    greatest = max((int(end) for end in taken if end.isdecimal() and len(end) >= 3), default=0)
    return parent / f"{stem}-{greatest if last and greatest else greatest + 1:03d}"
