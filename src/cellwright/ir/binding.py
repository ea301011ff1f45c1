"""Numbers for the sizes of a cell: whether there is one for each, and a layer can have them."""

from __future__ import annotations

from collections.abc import Mapping

from cellwright.errors import GraphError, did_you_mean
from cellwright.ir.graph import Graph
from cellwright.ir.node import Node
from cellwright.ir.sizes import HIDDEN, INPUT, units_of
from cellwright.ir.text import spell

__all__ = ["check_sizes", "weight_shapes"]


def check_sizes(graph: Graph, sizes: Mapping[str, int]) -> None:
    """Raise `GraphError` unless a layer of these sizes can be built.

    Every size that the cell needs has a number, and no other; and what cuts units into blocks
    finds enough of them.
    """
    needed = graph.symbols | {INPUT, HIDDEN}
    for symbol in sorted(needed - set(sizes)):
        raise GraphError(
            f"cell {graph.name!r} has a size {symbol!r} that is not bound; "
            f"give sizes={{{symbol!r}: …}}"
        )
    for symbol in sorted(set(sizes) - needed):
        raise GraphError(
            f"cell {graph.name!r} has no size {symbol!r}.{did_you_mean(symbol, graph.symbols)}"
        )
    for symbol, units in sizes.items():
        if isinstance(units, bool) or not isinstance(units, int) or units < 1:
            raise GraphError(f"size {symbol!r} must be a positive whole number, not {units!r}")
    for value in graph.nodes:
        _check_blocks(graph, value, sizes)


def weight_shapes(graph: Graph, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Weight -> (rows, columns) of a matrix, (n,) of a vector, in a layer of these sizes."""
    axes = ("size", "columns")
    return {
        name: tuple(units_of(weight.attributes[a], sizes) for a in axes if a in weight.attributes)
        for name, weight in graph.weights.items()
    }


def _check_blocks(graph: Graph, value: Node, sizes: Mapping[str, int]) -> None:
    """A table or mask cuts units into blocks: as many units at least, or a multiple if even."""
    values, mask = value.attributes.get("values", ()), value.attributes.get("mask")
    blocks = mask[1] if isinstance(mask, tuple) else len(values) if isinstance(values, tuple) else 0
    for axis in (value.attributes.get("size"), value.attributes.get("columns")):
        units = sizes[axis] if isinstance(axis, str) else axis
        if not isinstance(units, int):
            continue
        if value.attributes.get("even") and units % blocks:
            of = "" if axis == HIDDEN else f" of {axis!r}"
            asks = (
                f"as matrix {value.name!r} wants them"
                if mask
                else f"one for each of {spell(graph)[value]}"
            )
            raise GraphError(
                f"cell {graph.name!r}: {units} units{of} cannot be cut into {blocks} equal "
                f"groups, {asks}; take {_nearest(units, blocks)}"
            )
        if blocks > units:
            raise GraphError(
                f"cell {graph.name!r}: {blocks} blocks need as many units, not {units}"
            )


def _nearest(units: int, blocks: int) -> str:
    """The multiples of a number of blocks on both sides of a number of units."""
    fewer = units - units % blocks
    return f"{fewer} or {fewer + blocks}" if fewer else f"{blocks}"
