"""Reverse differentiation of one step, from graph to graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from cellwright.autodiff.table import FLAT, GRADIENTS, build
from cellwright.autodiff.totals import Totals
from cellwright.errors import GraphError, did_you_mean
from cellwright.ir import SCALAR, Graph, Node, Size, node

__all__ = ["Derivative", "differentiate"]

# What a gradient may be wanted of. Nothing is learned by what depends on none of these.
_WANTED = frozenset({"input", "state", "below", "matrix", "vector"})


@dataclass(frozen=True)
class Derivative:
    """The gradient of one step: what comes into it from behind, and what leaves it in front.

    All expressions are built from nodes of the forward graph, the leaves in `outside` and
    `later`, and constants, and share common parts. Each has the size of what it is the
    gradient of. With L the loss,

    - the total gradient of a state after the step is ``later[s]``, plus ``outside[s]`` where
      there is one;
    - dL/dW of a matrix is the sum over rows, steps and pairs of the outer product of the
      pair, ``gradient[:, None] * source``, to be masked as the matrix is;
    - dL/dv of a vector is the sum over rows and steps.

    Attributes
    ----------
    forward
        The graph that was differentiated.
    outside
        Name -> the leaf that stands for the gradient which the caller gives for that output
        or recorded value: the output state, then what is recorded.
    later
        State name -> the leaf that stands for the gradient of that state after the step,
        coming from the steps after it.
    states
        State name -> gradient of that state before the step; the constant 0 if nothing flows.
    inputs
        Input or state of the layer below -> its gradient; absent if nothing flows.
    matrices
        Matrix name -> pairs of the gradient of a product, of the size of the matrix's rows,
        and what the matrix was multiplied with, of the size of its columns; absent if
        nothing flows.
    vectors
        Vector name -> its gradient in one row at one step; absent if nothing flows.
    """

    forward: Graph
    outside: Mapping[str, Node]
    later: Mapping[str, Node]
    states: Mapping[str, Node]
    inputs: Mapping[Node, Node]
    matrices: Mapping[str, tuple[tuple[Node, Node], ...]]
    vectors: Mapping[str, Node]

    @property
    def results(self) -> tuple[Node, ...]:
        """Everything that is computed, whatever it is the gradient of."""
        pairs = (part for pairs in self.matrices.values() for pair in pairs for part in pair)
        found = (*self.states.values(), *self.inputs.values(), *self.vectors.values(), *pairs)
        return tuple(found)


def differentiate(graph: Graph, record: Sequence[str] = ()) -> Derivative:
    """Return the gradient of a step by everything that it reads.

    Parameters
    ----------
    graph
        One step of a cell.
    record
        Names of the signals and states, beside the output, whose values the caller sees and
        may give a gradient for.

    Raises
    ------
    GraphError
        There is nothing of that name to record.

    Notes
    -----
    ``sign``, ``floor`` and comparisons let nothing through, where torch lets through zeros.
    The two differ only where such a zero meets an infinite slope: torch makes NaN of it.
    """
    for name in record:
        if name not in graph.observable:
            hint = did_you_mean(name, graph.observable)
            raise GraphError(f"cell {graph.name!r} has nothing named {name!r} to record.{hint}")
    seen = dict.fromkeys((graph.states[0].name, *record))
    outside = {name: _arriving(graph, name, "outside") for name in seen}
    later = {name: _arriving(graph, name, "later") for name in graph.state_sizes}
    flow = _Flow(graph)
    for name, value in graph.observable.items():
        arriving = [leaves[name] for leaves in (later, outside) if name in leaves]
        if arriving:
            total = reduce(partial(build, "add"), arriving)
            flow.into(value, flow.summed(total, total.size, value))
    flow.back()
    vectors = (value for value in graph.weights.values() if value.op == "vector")
    return Derivative(
        forward=graph,
        outside=outside,
        later=later,
        states={s.name: flow.of(s) or node("constant", value=0.0) for s in graph.states},
        inputs=flow.known(leaf for leaf in graph.nodes if leaf.op in ("input", "below")),
        matrices={
            name: tuple(flow.pairs[value])
            for name, value in graph.weights.items()
            if value in flow.pairs
        },
        vectors={vector.name: gradient for vector, gradient in flow.known(vectors).items()},
    )


class _Flow:
    """What has flowed back so far, while the nodes are visited users first.

    A gradient that is the same for all units is kept as one number, of size 1, for as long as
    nothing needs it unit by unit.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.so_far: dict[Node, Node] = {}
        self.pairs: dict[Node, list[tuple[Node, Node]]] = {}
        self.totals = Totals()
        moving: set[Node] = set()
        for value in graph.nodes:
            moved = value.op not in FLAT and any(source in moving for source in value.inputs)
            if moved or value.op in _WANTED:
                moving.add(value)
        self.moving = frozenset(moving)

    def into(self, value: Node, contribution: Node) -> None:
        """Add what flows into a value; the order of the calls is the order of the sum."""
        if value in self.moving:
            known = self.so_far.get(value)
            self.so_far[value] = build("add", known, contribution) if known else contribution

    def back(self) -> None:
        """Let everything flow from the results to the leaves."""
        for value in reversed(self.graph.nodes):
            if value.inputs and value in self.so_far:
                self._through(value, self.so_far[value])

    def _through(self, value: Node, gradient: Node) -> None:
        if value.kind == "product":
            gradient = _spread(gradient, value.size)
        contributions = GRADIENTS[value.op](gradient, value, *value.inputs)
        for source, contribution in zip(value.inputs, contributions, strict=True):
            if isinstance(contribution, tuple):
                self.pairs.setdefault(source, []).append(contribution)
            elif contribution is not None and value.kind == "pointwise":
                self.into(source, self.summed(contribution, value.size, source))
            elif contribution is not None:
                self.into(source, contribution)

    def summed(self, gradient: Node, size: Size, source: Node) -> Node:
        """The gradient of a source that was spread over `size` units, if it was."""
        spread = source.size == SCALAR != size
        return self.totals.of(gradient, size) if spread else gradient

    def of(self, leaf: Node) -> Node | None:
        """The gradient of a leaf, unit by unit; None if nothing flows."""
        gradient = self.so_far.get(leaf)
        return _spread(gradient, leaf.size) if gradient else None

    def known(self, leaves: Iterable[Node]) -> dict[Node, Node]:
        """The gradients of those leaves that have one."""
        return {leaf: gradient for leaf in leaves if (gradient := self.of(leaf))}


def _arriving(graph: Graph, name: str, origin: str) -> Node:
    # A state that becomes one number a row is nevertheless handed on with all its units.
    size = graph.state_sizes.get(name, graph.observable[name].size)
    return node("gradient", name=name, size=size, origin=origin)


def _spread(gradient: Node, size: Size) -> Node:
    """The same value, but unit by unit: numbers do not change when multiplied by one."""
    if gradient.size == size:
        return gradient
    return build("mul", gradient, node("per_unit", values=(1.0,), size=size))
