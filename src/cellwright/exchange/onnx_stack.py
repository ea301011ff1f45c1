"""Recurrent nodes of an ONNX graph that are layers on top of each other.

Y is (T, D, B, H), or (B, T, D, H) with layout 1, and what the layer above reads (T, B, D · H)
or (B, T, D · H): exporters write nodes between them that change nothing but the layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from cellwright.errors import ModelFileError, SettingError
from cellwright.exchange.onnx_graph import OPERATORS, OnnxGraph, first_input, standard
from cellwright.exchange.onnx_node import inputs_of, name_of, options_of

__all__ = ["find_stack", "listed", "names_of"]

_Change = tuple[str, tuple[int, ...]]

# The nodes that put the directions of Y side by side, from Y on; a Squeeze for one alone.
_JOINING: dict[int, tuple[tuple[_Change, ...], ...]] = {
    0: ((("Transpose", (0, 2, 1, 3)), ("Reshape", (0, 0, -1))),),
    1: ((("Reshape", (0, 0, -1)),),),
}
_JOINING_ONE: dict[int, tuple[tuple[_Change, ...], ...]] = {
    0: ((("Squeeze", (1,)),), (("Squeeze", (-3,)),)),
    1: ((("Squeeze", (2,)),), (("Squeeze", (-2,)),)),
}


def find_stack(graph: OnnxGraph) -> list[Any]:
    """All recurrent nodes from the lowest up.

    Raises
    ------
    ModelFileError
        There is none.
    SettingError
        They are no stack, in which each reads all of the one below and nothing else, or their
        sequences end at different places.
    """
    nodes = graph.recurrent()
    if not nodes:
        raise ModelFileError("the model's main graph has no node LSTM, GRU or RNN")
    below = {id(node): _below(graph, node) for node in nodes}
    stack = [node for node in nodes if below[id(node)] is None][:1]
    while above := [node for node in nodes if stack and below[id(node)] is stack[-1]]:
        stack += above
    if len(stack) != len(nodes) or any(
        below[id(upper)] is not lower for lower, upper in pairwise(stack)
    ):
        raise SettingError(
            f"the model's recurrent nodes are no stack, in which each reads all of the one below "
            f"and nothing else; choose one with node=: {listed(nodes)}"
        )
    _check_lengths(graph, stack)
    return stack


def _check_lengths(graph: OnnxGraph, stack: Sequence[Any]) -> None:
    given = [inputs_of(node).get("sequence_lens", "") for node in stack]
    if len({graph.source(name) for name in given}) > 1:
        each = ", ".join(
            f"{name_of(node)} has {repr(name) if name else 'none'}"
            for node, name in zip(stack, given, strict=True)
        )
        raise SettingError(
            f"sequence_lens differs between the layers of a stack: {each}; lengths= of a Recurrent "
            f"holds for all its layers: choose one with node="
        )


def names_of(nodes: Sequence[Any]) -> list[str]:
    """For each node its name; that of an output where it has none, or shares it."""
    often = Counter(node.name for node in nodes)
    return [
        node.name
        if node.name and often[node.name] == 1
        else next(filter(None, node.output), node.name)
        for node in nodes
    ]


def listed(nodes: Sequence[Any]) -> str:
    """The names under which the user may ask for nodes."""
    named = zip(names_of(nodes), nodes, strict=True)
    return ", ".join(f"{name!r} ({node.op_type})" for name, node in named)


def _below(graph: OnnxGraph, node: Any) -> Any:
    """The recurrent node whose whole output another one reads, or None."""
    changes: list[_Change] = []
    name = first_input(node)
    maker = graph.maker(name)
    for _ in graph.nodes:  # and no further, round a ring of them, which is no model
        if maker is None or not standard(maker) or maker.op_type in OPERATORS:
            break
        change = _change(graph, maker)
        if change is None:
            return None
        changes = [*change, *changes]
        name = first_input(maker)
        maker = graph.maker(name)
    recurrent = maker is not None and standard(maker) and maker.op_type in OPERATORS
    if not recurrent or name != maker.output[0]:
        return None
    options = options_of(maker)
    layout = options.get("layout", 0)
    joining = _JOINING[layout]
    if options.get("direction", "forward") != "bidirectional":
        joining += _JOINING_ONE[layout]
    return maker if tuple(changes) in joining else None


def _change(graph: OnnxGraph, node: Any) -> list[_Change] | None:
    """A node that changes nothing but the layout, and how; None for any other."""
    numbers = {attribute.name: tuple(attribute.ints) for attribute in node.attribute}
    if node.op_type == "Identity":
        return []
    if node.op_type == "Transpose":
        return [("Transpose", numbers.get("perm", ()))]
    zeros = any(attribute.name == "allowzero" and attribute.i for attribute in node.attribute)
    if node.op_type in ("Squeeze", "Reshape") and not zeros:
        wanted = graph.constant(node.input[1]) if len(node.input) > 1 else None
        found = numbers.get("axes", ()) if wanted is None else wanted.flat
        return [(node.op_type, tuple(int(number) for number in found))]
    return None
