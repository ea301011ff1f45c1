"""A run folder: everything a job wrote, and enough to repeat it.

==================  ===========================================================
``config.yaml``     what was asked for: job, data, options
``metrics.csv``     a row for each epoch
``checkpoint``      the training after its last finished epoch, for ``--resume``
``model.cw``        the trained model
``result.json``     the test's result; a run that has one is finished
``*.png``           pictures
==================  ===========================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cellwright.errors import RunError
from cellwright.jobs.model_file import MODEL_FILE
from cellwright.storage import replace_file

__all__ = ["RunFolder", "next_folder"]

_FILES = ("config.yaml", "metrics.csv", "checkpoint.safetensors", MODEL_FILE, "result.json")


class RunFolder:
    """A folder that holds one run, or will.

    Attributes
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config_file(self) -> Path:
        """What was asked for."""
        return self.path / "config.yaml"

    @property
    def checkpoint(self) -> Path:
        """The training after its last finished epoch."""
        return self.path / "checkpoint.safetensors"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / MODEL_FILE

    @property
    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return any((self.path / name).exists() for name in _FILES)

    def create(self, *, overwrite: bool) -> None:
        """Make the folder, empty of any run.

        Raises
        ------
        RunError
            It holds a run and `overwrite` is false, or it cannot be made.
        """
        if self.holds_run and not overwrite:
            raise RunError(
                f"{self.path} already holds a run; --resume goes on with it, --overwrite replaces "
                f"it, --out names another folder"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path} cannot be made: {error}") from error
        for name in _FILES:
            (self.path / name).unlink(missing_ok=True)
        for picture in self.path.glob("*.png"):
            picture.unlink()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write what was asked for."""
        replace_file(self.config_file, yaml.safe_dump(dict(config), sort_keys=False))

    def read_config(self) -> dict[str, Any]:
        """Read what was asked for.

        Raises
        ------
        RunError
            There is no readable configuration.
        """
        try:
            config = yaml.safe_load(self.config_file.read_text())
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise RunError(f"{self.path} holds no run that can be read: {error}") from error
        if not isinstance(config, dict):
            raise RunError(f"{self.config_file} is not the configuration of a run")
        return config

    def write_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a row for each epoch."""
        table = pd.DataFrame(rows)
        replace_file(self.path / "metrics.csv", table.to_csv(index=False))

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the result, which marks the run as finished."""
        replace_file(self.path / "result.json", json.dumps(result, indent=2) + "\n")

    def read_result(self) -> dict[str, Any] | None:
        """The result of a finished run, else None."""
        try:
            result = json.loads((self.path / "result.json").read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / 'result.json'} cannot be read: {error}") from error
        return dict(result)


def next_folder(parent: Path, stem: str, *, last: bool = False) -> Path:
    """The first numbered folder name that is free, or the last one that is taken."""
    for number in count(1):
        path = parent / f"{stem}-{number:03d}"
        if not path.exists():
            return parent / f"{stem}-{number - 1:03d}" if last and number > 1 else path
    raise AssertionError
