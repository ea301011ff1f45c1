"""What a step reads and what it has to leave behind, before it is planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cellwright.ir import Node, topological
from cellwright.plan.clocks import Clocks
from cellwright.plan.program import Array

__all__ = ["Step", "is_given", "known_sources"]


@dataclass(frozen=True)
class Step:
    """What a step reads and what it has to leave behind.

    Attributes
    ----------
    name
        What is computed, for readers.
    leaves
        Where the values lie that come from outside.
    stores
        What is to be written at every step, and where.
    saved
        The same, for nobody but the gradient of the step.
    sunk
        The same, for what nothing in the loop waits for.
    outers
        Matrix, gradient of its product, source of its product.
    sums
        Vectors and what is to be summed over rows and steps for each.
    states
        Name -> the array before and the array after a step.
    rests
        State of the cell -> the clock without which a unit of it stays as it is.
    """

    name: str
    leaves: Mapping[Node, Array]
    stores: Sequence[tuple[Node, Array]]
    states: Mapping[str, tuple[Array, Array]]
    saved: Sequence[tuple[Node, Array]] = ()
    sunk: Sequence[tuple[Node, Array]] = ()
    outers: Sequence[tuple[Node, Node, Node]] = ()
    sums: Sequence[tuple[Node, Node]] = ()
    backward: bool = False
    rests: Mapping[Node, Node] = field(default_factory=dict)

    @property
    def written(self) -> list[tuple[Node, Array]]:
        """All that is written at every step, and where."""
        return [*self.stores, *self.saved]

    def clocks(self) -> Clocks:
        """What rests at a step; a gradient is looked at in any case, and what it is made of."""
        after = {array for _, array in self.states.values()}
        seen = [v for v, _ in self.stores] + [v for v, array in self.saved if array in after]
        roots = [v for v, _ in (*self.written, *self.sunk)] + [v for _, v in self.sums]
        roots += [v for _, left, right in self.outers for v in (left, right)]
        return Clocks(roots, set(roots if self.backward else seen), gradient=self.backward)


def known_sources(step: Step) -> Iterable[Node]:
    """What follows from the input alone, has to be computed, and meets a matrix."""
    known: dict[Node, bool] = {}  # and whether the input has a part in it
    sources: dict[Node, None] = {}
    for value in topological([value for value, _ in step.written], step.leaves):
        array = step.leaves.get(value)
        if value.kind == "weight" or value.op == "constant" or (array and array.place == "vector"):
            known[value] = False
        elif array is not None:
            if is_given(value, array):
                known[value] = True
        elif value.kind != "reduction" and known.keys() >= set(value.inputs):
            known[value] = any(known[source] for source in value.inputs)
        for source in value.inputs[1:] if value.kind == "product" else ():
            if known.get(source) and source not in step.leaves:
                sources[source] = None
    return sources


def is_given(value: Node, array: Array) -> bool:
    """Whether a value is known of all steps before the first one is taken."""
    return value.kind == "leaf" and array.place == "step"
