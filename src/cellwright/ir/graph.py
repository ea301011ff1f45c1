"""A graph: one step of a cell, from the states before it to the states after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from cellwright.ir.node import Node, node, topological
from cellwright.ir.sizes import HIDDEN, INPUT, Size

__all__ = ["Graph"]


@dataclass(frozen=True)
class Graph:
    """One step of a cell. Graphs with the same nodes are equal.

    Attributes
    ----------
    name
        The cell's name.
    inputs
        What is given at every step, ``x`` first.
    states
        The states before the step; the first one is the cell's output.
    outputs
        The states after the step, in the same order.
    signals
        Named values inside the step, in the author's order and words.
    summary
        What the author said about the cell.
    """

    name: str
    inputs: tuple[Node, ...]
    states: tuple[Node, ...]
    outputs: tuple[Node, ...]
    signals: tuple[tuple[str, Node], ...] = ()
    summary: str = field(default="", compare=False)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of the graph, inputs before users, else in the author's order."""
        signals = (value for _, value in self.signals)
        return tuple(topological((*self.inputs, *self.states, *signals, *self.outputs)))

    @cached_property
    def state_sizes(self) -> dict[str, Size]:
        """State name -> size, output state first."""
        return {state.name: state.size for state in self.states}

    @cached_property
    def after(self) -> dict[str, Node]:
        """State name -> its value after the step."""
        return {state.name: value for state, value in zip(self.states, self.outputs, strict=True)}

    @cached_property
    def weights(self) -> dict[str, Node]:
        """Parameter name -> matrix or vector node, in the order in which they are used."""
        return {value.name: value for value in self.nodes if value.kind == "weight"}

    @cached_property
    def observable(self) -> dict[str, Node]:
        """Everything that can be recorded: the states after the step, then the signals.

        A state's name always means the state, also where the author's local variable of
        that name is something else.
        """
        return self.after | {k: v for k, v in self.signals if k not in self.after}

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes that must be given to build a layer, beyond input and hidden."""
        sizes: set[object] = set()
        for value in self.nodes:
            sizes |= {value.attributes.get(key) for key in ("size", "columns", "of")}
        return frozenset(s for s in sizes if isinstance(s, str)) - {INPUT, HIDDEN}

    def leaves(self, op: str) -> tuple[Node, ...]:
        """All nodes of one op, such as ``"bernoulli"`` or ``"below"``."""
        return tuple(value for value in self.nodes if value.op == op)

    def depends_on(self, op: str) -> frozenset[Node]:
        """All nodes whose value depends on a node of this op."""
        found: set[Node] = set()
        for value in self.nodes:
            if value.op == op or any(source in found for source in value.inputs):
                found.add(value)
        return frozenset(found)

    def rewrite(self, rule: Callable[[Node], Node]) -> Graph:
        """Rebuild the graph bottom up, each node replaced by what `rule` makes of it.

        `rule` sees a node whose inputs have been rewritten already.
        """
        new: dict[Node, Node] = {}
        for value in self.nodes:
            inputs = tuple(new[source] for source in value.inputs)
            rebuilt = value if inputs == value.inputs else rebuild(value, inputs)
            new[value] = rule(rebuilt)
        return self.substitute(new)

    def substitute(self, new: Mapping[Node, Node]) -> Graph:
        """Replace outputs and signals; inputs and states stay what they are."""
        return replace(
            self,
            outputs=tuple(new.get(value, value) for value in self.outputs),
            signals=tuple((name, new.get(value, value)) for name, value in self.signals),
        )


def rebuild(value: Node, inputs: tuple[Node, ...]) -> Node:
    """The same operation on other inputs."""
    return node(value.op, *inputs, **value.attributes)
