"""The folder of a comparison: what was asked for, and every run.

==========================  ========================================================
``comparison.yaml``         job, options, cells with their layers, seeds
``CELL/seed-0/``            a run folder for each cell and seed
``table.csv``, ``.md``      the result as a table; the latter with its sentences
``comparison.png``          the result as a picture
==========================  ========================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import yaml
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cellwright.errors import CellwrightError, RunError, first_problem
from cellwright.jobs.comparing.contenders import RESULT_FILES, Contender, file_name
from cellwright.jobs.runs.cell_texts import as_cell
from cellwright.jobs.runs.folder import next_folder
from cellwright.storage import replace_file

__all__ = ["ComparisonConfig", "ComparisonFolder", "folder_for"]


class _Cell(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    label: str
    cell: str | dict[str, Any]
    layers: list[int]
    parameters: int | None = None
    samples: int | None = None


class ComparisonConfig(BaseModel):
    """What is compared, as ``comparison.yaml`` keeps it.

    Attributes
    ----------
    job
        Name of the job.
    settings
        Options that hold for all cells.
    seconds
        Budget of each training, where it is one of time.
    match
        The number of parameters that every network is brought close to, if any.
    seeds
        The seeds.
    cells
        The cells, in the order that was asked for.
    others
        Cells that earlier calls asked for: what they are called stays theirs.
    data_fingerprint
        A digest of the data; None where the job draws them itself.
    side_by_side
        How many runs shared the machine, at most; no part of what was asked for.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    job: str
    settings: dict[str, Any]
    seconds: float | None = None
    match: int | None = None
    seeds: list[Annotated[int, Field(ge=0)]]
    cells: list[_Cell]
    others: list[_Cell] = []
    data_fingerprint: str | None = None
    side_by_side: int = 1

    @property
    def contenders(self) -> list[Contender]:
        """The cells."""
        return [
            Contender(
                label=cell.label,
                text=cell.cell,
                cell=as_cell(cell.cell),
                layers=tuple(cell.layers),
                parameters=cell.parameters,
                samples=cell.samples,
            )
            for cell in self.cells
        ]

    def with_contenders(self, contenders: Sequence[Contender]) -> ComparisonConfig:
        """The same with these cells."""
        cells = [
            _Cell(
                label=contender.label,
                cell=contender.text,
                layers=list(contender.layers),
                parameters=contender.parameters,
                samples=contender.samples,
            )
            for contender in contenders
        ]
        return self.model_copy(update={"cells": cells})

    def after(self, stored: ComparisonConfig) -> ComparisonConfig:
        """The same with what the folder knows: other cells, budgets found, runs side by side."""
        known = stored._known()
        cells = [
            cell.model_copy(update={"samples": known[cell.label].samples})
            if cell.label in known
            else cell
            for cell in self.cells
        ]
        asked = {cell.label for cell in cells}
        others = [cell for label, cell in known.items() if label not in asked]
        return self.model_copy(
            update={"cells": cells, "others": others, "side_by_side": stored.side_by_side}
        )

    def same_request(self, other: ComparisonConfig) -> bool:
        """Whether just the same was asked for; what was measured since does not count."""
        return bool(self._request() == other._request())

    def check_goes_on(self, stored: ComparisonConfig) -> None:
        """Raise a `RunError` if this cannot go on in the folder of `stored`.

        Cells and seeds may be added and left out; everything else must be as it was.
        """
        if self.match != stored.match:
            raise RunError(
                f"the comparison was started {_matched(stored.match)}, not "
                f"{_matched(self.match)}; go on with it as it is, or name another folder"
            )
        if stored.data_fingerprint not in (None, self.data_fingerprint):
            raise RunError(
                "the data are no longer those the comparison was started with; name another folder"
            )
        before, now = stored._flat(), self._flat()
        for name in [*before, *(name for name in now if name not in before)]:
            if before.get(name) != now.get(name):
                raise RunError(
                    f"the comparison was started with {name}={before.get(name)!r}, not "
                    f"{now.get(name)!r}; go on with it as it is, or name another folder"
                )
        known = stored._known()
        for cell in self.cells:
            if cell.label not in known:
                continue
            if known[cell.label].cell != cell.cell:
                raise RunError(
                    f"the comparison was started with other equations for {cell.label!r}; call "
                    f"the cell otherwise, or name another folder"
                )
            if known[cell.label].layers != cell.layers:
                raise RunError(
                    f"the comparison was started with layers {known[cell.label].layers} for "
                    f"{cell.label!r}, not {cell.layers}; name another folder"
                )

    def _flat(self) -> dict[str, Any]:
        return {"job": self.job, "seconds": self.seconds} | self.settings

    def _known(self) -> dict[str, _Cell]:
        return {cell.label: cell for cell in [*self.cells, *self.others]}

    def _request(self) -> Any:
        cells = [(cell.label, cell.cell, cell.layers) for cell in self.cells]
        return self._flat(), self.match, self.data_fingerprint, self.seeds, cells


def _matched(parameters: int | None) -> str:
    if parameters is None:
        return "with layers as they are given"
    return f"with layers matched to {parameters} parameters"


class ComparisonFolder:
    """The folder of a comparison.

    Attributes
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config_file(self) -> Path:
        """What is compared."""
        return self.path / "comparison.yaml"

    def run(self, contender: Contender, seed: int) -> Path:
        """The folder of one run."""
        return self.path / contender.folder / f"seed-{seed}"

    def read_config(self) -> ComparisonConfig | None:
        """What is compared here; None if nothing is yet.

        Raises
        ------
        RunError
            The file is not that of a comparison.
        """
        path = self.config_file
        try:
            document = yaml.safe_load(path.read_text("utf-8"))
            if not isinstance(document, dict):
                raise RunError(f"{path} is not that of a comparison: it is no list of settings")
            return ComparisonConfig.model_validate(document)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValidationError as error:
            raise RunError(f"{path} is not that of a comparison: {first_problem(error)}") from error
        except RunError:
            raise
        except (OSError, ValueError, RecursionError, yaml.YAMLError, CellwrightError) as error:
            reason = " ".join(str(error).split())
            raise RunError(f"{path} is not that of a comparison: {reason}") from error

    def write_config(self, config: ComparisonConfig) -> None:
        """Write what is compared."""
        replace_file(self.config_file, yaml.safe_dump(config.model_dump(), sort_keys=False))

    def check_free(self) -> None:
        """Raise a `RunError` if the folder holds a run, or files that would be overwritten."""
        if (self.path / "config.yaml").exists():
            raise RunError(f"{self.path} holds a run; name another folder for the comparison")
        for name in RESULT_FILES:
            if (self.path / name).exists() and not self.config_file.exists():
                raise RunError(
                    f"{self.path / name} is of no comparison, and would be overwritten; name "
                    f"another folder"
                )

    def create(self) -> None:
        """Make the folder; a `RunError` if it cannot be made."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path} cannot be made: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; a `RunError` if one is in."""
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(f"another process is working on {self.path}") from error
        try:
            yield
        finally:
            lock.release()


def folder_for(config: ComparisonConfig, subject: str, parent: Path) -> Path:
    """Where a comparison goes on that was asked for in the same words, else a new folder."""
    data = "" if subject == config.job else f"-{subject}"
    stem = file_name(f"compare-{config.job}{data}")
    new = next_folder(parent, stem)
    for path in sorted(parent.glob(f"{stem}-[0-9][0-9][0-9]*"), reverse=True):
        try:
            stored = ComparisonFolder(path).read_config()
        except RunError:
            continue  # somebody else's folder
        if stored is not None and config.same_request(stored):
            return path
    return new
