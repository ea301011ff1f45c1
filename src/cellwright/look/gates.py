"""Finding a cell's gates: from what its equations can give, not from how things are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, inf, log1p, sqrt
from typing import TypeAlias

from cellwright.ir import Graph, Node, topological

__all__ = ["gates"]

# The least and the greatest that a value can be.
_Range: TypeAlias = tuple[float, float]
_ANY: _Range = (-inf, inf)


def gates(graph: Graph) -> dict[str, tuple[Node, ...]]:
    """Signal -> what it multiplies, for each signal that is a gate.

    A gate lies between 0 and 1 whatever the input and the weights are (a sigmoid, one minus
    it, a share of a sum of such, what is cut off at 0 and 1), and multiplies something that the
    cell computes, itself or as one minus it or as its share.
    """
    ranges = _ranges(graph)
    users: dict[Node, list[Node]] = {}
    for value in topological(graph.outputs):
        for source in value.inputs:
            users.setdefault(source, []).append(value)
    named = set(graph.observable.values())
    found: dict[str, tuple[Node, ...]] = {}
    for name, value in graph.observable.items():
        if _is_unit(ranges[value]) and value.kind == "pointwise":
            faces = [value, *(u for u in users.get(value, ()) if _is_face(u, ranges, named))]
            multiplied = [
                other
                for face in faces
                for user in users.get(face, ())
                if user.op == "mul"
                for other in user.inputs
                if other is not face and other.op not in ("constant", "vector", "per_unit")
            ]
            if multiplied:
                found[name] = tuple(dict.fromkeys(multiplied))
    return found


def _is_face(value: Node, ranges: Mapping[Node, _Range], named: set[Node]) -> bool:
    """Whether this is a gate turned round or its share, and has no name of its own."""
    turned = value.op == "sub" or _is_share(value)
    return turned and _is_unit(ranges[value]) and value not in named


def _is_share(value: Node) -> bool:
    """Whether this is a / (a + b), or one unit's part of the sum over all."""
    return (
        value.op == "div"
        and value.inputs[1].op in ("add", "sum")
        and (value.inputs[0] in value.inputs[1].inputs)
    )


def _is_unit(limits: _Range) -> bool:
    return limits[0] >= 0 and limits[1] <= 1


def _ranges(graph: Graph) -> dict[Node, _Range]:
    """Between what each value lies, whatever the input and the weights are."""
    found: dict[Node, _Range] = {}
    for value in graph.nodes:
        low, high = _range(value, found)
        # Numbers too large to reckon with say nothing.
        found[value] = (low, high) if low <= high and low < inf and high > -inf else _ANY
    return found


def _range(value: Node, found: Mapping[Node, _Range]) -> _Range:
    """Where a value lies if its inputs lie where they were found to."""
    if value.op == "constant":
        number = float(str(value.attributes["value"]))
        return number, number
    if _is_share(value) and all(found[part][0] >= 0 for part in value.inputs[1].inputs):
        return 0.0, 1.0
    if value.op not in _RANGES:
        return _ANY
    low, high = _RANGES[value.op](*(found[source] for source in value.inputs))
    first, last = value.inputs[0], value.inputs[-1]
    if value.op == "mul" and first is last:
        low = max(low, 0.0)
    # a - max(a, b), or a - max(a) over the units
    if value.op == "sub" and last.op in ("maximum", "max") and first in last.inputs:
        high = min(high, 0.0)
    return low, high


def _product(left: _Range, right: _Range) -> _Range:
    ends = [0.0 if 0 in (a, b) else a * b for a in left for b in right]
    return min(ends), max(ends)


def _quotient(over: _Range, under: _Range) -> _Range:
    if under[0] > 0:
        return _product(over, (1 / under[1], 1 / under[0]))
    return (0.0, inf) if over[0] >= 0 and under[0] >= 0 else _ANY


def _rising(function: Callable[[float], float]) -> Callable[[_Range], _Range]:
    return lambda a: (function(a[0]), function(a[1]))


# Where a value lies, by where its inputs lie; of an op that is not here nothing is known.
_RANGES: dict[str, Callable[..., _Range]] = {
    "sigmoid": lambda _: (0.0, 1.0),
    **dict.fromkeys(("tanh", "sin", "cos", "sign"), lambda _: (-1.0, 1.0)),
    "relu": _rising(lambda a: max(a, 0.0)),
    "exp": _rising(lambda a: exp(a) if a < 700 else inf),
    "log1p": _rising(lambda a: log1p(a) if a > -1 else -inf),
    "sqrt": _rising(lambda a: sqrt(max(a, 0.0))),
    "max": lambda a: a,
    "sum": lambda a: (0.0 if a[0] >= 0 else -inf, 0.0 if a[1] <= 0 else inf),
    "abs": lambda a: (max(a[0], -a[1], 0.0), max(-a[0], a[1])),
    "neg": lambda a: (-a[1], -a[0]),
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": _product,
    "div": _quotient,
    "maximum": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "minimum": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "where": lambda _, a, b: (min(a[0], b[0]), max(a[1], b[1])),
}
