"""Finding a cell's gates: from what its equations can give, not from how things are called."""

from __future__ import annotations

from cellwright.ir import Graph, Node, topological

__all__ = ["gates"]


def gates(graph: Graph) -> dict[str, tuple[Node, ...]]:
    """Signal -> what it multiplies, for each signal that is a gate.

    A gate lies between 0 and 1 whatever the input and the weights are (a sigmoid, one minus
    it, a share of a sum of such), and multiplies something that the cell computes, itself or
    as one minus it or as its share.
    """
    ranges = _Ranges(graph)
    users: dict[Node, list[Node]] = {}
    for value in topological(graph.outputs):
        for source in value.inputs:
            users.setdefault(source, []).append(value)
    named = set(graph.observable.values())
    found: dict[str, tuple[Node, ...]] = {}
    for name, value in graph.observable.items():
        if value in ranges.unit and value.kind == "pointwise":
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


def _is_face(value: Node, ranges: _Ranges, named: set[Node]) -> bool:
    """Whether this is a gate turned round or its share, and has no name of its own."""
    return value.op in ("sub", "div") and value in ranges.unit and value not in named


class _Ranges:
    """Which values lie in 0..1, are never negative, or never positive, whatever comes in."""

    def __init__(self, graph: Graph) -> None:
        self.unit: set[Node] = set()
        self.positive: set[Node] = set()
        self.negative: set[Node] = set()
        for value in graph.nodes:
            if self._negative(value):
                self.negative.add(value)
            if self._unit(value):
                self.unit.add(value)
            if value in self.unit or self._positive(value):
                self.positive.add(value)

    def _unit(self, value: Node) -> bool:
        inputs = value.inputs
        match value.op:
            case "sigmoid":
                return True
            case "constant":
                return 0 <= float(str(value.attributes["value"])) <= 1
            case "sub":
                return inputs[0].attributes.get("value") == 1.0 and inputs[1] in self.unit
            case "mul" | "minimum" | "maximum":
                return all(source in self.unit for source in inputs)
            case "where":
                return all(source in self.unit for source in inputs[1:])
            case "exp":
                return inputs[0] in self.negative
            case "div":  # a share: a / (a + b)
                whole = inputs[1]
                parts = whole.inputs if whole.op == "add" else ()
                return inputs[0] in parts and all(part in self.positive for part in parts)
        return False

    def _positive(self, value: Node) -> bool:
        match value.op:
            case "exp" | "relu" | "abs" | "sqrt":
                return True
            case "constant":
                return float(str(value.attributes["value"])) >= 0
            case "add" | "mul" | "div" | "minimum":
                return all(source in self.positive for source in value.inputs)
            case "maximum":
                return any(source in self.positive for source in value.inputs)
            case "log1p" | "sum" | "max":
                return value.inputs[0] in self.positive
            case "neg":
                return value.inputs[0] in self.negative
        return False

    def _negative(self, value: Node) -> bool:
        match value.op:
            case "constant":
                return float(str(value.attributes["value"])) <= 0
            case "neg":
                return value.inputs[0] in self.positive
            case "sub":  # a - max(a, b)
                less, greater = value.inputs
                return greater.op == "maximum" and less in greater.inputs
            case "add" | "maximum":
                return all(source in self.negative for source in value.inputs)
            case "minimum":
                return any(source in self.negative for source in value.inputs)
        return False
