"""Rewrites of a whole cell: what regularises any cell, whatever its equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cellwright.errors import CellError
from cellwright.ir import Graph, Node, node, topological, verify_cell

__all__ = ["masked", "recurrent_dropout", "without_bias", "zoneout"]


def zoneout(graph: Graph, rate: float | Mapping[str, float]) -> Graph:
    r"""Let units of the states keep their old value with a probability, at each step.

    $$s_t \leftarrow d \odot s_{t-1} + (1 - d) \odot s_t, \quad d \sim \text{Bernoulli}(rate)$$

    In evaluation $d$ is the rate itself (Krueger et al. 2017, "Zoneout"). A mapping gives
    states rates of their own and leaves the others alone.

    Raises
    ------
    CellError
        The mapping names something that is no state.
    """
    rates = rate if isinstance(rate, Mapping) else dict.fromkeys(graph.state_sizes, rate)
    for name in rates:
        if name not in graph.state_sizes:
            raise CellError(
                f"zoneout: cell {graph.name!r} has no state {name!r}; it has "
                f"{', '.join(graph.state_sizes)}"
            )
    if not any(rates.values()):
        return graph
    one = node("constant", value=1.0)

    def kept(state: Node, value: Node) -> Node:
        if not rates.get(state.name):
            return value
        draw = node(
            "bernoulli",
            name=f"zoneout_{state.name}",
            probability=rates[state.name],
            per="step",
            size=state.size,
        )
        old = node("mul", draw, state)
        return node("add", old, node("mul", node("sub", one, draw), value))

    outputs = map(kept, graph.states, graph.outputs)
    return verify_cell(replace(graph, outputs=tuple(outputs)))


def recurrent_dropout(graph: Graph, rate: float) -> Graph:
    r"""Drop units of the states where they enter a matrix, the same ones at every step.

    $$W s_{t-1} \leftarrow W \left(\frac{m}{1 - rate} \odot s_{t-1}\right), \quad
    m \sim \text{Bernoulli}(1 - rate)\ \text{once a sequence}$$

    This is the variational dropout of Gal and Ghahramani (2016), one mask for each state. A
    state may enter weighed by a gate or in a sum, as in a GRU's W (r * h). Of a product of
    states one factor is dropped, and of a quotient what is divided: the mean over all masks
    is what would enter without.

    Raises
    ------
    CellError
        No state enters a matrix, so that nothing could be dropped.
    """
    if rate == 0:
        return graph

    # Each value once: what is used twice at every level would be met twice as often at the next.
    dropped: dict[Node, Node] = {}

    def dropping(value: Node) -> Node:
        """A value before a matrix, its states dropped."""
        # Not through a gate or squashing function, behind which a state is another value.
        match value.op, value.inputs:
            case "state", _:
                return masked(value, f"recurrent_dropout_{value.name}", rate)
            case "add" | "sub" | "neg", sources:
                return node(value.op, *(dropped[source] for source in sources))
            case "div", (above, below):
                return node("div", dropped[above], below)  # a mask below would divide by zero
            case "mul", (one, other):
                first = dropped[one]
                # One mask only: the mean of its square is not one.
                return node("mul", first, dropped[other] if first is one else other)
        return value

    def rule(value: Node) -> Node:
        if value.op != "matmul":
            return value
        matrix, source = value.inputs
        for part in topological([source], dropped):
            dropped[part] = dropping(part)
        return node("matmul", matrix, dropped[source])

    result = verify_cell(graph.rewrite(rule))
    if not result.leaves("bernoulli"):
        raise CellError(
            f"recurrent dropout: no state of cell {graph.name!r} enters a matrix, so there is "
            f"nothing to drop; zoneout works for every cell"
        )
    return result


def masked(value: Node, name: str, rate: float) -> Node:
    r"""$\frac{m}{1 - rate} \odot v$, the same draw m of that name at every step of a sequence."""
    draw = node("bernoulli", name=name, probability=1 - rate, per="sequence", size=value.size)
    # In evaluation the draw is 1 - rate, and the product is the value again.
    return node("mul", node("div", draw, node("constant", value=1 - rate)), value)


def without_bias(graph: Graph) -> Graph:
    """Drop every learned bias."""

    def bare(value: Node) -> Node:
        if value.op == "add" and value.inputs[1].attributes.get("role") == "bias":
            return value.inputs[0]
        return value

    return verify_cell(graph.rewrite(bare))
