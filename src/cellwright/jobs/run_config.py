"""What a run is asked to do, as `config.yaml` keeps it: enough to repeat it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cellwright import cells
from cellwright.data import Dataset, read
from cellwright.errors import CellwrightError, RunError, SettingError, did_you_mean
from cellwright.jobs.cell_texts import as_cell, cell_text
from cellwright.jobs.classify import SequenceClassifier
from cellwright.jobs.options import validated

__all__ = ["RunConfig", "configure", "read_config"]


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
    test_fraction
        Part of the data kept for the test where they have no test part.
    options
        Every option of the job's estimator; a cell that is not of the zoo is its equations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    job: Literal["classify"] = "classify"
    data: str = "digits"
    data_dir: str | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that can be asked for, by name, as `configure` takes it."""
        return self.model_dump(exclude={"job", "options"}) | self.options

    @property
    def estimator_options(self) -> dict[str, Any]:
        """The options as the estimator takes them."""
        cell = self.options["cell"]
        named = isinstance(cell, str) and cell in cells.names()
        return self.options | {"cell": cell if named else as_cell(cell)}

    @property
    def cell_name(self) -> str:
        """What people call the cell."""
        cell = self.options["cell"]
        return cell if isinstance(cell, str) else str(cell["name"])

    def read_data(self) -> Dataset:
        """Read the data."""
        folder = Path(self.data_dir) if self.data_dir is not None else None
        return read(self.data, folder, test_fraction=self.test_fraction)


def configure(
    data: str = "digits",
    data_dir: str | None = None,
    test_fraction: float = 0.2,
    **options: Any,
) -> RunConfig:
    """A complete, validated configuration; what is not asked for is the default.

    Raises
    ------
    SettingError
        An option is unknown or has a value that is not allowed.
    """
    known = [option.name for option in fields(SequenceClassifier)]
    for name in options:
        if name not in known:
            raise SettingError(f"there is no option {name!r}.{did_you_mean(name, known)}")
    cell = options.pop("cell", "lstm")
    checked = validated(SequenceClassifier(cell=as_cell(cell), **options))
    checked["cell"] = cell_text(cell)
    checked["layers"] = list(checked["layers"])
    # A run can be used from any folder.
    if data.endswith((".npz", ".csv")):
        data = str(Path(data).absolute())
    if data_dir is not None:
        data_dir = str(Path(data_dir).absolute())
    try:
        return RunConfig(data=data, data_dir=data_dir, test_fraction=test_fraction, options=checked)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingError(f"{first['loc'][0]}={first['input']!r}: {first['msg']}") from error


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
        return configure(**RunConfig.model_validate(document).settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(
            f"{path} is not the config.yaml of a run: {place}: {first['msg']}"
        ) from error
    except RunError:
        raise
    except (OSError, ValueError, RecursionError, yaml.YAMLError, CellwrightError) as error:
        reason = " ".join(str(error).split())  # YAML explains itself on several lines
        raise RunError(f"{path} is not the config.yaml of a run: {reason}") from error
