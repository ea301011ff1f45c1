"""Rewrites that make a graph smaller without changing a single bit of its numbers.

Common subexpressions need no rule: equal nodes are one object already. Rules that would
change NaN, infinity or rounding (``a * 0 -> 0``, reassociation) are not here on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from cellwright.ir.graph import Graph
from cellwright.ir.node import Node, node

__all__ = ["simpler", "simplify"]

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
    """Fold constants, drop neutral operations, let signs meet and cancel."""
    return graph.rewrite(simpler)


def simpler(value: Node) -> Node:
    """Return the simplest node that is known to equal this one, bit for bit.

    Only the node's own operation is looked at; its inputs are taken to be simple already.
    """
    inputs = value.inputs
    numbers = [source.attributes.get("value") for source in inputs]
    # Python's max and min do not pass NaN on as tensors do, so only finite numbers are folded.
    if value.op in _FOLD and all(isinstance(n, float) and math.isfinite(n) for n in numbers):
        folded = _FOLD[value.op](*numbers)
        if math.isfinite(folded):
            return node("constant", value=folded)
    return _without_neutral(value) or _without_signs(value) or value


def _without_neutral(value: Node) -> Node | None:
    inputs = value.inputs
    if value.op == "mul" and _is(inputs[0], 1.0):
        return inputs[1]
    if value.op in ("mul", "div") and _is(inputs[1], 1.0):
        return inputs[0]
    # 0.0 is not neutral in a sum, because -0.0 + 0.0 is 0.0; -0.0 is.
    if value.op == "add" and _is(inputs[0], -0.0):
        return inputs[1]
    if value.op == "add" and _is(inputs[1], -0.0):
        return inputs[0]
    if value.op == "sub" and _is(inputs[1], 0.0):
        return inputs[0]
    return None


def _without_signs(value: Node) -> Node | None:
    """Rounding is symmetric about zero, so a sign may move; only a NaN's own sign may differ."""
    inputs = value.inputs
    if value.op == "neg" and inputs[0].op == "neg":
        return inputs[0].inputs[0]
    if value.op not in ("add", "sub", "mul", "div"):
        return None
    left, right = inputs
    bare_left, bare_right = (v.inputs[0] if v.op == "neg" else None for v in inputs)
    if value.op in ("mul", "div"):
        return node(value.op, bare_left, bare_right) if bare_left and bare_right else None
    if bare_right:
        return node("sub" if value.op == "add" else "add", left, bare_right)
    if value.op == "add" and bare_left:
        return node("sub", right, bare_left)
    return None


def _is(value: Node, number: float) -> bool:
    # -0.0 == 0.0, and a - (-0.0) is not always a: compare the sign as well.
    found = value.attributes.get("value")
    same_sign = isinstance(found, float) and math.copysign(1, found) == math.copysign(1, number)
    return same_sign and found == number
