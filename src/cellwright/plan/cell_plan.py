"""From a cell to its programs: forward as it is used, forward for training, and backward."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from cellwright.autodiff import Derivative, differentiate
from cellwright.ir import Graph, Node, topological
from cellwright.plan.clocks import known_beforehand
from cellwright.plan.lasting import states_that_rest
from cellwright.plan.program import Array, Program
from cellwright.plan.saving import values_to_save
from cellwright.plan.step import Step
from cellwright.plan.sweeps import plan_step

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """The programs of one cell.

    Attributes
    ----------
    graph
        The cell's equations.
    record
        Names of the signals and states that are handed out at every step.
    forward
        The step as it is used.
    saved
        Arrays that the forward step of a training leaves for the backward step; none where
        no gradient is wanted.
    backward
        The gradient of the step.
    """

    graph: Graph
    record: tuple[str, ...]
    forward: Program
    saved: tuple[Array, ...] = ()
    backward: Program | None = None


def plan(graph: Graph, record: Sequence[str] = (), *, training: bool = False) -> Plan:
    """Plan a cell.

    Parameters
    ----------
    graph
        The cell's equations, without random draws in evaluation.
    record
        Names of the signals and states to hand out at every step.
    training
        Whether gradients are wanted.
    """
    derivative = differentiate(graph, record) if training else None
    arrays = _Arrays(graph, tuple(record), derivative)
    return Plan(
        graph=graph,
        record=tuple(record),
        forward=plan_step(_forward(arrays)),
        saved=tuple(arrays.saved.values()),
        backward=plan_step(_backward(arrays, derivative)) if derivative else None,
    )


class _Arrays:
    """Names for everything that the programs of a cell have in common."""

    def __init__(
        self, graph: Graph, record: tuple[str, ...], derivative: Derivative | None
    ) -> None:
        self.graph = graph
        results = derivative.results if derivative else ()
        self.nodes = tuple(topological((*graph.nodes, *results)))
        output = graph.states[0].name
        self.seen: dict[str, Array] = {}
        for name in dict.fromkeys((output, *record)):
            size = graph.state_sizes.get(name, graph.observable[name].size)
            self.seen[name] = Array(f"seen {name}", "step", size)
        # A value may lie in an array of its own size only: one number a row, spread over the
        # units of a state, is written there but not read back as a number; nor is a truth.
        self.where: dict[Node, Array] = {}
        for name, array in self.seen.items():
            value = graph.observable[name]
            if value.size == array.size and value.kind != "truth":
                self.where.setdefault(value, array)
        self.saved: dict[Node, Array] = {}
        if derivative:
            for number, value in enumerate(values_to_save(derivative, self.where)):
                name = next((n for n, v in graph.observable.items() if v is value), f"{number}")
                self.saved[value] = Array(f"saved {name}", "step", value.size)
        self.where |= self.saved
        self.before: dict[str, Array] = {}
        for state in graph.states:
            after = self.array_after(state.name)
            first = Array(f"before {state.name}", "carried", state.size)
            if after is not None:
                first = Array(f"before {state.name}", "previous", state.size, after)
            self.before[state.name] = first

    def array_after(self, state: str) -> Array | None:
        """Where all values of a state are kept, if they are."""
        if state in self.seen:
            return self.seen[state]
        array = self.where.get(self.graph.after[state])
        return array if array and array.size == self.graph.state_sizes[state] else None

    def leaves(self) -> dict[Node, Array]:
        """What both directions read alike."""
        found: dict[Node, Array] = {}
        for value in self.nodes:
            match value.op:
                case "input" | "below":
                    prefix = "below " if value.op == "below" else ""
                    found[value] = Array(f"input {prefix}{value.name}", "step", value.size)
                case "bernoulli":
                    place = "step" if value.attributes["per"] == "step" else "row"
                    found[value] = Array(f"draw {value.name}", place, value.size)  # type: ignore[arg-type]
                case "vector":
                    found[value] = Array(f"vector {value.name}", "vector", value.size)
                case "per_unit":
                    found[value] = Array(f"table {len(found)}", "vector", value.size)
                case "step":
                    found[value] = Array("count", "count", value.size)
                case _:
                    continue
        return found


def _forward(arrays: _Arrays) -> Step:
    graph = arrays.graph
    leaves = arrays.leaves()
    stores: list[tuple[Node, Array]] = []
    states: dict[str, tuple[Array, Array]] = {}
    for state in graph.states:
        before, after = arrays.before[state.name], arrays.array_after(state.name)
        if after is None:
            after = Array(f"after {state.name}", "next", state.size, before)
            stores.append((graph.after[state.name], after))
        leaves[state] = before
        states[state.name] = (before, after)
    stores += [(graph.observable[name], array) for name, array in arrays.seen.items()]
    return Step(
        f"{graph.name} forward",
        leaves,
        stores,
        states,
        saved=list(arrays.saved.items()),
        rests=states_that_rest(graph),
    )


def _backward(arrays: _Arrays, derivative: Derivative) -> Step:
    graph = arrays.graph
    leaves: dict[Node, Array] = {**arrays.where, **arrays.leaves()}
    for state in graph.states:
        before = arrays.before[state.name]
        if before.place == "previous":
            leaves[state] = before
    for name, leaf in derivative.outside.items():
        leaves[leaf] = Array(f"gradient of seen {name}", "step", leaf.size, optional=True)
    states: dict[str, tuple[Array, Array]] = {}
    stores: list[tuple[Node, Array]] = []
    for name, leaf in derivative.later.items():
        before = Array(f"gradient of {name} after", "carried", leaf.size)
        after = Array(f"gradient of {name} before", "next", leaf.size, before)
        leaves[leaf] = before
        states[name] = (before, after)
        stores.append((derivative.states[name], after))
    sunk = [
        (value, Array(f"gradient of {leaves[leaf].name}", "step", leaf.size, optional=True))
        for leaf, value in derivative.inputs.items()
    ]
    weights = graph.weights
    outers = [
        (weights[name], gradient, source)
        for name, pairs in derivative.matrices.items()
        for gradient, source in pairs
    ]
    sums = [(weights[name], value) for name, value in derivative.vectors.items()]
    return Step(
        f"{graph.name} backward",
        _used(leaves, known_beforehand(arrays.nodes), stores, sunk, outers, sums),
        stores,
        states,
        sunk=sunk,
        outers=outers,
        sums=sums,
        backward=True,
        rests=states_that_rest(graph),
    )


def _used(
    leaves: Mapping[Node, Array],
    beforehand: Container[Node],
    stores: Sequence[tuple[Node, Array]],
    sunk: Sequence[tuple[Node, Array]],
    outers: Sequence[tuple[Node, Node, Node]],
    sums: Sequence[tuple[Node, Node]],
) -> dict[Node, Array]:
    """Only the leaves that are read, looking no further than what is kept.

    What follows from time and constants is computed again, although it is kept where recorded; and
    a clock may be found behind what is kept.
    """
    roots = [v for v, _ in (*stores, *sunk)] + [v for _, v in sums]
    roots += [part for _, *pair in outers for part in pair]
    reached: dict[Node, None] = {}
    stack = list(roots)
    while stack:
        value = stack.pop()
        if value not in reached:
            reached[value] = None
            if value not in leaves or value in beforehand:
                stack.extend(value.inputs)
    return {v: array for v, array in leaves.items() if v in reached or v in beforehand}
