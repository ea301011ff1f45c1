"""Rewrites of a whole cell: what regularises any cell, whatever its equations."""

from __future__ import annotations

from dataclasses import replace

from cellwright.ir import Graph, Node, node, verify

__all__ = ["recurrent_dropout", "without_bias", "zoneout"]


def zoneout(graph: Graph, rate: float) -> Graph:
    r"""Let every unit of every state keep its old value with probability `rate`, at each step.

    $$s_t \leftarrow d \odot s_{t-1} + (1 - d) \odot s_t, \quad d \sim \text{Bernoulli}(rate)$$

    In evaluation $d$ is the rate itself (Krueger et al. 2017, "Zoneout").
    """
    if rate == 0:
        return graph
    one = node("constant", value=1.0)

    def kept(state: Node, value: Node) -> Node:
        draw = node(
            "bernoulli",
            name=f"zoneout_{state.name}",
            probability=rate,
            per="step",
            size=state.size,
        )
        old = node("mul", draw, state)
        return node("add", old, node("mul", node("sub", one, draw), value))

    outputs = map(kept, graph.states, graph.outputs)
    return verify(replace(graph, outputs=tuple(outputs)))


def recurrent_dropout(graph: Graph, rate: float) -> Graph:
    r"""Drop units of the states where they enter a matrix, the same ones at every step.

    $$W s_{t-1} \leftarrow W \left(\frac{m}{1 - rate} \odot s_{t-1}\right), \quad
    m \sim \text{Bernoulli}(1 - rate)\ \text{once a sequence}$$

    This is the variational dropout of Gal and Ghahramani (2016), one mask for each state.
    """
    if rate == 0:
        return graph

    def dropped(value: Node) -> Node:
        if value.op != "matmul":
            return value
        matrix, source = value.inputs
        # A state may enter as it is, or weighed by a gate, as in a GRU's W (r * h).
        factors = source.inputs if source.op == "mul" else (source,)
        state = next((factor for factor in factors if factor.op == "state"), None)
        if state is None:
            return value
        draw = node(
            "bernoulli",
            name=f"recurrent_dropout_{state.name}",
            probability=1 - rate,
            per="sequence",
            size=state.size,
        )
        # In evaluation the draw is 1 - rate, and the product is the state again.
        kept = node("div", draw, node("constant", value=1 - rate))
        return node("matmul", matrix, node("mul", kept, source))

    return verify(graph.rewrite(dropped))


def without_bias(graph: Graph) -> Graph:
    """Drop every learned bias."""

    def bare(value: Node) -> Node:
        if value.op == "add" and value.inputs[1].attributes.get("role") == "bias":
            return value.inputs[0]
        return value

    return verify(graph.rewrite(bare))
