"""Rewrites that make a graph smaller without changing a single bit of its numbers.

Common subexpressions need no rule: equal nodes are one object already. Rules that would
change NaN, infinity or rounding (``a * 0 -> 0``, reassociation) are not here on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from cellwright.ir.graph import Graph
from cellwright.ir.node import Node, node

__all__ = ["simplify"]

_FOLD: dict[str, Callable[..., float]] = {
    "neg": lambda a: -a,
    "abs": abs,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "maximum": max,
    "minimum": min,
}


def simplify(graph: Graph) -> Graph:
    """Fold constants, drop neutral operations and double negations."""
    return graph.rewrite(_simpler)


def _simpler(value: Node) -> Node:
    inputs = value.inputs
    numbers = [source.attributes.get("value") for source in inputs]
    # Python's max and min do not pass NaN on as tensors do, so only finite numbers are folded.
    if value.op in _FOLD and all(isinstance(n, float) and math.isfinite(n) for n in numbers):
        folded = _FOLD[value.op](*numbers)
        if math.isfinite(folded):
            return node("constant", value=folded)
    if value.op == "mul" and _is(inputs[0], 1.0):
        return inputs[1]
    if value.op in ("mul", "div") and _is(inputs[1], 1.0):
        return inputs[0]
    if value.op == "sub" and _is(inputs[1], 0.0):
        return inputs[0]
    if value.op == "neg" and inputs[0].op == "neg":
        return inputs[0].inputs[0]
    return value


def _is(value: Node, number: float) -> bool:
    # -0.0 == 0.0, and a - (-0.0) is not always a: compare the sign as well.
    found = value.attributes.get("value")
    return isinstance(found, float) and found == number and math.copysign(1, found) > 0
