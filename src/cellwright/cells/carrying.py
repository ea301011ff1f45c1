"""How a cell hands a state on: its straight way from one step to the next.

Of an LSTM's memory c' = f ⊙ c + i ⊙ g, the straight way is the product with f: there c is
weighed and added to, and goes through no matrix and no squashing function.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cellwright.ir import Graph, Node, node, simpler

__all__ = ["coefficient", "straight", "straight_only"]

_ZERO = node("constant", value=0.0)


def straight(graph: Graph, state: str) -> frozenset[Node]:
    """Every node that a state reaches by sums, weights and choices alone, itself among them."""
    found: set[Node] = set()
    for value in graph.nodes:
        here = [source in found for source in value.inputs]
        match value.op:
            case "state":
                reached = value.name == state
            case "add" | "sub" | "neg":
                reached = any(here)
            case "mul":
                reached = here[0] != here[1]
            case "div":
                reached = here == [True, False]
            case "where":
                reached = any(here[1:])
            case _:
                reached = False
        if reached:
            found.add(value)
    return frozenset(found)


def coefficient(graph: Graph, state: str) -> Node | None:
    r"""What a state is multiplied with on its straight way through a step.

    $$A = \frac{\partial s'}{\partial s}\ \text{along the straight way}$$

    Returns
    -------
    Node or None
        An expression of the graph's nodes, such as an LSTM's forget gate; None where the
        state has no straight way to its next value.
    """
    way, factors = straight(graph, state), dict[Node, Node]()
    for value in graph.nodes:
        if value in way:
            factors[value] = _coefficient(value, factors)
    return factors.get(graph.after[state])


def _coefficient(value: Node, known: dict[Node, Node]) -> Node:
    parts = [known.get(source) for source in value.inputs]
    match value.op:
        case "state":
            return node("constant", value=1.0)
        case "neg":
            return _built("neg", *(part for part in parts if part))
        case "add" | "sub":
            left, right = parts
            if left and right:
                return _built(value.op, left, right)
            alone = left or right
            assert alone is not None
            return _built("neg", alone) if right and value.op == "sub" else alone
        case "where":
            return _built("where", value.inputs[0], *(part or _ZERO for part in parts[1:]))
    pairs = zip(parts, value.inputs, strict=True)
    return _built(value.op, *(part or source for part, source in pairs))


def straight_only(graph: Graph, state: str, before: dict[str, Node]) -> Graph:
    """The same step, but a state reaches its next value on its straight way alone.

    Everywhere else, the states before the step are read from inputs instead. Given the same
    values, the step computes the same numbers; of the gradient, only what flows along that
    one way is left, as in the truncated gradient of Hochreiter and Schmidhuber (1997).

    Parameters
    ----------
    graph
        One step of a cell.
    state
        Whose way is kept.
    before
        State name -> the input that is read in its place.
    """
    way = straight(graph, state)
    cut: dict[Node, Node] = {}
    kept: dict[Node, Node] = {}
    for value in graph.nodes:
        if value.op == "state":
            cut[value] = before[value.name]
        else:
            cut[value] = _again(value, (cut[source] for source in value.inputs))
        if value in way:
            kept[value] = value
            if value.op != "state":
                kept[value] = _again(value, (kept.get(s, cut[s]) for s in value.inputs))
    outputs = (
        kept.get(value, cut[value]) if name == state else cut[value]
        for name, value in graph.after.items()
    )
    return replace(
        graph,
        inputs=(*graph.inputs, *before.values()),
        outputs=tuple(outputs),
        signals=tuple((name, cut[value]) for name, value in graph.signals),
    )


def _again(value: Node, inputs: Iterable[Node]) -> Node:
    return node(value.op, *inputs, **value.attributes)


def _built(op: str, *inputs: Node) -> Node:
    return simpler(node(op, *inputs))
