"""Which cells are compared, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cellwright import cells
from cellwright.cells.cell import Cell
from cellwright.errors import ArgumentError, SettingError
from cellwright.jobs.runs.cell_texts import CellText, as_cell, cell_text, split_cells

__all__ = ["RESULT_FILES", "Contender", "contenders", "file_name"]

RESULT_FILES = ("table.csv", "table.md", "comparison.png")
"""What a comparison writes beside the folders of its cells."""

_TAKEN = {*RESULT_FILES, "comparison.yaml", "config.yaml"}
_LONGEST = 200  # bytes; no file system takes more than 255, and some count otherwise
_NOT_IN_FILE_NAMES = re.compile(r"[^\w.=+-]+")


@dataclass(frozen=True)
class Contender:
    """A cell with the layers that it gets.

    Attributes
    ----------
    label
        What it is called in tables: the cell's name, with options that are not the usual.
    text
        What a configuration keeps of the cell.
    cell
        The cell.
    layers
        Units of each layer; none where the job chooses them.
    parameters
        Weights of the whole network that can learn; None where the job cannot tell before a run.
    samples
        What a budget of seconds means for it; None where there is no such budget.
    """

    label: str
    text: CellText
    cell: Cell
    layers: tuple[int, ...] = ()
    parameters: int | None = None
    samples: int | None = None

    @property
    def folder(self) -> str:
        """The label as the name of a folder."""
        return file_name(self.label)


def file_name(text: str) -> str:
    """A text as the name of a folder, on any system.

    Examples
    --------
    >>> file_name("clockwork:periods=[1,2]")
    'clockwork-periods=1-2'
    """
    words = _NOT_IN_FILE_NAMES.sub("-", re.sub(r"[\[\]() ]", "", text))
    return words.strip("-.") or "cell"


def contenders(
    given: str | Cell | Sequence[str | Cell] | Mapping[str, str | Cell],
) -> list[Contender]:
    """The cells that are asked for.

    Parameters
    ----------
    given
        Names with or without options (``"lstm"``, ``"clockwork:periods=[1,2]"``), cells, or
        label -> either.

    Raises
    ------
    CellError
        There is no such cell or option.
    SettingError
        There is none, one stands there twice, or one cannot be the name of a folder.
    """
    if isinstance(given, Mapping):
        found = [_contender(cell, label) for label, cell in given.items()]
    else:
        if isinstance(given, (str, Cell)):
            given = split_cells(given) if isinstance(given, str) else [given]
        found = [_contender(cell) for cell in given]
    if not found:
        raise SettingError("cells: name at least one, such as lstm,gru")
    _check_different(found)
    return found


def _contender(given: str | Cell, label: Any = None) -> Contender:
    if not isinstance(given, (str, Cell)):
        raise ArgumentError(
            f"cells: a cell is a name or a cellwright cell, not {type(given).__name__}"
        )
    if label is not None and not isinstance(label, str):
        raise ArgumentError(f"cells: the label {label!r} is no text")
    cell = as_cell(given)
    text = cell_text(given)
    found = Contender(label or _label(cell, text), text, cell)
    if found.folder.lower() in _TAKEN:
        raise SettingError(
            f"cells: {found.folder!r} is a file of the comparison; give the cell another label"
        )
    if len(found.folder.encode()) > _LONGEST:
        raise SettingError(
            f"cells: {found.label[:40]!r}… is too long for the name of a folder; give the cell a "
            f"label of at most {_LONGEST} letters"
        )
    return found


def _label(cell: Cell, text: CellText) -> str:
    if isinstance(text, str):
        return text.replace(" ", "")
    options = (f"{name}={value}".replace(" ", "") for name, value in cell.options.items())
    return ":".join([cell.name, *options])


def _check_different(found: Sequence[Contender]) -> None:
    for position, contender in enumerate(found):
        for other in found[:position]:
            if contender.label == other.label:
                own = isinstance(contender.text, dict) and contender.cell.name in cells.names()
                raise SettingError(
                    f"cells: {contender.label!r} stands there twice"
                    + ("; give your cell another name than one of the zoo" if own else "")
                )
            if contender.folder.lower() == other.folder.lower():
                raise SettingError(
                    f"cells: {other.label!r} and {contender.label!r} would share the folder "
                    f"{contender.folder!r}; give one of them another label"
                )
            if contender.cell == other.cell:
                raise SettingError(
                    f"cells: {other.label!r} and {contender.label!r} have the same equations"
                )
