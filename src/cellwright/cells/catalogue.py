"""Finding the cells of the zoo by name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from cellwright.cells import zoo
from cellwright.cells.cell import Cell
from cellwright.errors import CellError, did_you_mean

__all__ = ["get", "names"]


@cache
def _zoo() -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for module in sorted(pkgutil.iter_modules(zoo.__path__), key=lambda module: module.name):
        members = vars(importlib.import_module(f"{zoo.__name__}.{module.name}"))
        found |= {name: value for name, value in members.items() if isinstance(value, Cell)}
    return found


def names() -> tuple[str, ...]:
    """Names of all cells in the zoo."""
    return tuple(_zoo())


def get(cell: str | Cell) -> Cell:
    """The zoo's cell of that name; a cell is returned as it is.

    Raises
    ------
    CellError
        There is no such cell; the message names the closest.
    """
    if isinstance(cell, Cell):
        return cell
    if not isinstance(cell, str):
        raise CellError(f"a cell is a name or a cellwright cell, not {type(cell).__name__}")
    if cell not in _zoo():
        raise CellError(
            f"there is no cell {cell!r}.{did_you_mean(cell, _zoo())} The zoo holds "
            f"{', '.join(_zoo())}"
        )
    return _zoo()[cell]
