"""Cells as text and back: what a command line and a configuration file say of a cell.

A cell of the zoo is its name, with the options that are not the usual ones behind it:
``lstm``, ``clockwork:periods=[1,2,4,8]``. A cell of the user's own is its equations, as
JSON-ready data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import yaml

from cellwright import cells
from cellwright.cells.cell import Cell
from cellwright.errors import CellError, SettingError
from cellwright.ir import from_json, to_json

__all__ = ["CellText", "as_cell", "cell_text", "named_options", "read_value", "split_cells"]

CellText: TypeAlias = "str | dict[str, Any]"
_NUMBER = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?", re.IGNORECASE)


def as_cell(described: str | Cell | Mapping[str, Any]) -> Cell:
    """The cell that a text or the data of a configuration stand for.

    Parameters
    ----------
    described
        A name of the zoo, ``name:option=value``, equations as `cell_text` writes them, or a
        cell.

    Raises
    ------
    CellError
        There is no such cell, or it has no such option; the message names the closest.
    SettingError
        An option has no value.
    GraphError
        The data are not those of a cell.

    Examples
    --------
    >>> as_cell("gru").name
    'gru'
    """
    if isinstance(described, Mapping):
        return Cell(from_json(dict(described)))
    if not isinstance(described, str):
        return cells.get(described)
    name, texts = named_options(described)
    chosen = cells.get(name)
    if not texts:
        return chosen
    # An option that the cell lacks has no usual value; the cell itself says that it lacks it.
    return chosen(**{key: read_value(v, chosen.options.get(key)) for key, v in texts.items()})


def cell_text(described: str | Cell | Mapping[str, Any]) -> CellText:
    """What a configuration keeps of a cell: a text if it is of the zoo, else its equations.

    Examples
    --------
    >>> import cellwright as cw
    >>> cell_text(cw.cells.gru)
    'gru'
    """
    if isinstance(described, str):
        return described
    cell = as_cell(described)
    if cell.name in cells.names():
        usual = cells.get(cell.name)
        if usual == cell:
            return cell.name
        changed = {
            name: value
            for name, value in cell.options.items()
            if name in usual.options and usual.options[name] != value
        }
        text = ":".join([cell.name, *(f"{name}={_written(v)}" for name, v in changed.items())])
        if changed and _stands_for(text, cell):
            return text
    return to_json(cell.graph)


def split_cells(text: str) -> list[str]:
    """The cells of a list with commas; commas inside of values do not divide.

    Examples
    --------
    >>> split_cells("lstm, clockwork:periods=[1,2,4,8], gru")
    ['lstm', 'clockwork:periods=[1,2,4,8]', 'gru']
    >>> split_cells("clockwork:periods=1,2,4,8,gru")
    ['clockwork:periods=1,2,4,8', 'gru']
    """
    found: list[str] = []
    for part in _split(text, ","):
        word = part.strip()
        # No cell is called 2, and none a=3: such a part belongs to the value before it.
        if found and (_NUMBER.fullmatch(word) or ("=" in word and ":" not in word)):
            found[-1] += ("," if _NUMBER.fullmatch(word) else ":") + word
        elif word:
            found.append(word)
    return found


def named_options(text: str) -> tuple[str, dict[str, str]]:
    """The name and the options of a text such as ``clockwork:periods=[1,2,4,8]``.

    Raises
    ------
    SettingError
        An option has no value.

    Examples
    --------
    >>> named_options("adding:steps=600")
    ('adding', {'steps': '600'})
    """
    name, *parts = [part.strip() for part in _split(text, ":")]
    options = {}
    for part in parts:
        option, _, value = (word.strip() for word in part.partition("="))
        if not option or not value:
            raise SettingError(f"{text}: an option is written {name}:NAME=VALUE")
        options[option] = value
    return name, options


def _split(text: str, mark: str) -> list[str]:
    """The parts between marks that are not inside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[(") - (letter in "])")
        if letter == mark and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def read_value(text: str, usual: Any) -> Any:
    """The value that a text stands for, a sequence where the usual value is one."""
    listed = text.startswith(("[", "(")) or "," in text or isinstance(usual, (tuple, list))
    if not listed:
        return _scalar(text)
    items = [_scalar(part) for part in _split(text.strip("[]()"), ",") if part.strip()]
    return items if isinstance(usual, list) else tuple(items)


def _scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text.strip()
    return value if isinstance(value, (bool, int, float, type(None))) else text.strip()


def _written(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{','.join(map(_written, value))}]"
    return {True: "true", False: "false", None: "null"}[value] if _is_word(value) else str(value)


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _stands_for(text: str, cell: Cell) -> bool:
    try:
        return as_cell(text) == cell
    except CellError:
        return False
