"""The language of cells, and the zoo: ``cellwright.cells.lstm`` is the LSTM's equations."""

from __future__ import annotations

from cellwright.cells.catalogue import get, names
from cellwright.cells.cell import Cell
from cellwright.cells.decorator import cell

__all__ = ["Cell", "cell", "get", "names"]


def __getattr__(name: str) -> Cell:
    if name.startswith("_") or name not in names():
        raise AttributeError(f"there is no cell {name!r}; cellwright.cells.names() lists them")
    return get(name)


def __dir__() -> list[str]:
    return sorted([*__all__, *names()])
