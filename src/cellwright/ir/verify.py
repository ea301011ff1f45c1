"""The rules of a whole graph. Every stage of the pipeline ends here.

A single node is checked when it is made; what only the whole can break is checked here.
`verify` knows the rules of any step, forward or backward; `verify_cell` adds what makes a
step that of a cell, as an author writes one.
"""

from __future__ import annotations

from cellwright.errors import GraphError
from cellwright.ir.graph import Graph
from cellwright.ir.node import Node
from cellwright.ir.sizes import INPUT, UNKNOWN

__all__ = ["verify", "verify_cell"]

# Leaves that a graph must say it is given. `below` and `bernoulli` are not, because their own
# attributes say everything about them.
_DECLARED = ("input", "state", "gradient")


def verify(graph: Graph) -> Graph:
    """Return `graph` if it keeps the rules of every step, else raise `GraphError`.

    Its inputs may be any leaves with a name, also states and gradients that it only reads;
    its states, states or gradients.

    Raises
    ------
    GraphError
        A rule is broken; the message names the graph and the rule.
    """
    if len(graph.states) != len(graph.outputs):
        raise _broken(graph, f"{len(graph.states)} states, {len(graph.outputs)} outputs")
    if any(value.op not in (*_DECLARED, "below") for value in graph.inputs):
        raise _broken(graph, "something that is no input stands among its inputs")
    if any(value.op not in ("state", "gradient") for value in graph.states):
        raise _broken(graph, "something that is no state stands among its states")
    if UNKNOWN in graph.symbols:
        raise _broken(graph, "the size of a state is not known")
    for kind, leaves in (("inputs", graph.inputs), ("states", graph.states)):
        if len({_key(leaf) for leaf in leaves}) != len(leaves):
            raise _broken(graph, f"two {kind} have the same name")
    _verify_outputs(graph)
    _verify_leaves(graph)
    _verify_names(graph)
    return graph


def verify_cell(graph: Graph) -> Graph:
    """Return `graph` if it keeps every rule of a cell, else raise `GraphError`.

    These are the rules of `verify` and: there is a state, and none is called ``t``; the first
    input is ``x``, of size ``"input"``; inputs are inputs and states are states; what is read
    of the layer below is one of the cell's own states; no gradient comes in.

    Raises
    ------
    GraphError
        A rule is broken; the message names the cell and the rule.
    """
    if not graph.states:
        raise _broken(graph, "it has no state")
    if any(value.op != "input" for value in graph.inputs):
        raise _broken(graph, "something that is no input stands among its inputs")
    if not graph.inputs or graph.inputs[0].name != "x" or graph.inputs[0].size != INPUT:
        raise _broken(graph, "its first input must be x, of size 'input'")
    if any(value.op != "state" for value in graph.states):
        raise _broken(graph, "something that is no state stands among its states")
    if "t" in graph.state_sizes:
        raise _broken(graph, "a state is named 't', which is the step")
    for value in graph.leaves("below"):
        if graph.state_sizes.get(value.name) != value.size:
            raise _broken(graph, f"{value.name!r} of the layer below is no state of this cell")
    for value in graph.leaves("gradient"):
        raise _broken(graph, f"the gradient of {value.name!r} stands in its equations")
    return verify(graph)


def _verify_outputs(graph: Graph) -> None:
    for state, value in zip(graph.states, graph.outputs, strict=True):
        if value.kind == "truth" or value.op == "matrix":
            raise _broken(graph, f"state {state.name!r} becomes a {value.kind}, not a value")
        if value.size not in (state.size, 1):
            raise _broken(
                graph, f"state {state.name!r} has size {state.size} but becomes {value.size}"
            )


def _verify_leaves(graph: Graph) -> None:
    declared = set(graph.inputs) | set(graph.states)
    for value in graph.nodes:
        if value.op in _DECLARED and value not in declared:
            raise _broken(graph, f"{value.op} {value.name!r} is used but not declared")


def _verify_names(graph: Graph) -> None:
    """Leaves share one space of names and weights another, because both become keys."""
    for kind in ("leaf", "weight"):
        owner: dict[tuple[str, str], Node] = {}
        for value in graph.nodes:
            if value.kind != kind or "name" not in value.attributes:
                continue
            if owner.setdefault(_key(value), value) is not value:
                raise _broken(graph, f"two different {kind}s are named {value.name!r}")
    names = [name for name, _ in graph.signals]
    if len(names) != len(set(names)):
        raise _broken(graph, "two signals have the same name")
    for name, value in graph.signals:
        if value.op == "matrix":
            raise _broken(graph, f"signal {name!r} is a matrix, not a value")


def _key(value: Node) -> tuple[str, str]:
    """A state, that state of the layer below and its two gradients may share a name."""
    space = value.attributes.get("origin", value.op if value.op == "below" else "")
    return value.name, str(space)


def _broken(graph: Graph, rule: str) -> GraphError:
    return GraphError(f"graph of cell {graph.name!r}: {rule}")
