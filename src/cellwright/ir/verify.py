"""The rules of a whole graph. Every stage of the pipeline ends here.

A single node is checked when it is made; what only the whole can break is checked here.
"""

from __future__ import annotations

from cellwright.errors import GraphError
from cellwright.ir.graph import Graph
from cellwright.ir.node import Node
from cellwright.ir.sizes import INPUT, UNKNOWN

__all__ = ["verify"]


def verify(graph: Graph) -> Graph:
    """Return `graph` if it keeps every rule, else raise `GraphError` naming the broken one."""
    if not graph.states:
        raise _broken(graph, "it has no state")
    if len(graph.states) != len(graph.outputs):
        raise _broken(graph, f"{len(graph.states)} states, {len(graph.outputs)} outputs")
    if not graph.inputs or graph.inputs[0].name != "x" or graph.inputs[0].size != INPUT:
        raise _broken(graph, "its first input must be x, of size 'input'")
    if any(value.op != "input" for value in graph.inputs):
        raise _broken(graph, "something that is no input stands among its inputs")
    if any(value.op != "state" for value in graph.states):
        raise _broken(graph, "something that is no state stands among its states")
    if UNKNOWN in graph.symbols:
        raise _broken(graph, "the size of a state is not known")
    for kind, leaves in (("inputs", graph.inputs), ("states", graph.states)):
        if len({leaf.name for leaf in leaves}) != len(leaves):
            raise _broken(graph, f"two {kind} have the same name")
    if "t" in graph.state_sizes:
        raise _broken(graph, "a state is named 't', which is the step")
    _verify_outputs(graph)
    _verify_leaves(graph)
    _verify_names(graph)
    return graph


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
        if value.op in ("input", "state") and value not in declared:
            raise _broken(graph, f"{value.op} {value.name!r} is used but not declared")
        if value.op == "below" and graph.state_sizes.get(value.name) != value.size:
            raise _broken(graph, f"{value.name!r} of the layer below is no state of this cell")


def _verify_names(graph: Graph) -> None:
    """Leaves share one space of names and weights another, because both become keys."""
    for kind in ("leaf", "weight"):
        owner: dict[tuple[str, bool], Node] = {}
        for value in graph.nodes:
            if value.kind != kind or "name" not in value.attributes:
                continue
            key = (value.name, value.op == "below")
            if owner.setdefault(key, value) is not value:
                raise _broken(graph, f"two different {kind}s are named {value.name!r}")
    names = [name for name, _ in graph.signals]
    if len(names) != len(set(names)):
        raise _broken(graph, "two signals have the same name")
    for name, value in graph.signals:
        if value.op == "matrix":
            raise _broken(graph, f"signal {name!r} is a matrix, not a value")


def _broken(graph: Graph, rule: str) -> GraphError:
    return GraphError(f"graph of cell {graph.name!r}: {rule}")
