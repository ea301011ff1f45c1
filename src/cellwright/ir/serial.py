"""Graphs as JSON and back: plain data, no code. What comes back is verified and equal."""

from __future__ import annotations

import copyreg
import math
from collections.abc import Mapping
from typing import Any

from cellwright.errors import GraphError
from cellwright.ir.graph import Graph
from cellwright.ir.node import USUAL, Node, node
from cellwright.ir.verify import verify_cell

__all__ = ["from_json", "to_json"]

VERSION = 1


def to_json(graph: Graph) -> dict[str, Any]:
    """Return the graph as JSON-ready data: its nodes in order, and references by index."""
    index = {value: position for position, value in enumerate(graph.nodes)}
    return {
        "version": VERSION,
        "name": graph.name,
        "summary": graph.summary,
        "nodes": [
            {"op": value.op, "inputs": [index[source] for source in value.inputs]}
            | {k: _plain(v) for k, v in value.attributes.items() if k not in USUAL or v != USUAL[k]}
            for value in graph.nodes
        ],
        "inputs": [index[value] for value in graph.inputs],
        "states": [index[value] for value in graph.states],
        "outputs": [index[value] for value in graph.outputs],
        "signals": [[name, index[value]] for name, value in graph.signals],
    }


def from_json(data: Any) -> Graph:
    """Return the graph that `to_json` wrote.

    Raises
    ------
    GraphError
        The data is not a graph, or is one that breaks a rule. Nothing else is raised,
        whatever the data.
    """
    try:
        return _read(data)
    except GraphError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise GraphError(f"not a graph: {type(error).__name__}: {error}") from error


def _read(data: Mapping[str, Any]) -> Graph:
    if data["version"] != VERSION:
        raise GraphError(f"graph of version {data['version']!r}; this cellwright reads {VERSION}")
    nodes: list[Node] = []

    def at(position: object) -> Node:
        # A bool or a negative index would be valid Python and a wrong file.
        if type(position) is not int or not 0 <= position < len(nodes):
            raise GraphError(f"there is no node {position!r} before its use")
        return nodes[position]

    for entry in data["nodes"]:
        attributes = {key: value for key, value in entry.items() if key not in ("op", "inputs")}
        inputs = [at(position) for position in entry["inputs"]]
        nodes.append(node(str(entry["op"]), *inputs, **attributes))
    return verify_cell(
        Graph(
            name=_text(data["name"]),
            summary=_text(data["summary"]),
            inputs=tuple(at(position) for position in data["inputs"]),
            states=tuple(at(position) for position in data["states"]),
            outputs=tuple(at(position) for position in data["outputs"]),
            signals=tuple((_text(name), at(position)) for name, position in data["signals"]),
        )
    )


def _pickle(graph: Graph) -> tuple[Any, ...]:
    return from_json, (to_json(graph),)


# Nodes are shared and exist once in a process, so a graph travels as data.
copyreg.pickle(Graph, _pickle)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise GraphError(f"expected text, got {value!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return list(value) if isinstance(value, tuple) else value
