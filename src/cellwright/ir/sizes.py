"""Sizes of the values inside a step: symbols such as ``"hidden"``, or plain numbers.

A value inside a step is a vector over units. Its size is a symbol that a layer binds to a
number when it is built (``"input"``, ``"hidden"``, or one that the author chose), or a
positive number. Size 1 is a scalar for each sequence and meets any other size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from cellwright.arguments import as_whole
from cellwright.errors import GraphError

__all__ = [
    "HIDDEN",
    "INPUT",
    "SCALAR",
    "UNKNOWN",
    "Size",
    "block_of_units",
    "check_size",
    "join",
    "kept_entries",
    "units_of",
]

Size: TypeAlias = str | int

INPUT = "input"
HIDDEN = "hidden"
SCALAR = 1
# A state's size before the equations have been traced once; no verified graph holds it.
UNKNOWN = "_unknown_"


def check_size(size: object) -> Size:
    """Return `size` if it can be a size, else raise `GraphError`."""
    if isinstance(size, str) and size.isidentifier():
        return size
    number = as_whole(size)
    if number is not None and number > 0:
        return number
    raise GraphError(f"a size is a name or a positive whole number, not {size!r}")


def join(left: Size, right: Size) -> Size:
    """Size of a pointwise combination of two values."""
    for weaker in (SCALAR, UNKNOWN):
        if left in (right, weaker):
            return right
        if right == weaker:
            return left
    raise GraphError(f"sizes do not fit together: {left} and {right}")


def block_of_units(units: int, blocks: int) -> list[int]:
    """Index of the block that each unit belongs to, blocks contiguous and nearly equal.

    This is how per-unit constants (a clock's periods) and block masks spread over any
    number of units. With as many blocks as units every unit is its own block.

    >>> block_of_units(6, 3)
    [0, 0, 1, 1, 2, 2]
    """
    if blocks > units:
        raise GraphError(f"{blocks} blocks do not fit into {units} units")
    return [unit * blocks // units for unit in range(units)]


def units_of(size: object, sizes: Mapping[str, int]) -> int:
    """The number of units of a size, where symbols have numbers.

    >>> units_of("hidden", {"hidden": 8}), units_of(3, {})
    (8, 3)
    """
    return size if isinstance(size, int) else sizes[str(size)]


def kept_entries(rows: int, columns: int, mask: object) -> int:
    """How many entries of a matrix its mask keeps: all of them where there is none.

    >>> kept_entries(6, 6, ("block_upper", 3))
    24
    """
    if not isinstance(mask, tuple):
        return rows * columns
    kind, blocks = mask
    in_block = [0] * blocks
    for block in block_of_units(columns, blocks):
        in_block[block] += 1
    return sum(sum(in_block[_seen(str(kind), block)]) for block in block_of_units(rows, blocks))


def _seen(kind: str, block: int) -> slice:
    """The blocks of columns that a block of rows sees."""
    if kind == "block_diagonal":
        return slice(block, block + 1)
    return slice(0, block + 1) if kind == "block_lower" else slice(block, None)
