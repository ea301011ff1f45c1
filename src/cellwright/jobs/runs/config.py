"""What a run is asked to do, as `config.yaml` keeps it: enough to repeat it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cellwright import cells
from cellwright.errors import (
    CellwrightError,
    RunError,
    SettingError,
    did_you_mean,
    first_problem,
    in_words,
)
from cellwright.jobs.asked import Asked
from cellwright.jobs.options import option_types, validated
from cellwright.jobs.registry import entry_of, job_of
from cellwright.jobs.runs.cell_texts import as_cell, cell_text

__all__ = ["RunConfig", "configure", "read_config", "reading_of"]


class RunConfig(BaseModel):
    """What a run is asked to do; made by `configure`, which knows every option's default.

    Attributes
    ----------
    job
        Name of the job.
    data
        A named data set or a path, as for `cellwright.data.read`.
    data_dir
        Folder of a named data set.
    reading
        Every option of how the job reads its data.
    options
        Every option of the job's estimator; a cell that is not of the zoo is its equations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    job: str = "classify"
    data: str = ""
    data_dir: str | None = None
    reading: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that can be asked for, by name, as `configure` takes it."""
        return self.model_dump(exclude={"job", "reading", "options"}) | self.reading | self.options

    @property
    def estimator_options(self) -> dict[str, Any]:
        """The options as the estimator takes them."""
        if "cell" not in self.options:
            return self.options
        cell = self.options["cell"]
        named = isinstance(cell, str) and cell in cells.names()
        return self.options | {"cell": cell if named else as_cell(cell)}

    @property
    def cell_name(self) -> str:
        """What people call the cell."""
        cell = self.options["cell"]
        return cell if isinstance(cell, str) else str(cell["name"])

    def read_data(self) -> Any:
        """Read the data, as the job reads them."""
        folder = Path(self.data_dir) if self.data_dir is not None else None
        return job_of(self.job).read(Asked(self.data, folder, self.reading, self.options))


def configure(
    data: str | None = None,
    data_dir: str | None = None,
    *,
    job: str = "classify",
    **settings: Any,
) -> RunConfig:
    """A complete, validated configuration; what is not asked for is the default.

    Parameters
    ----------
    data
        A named data set or a path; None for what the job reads by itself.
    data_dir
        Folder of a named data set.
    job
        Name of the job.
    **settings
        Options of the job's estimator and of how it reads data.

    Raises
    ------
    SettingError
        The job or an option is unknown, or an option has a value that is not allowed.
    """
    entry = entry_of(job)
    reading, options = option_types(entry.reading), option_types(entry.options)
    for name in settings:
        if name not in reading and name not in options:
            hint = did_you_mean(name, [*options, *reading])
            raise SettingError(f"there is no option {name!r}.{hint}")
    asked = {name: value for name, value in settings.items() if name in options}
    if "cell" in options:
        cell = asked.get("cell", entry.options().cell)
        asked["cell"] = as_cell(cell)
    checked = validated(entry.options(**asked))
    if "cell" in options:
        checked["cell"] = cell_text(cell)
    data = data or entry.data
    # A run can be used from any folder.
    named = data in (entry.data, *entry.named)
    if not named and (Path(data).suffix or os.sep in data or Path(data).exists()):
        data = str(Path(data).absolute())
    if data_dir is not None:
        data_dir = str(Path(data_dir).absolute())
    try:
        return RunConfig(
            job=job,
            data=data,
            data_dir=data_dir,
            reading=reading_of(job, {n: v for n, v in settings.items() if n in reading}),
            options={name: _plain(value) for name, value in checked.items()},
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingError(f"{first['loc'][0]}={first['input']!r}: {in_words(first)}") from error


def reading_of(job: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All reading options of a job, checked; what is not asked for is the default.

    Raises
    ------
    SettingError
        One is unknown or has a value that is not allowed.
    """
    reading = entry_of(job).reading
    for name in settings:
        if name not in (known := option_types(reading)):
            raise SettingError(f"there is no option {name!r}.{did_you_mean(name, known)}")
    return {name: _plain(value) for name, value in validated(reading(**settings)).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def read_config(path: Path) -> RunConfig:
    """Read a `config.yaml`.

    Raises
    ------
    RunError
        It is missing or not one of ours.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise RunError(f"{path} is not the config.yaml of a run: it is no list of settings")
        config = RunConfig.model_validate(document)
        return configure(job=config.job, **config.settings)
    except ValidationError as error:
        raise RunError(f"{path} is not the config.yaml of a run: {first_problem(error)}") from error
    except RunError:
        raise
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError, yaml.YAMLError, CellwrightError) as error:
        reason = " ".join(str(error).split())  # YAML explains itself on several lines
        raise RunError(f"{path} is not the config.yaml of a run: {reason}") from error
