"""What the forward pass keeps for the backward pass, and what is computed again."""

from __future__ import annotations

from collections.abc import Container, Iterable

from cellwright.autodiff import Derivative
from cellwright.ir import SCALAR, Graph, Node, topological
from cellwright.plan.clocks import follows_from_step

__all__ = ["CHEAP", "needed_values", "values_to_save"]

CHEAP = frozenset(
    {"neg", "abs", "sign", "relu", "add", "sub", "mul", "maximum", "minimum"}
    | {"where", "less", "less_equal", "equal"}
)
# What it costs to compute an operation of a vector again, about in cycles; one that is not here
# is never computed again.
_COST = dict.fromkeys(CHEAP, 1) | {"div": 16, "sqrt": 16, "exp": 16, "sigmoid": 24, "tanh": 24}
# What it costs to write a vector to memory and read it back, of which a long batch is full.
_SAVING = 45


def needed_values(derivative: Derivative) -> list[Node]:
    """Values of the forward step that its gradient reads, in the order of the equations."""
    coming = {*derivative.outside.values(), *derivative.later.values()}
    roots = derivative.results
    backward: set[Node] = set(coming)
    needed: dict[Node, None] = {}
    for value in topological(roots):
        if any(source in backward for source in value.inputs):
            backward.add(value)
            needed.update(dict.fromkeys(s for s in value.inputs if s not in backward))
    needed.update(dict.fromkeys(value for value in roots if value not in backward))
    return list(needed)


def values_to_save(derivative: Derivative, kept: Iterable[Node]) -> list[Node]:
    """Values that the forward step has to write down at every step, beside what is kept anyway.

    Parameters
    ----------
    derivative
        The gradient of the step.
    kept
        Values that are written down in any case: outputs, and what is recorded.
    """
    there = _There(derivative.forward, kept)
    needed = needed_values(derivative)
    # States first: they also are, one step later, the states before the step.
    after = derivative.forward.after
    for value in needed:
        if value.op == "state" and value.size == after[value.name].size:
            there.keep(after[value.name])
    # A truth is no number: what is compared is kept instead.
    wanted = {s for v in needed for s in (v.inputs if v.kind == "truth" else (v,))}
    order = [value for value in topological(needed) if value in wanted]
    # First what does not even follow from all the others that come before it.
    before: set[Node] = set()
    for value in order:
        if not there.can_compute(value, before):
            there.keep(value)
        before.add(value)
    for value in order:
        if not there.can_compute(value):
            there.keep(value)
    return there.saved


class _There:
    """What the backward step can read, or compute from what it can read."""

    def __init__(self, graph: Graph, kept: Iterable[Node]) -> None:
        self.after = graph.after
        self.free = follows_from_step(graph.nodes)
        self.kept: set[Node] = set(kept)
        self.saved: list[Node] = []

    def keep(self, value: Node) -> None:
        """Have a value written down."""
        if value not in self.kept:
            self.kept.add(value)
            self.saved.append(value)

    def can_read(self, value: Node) -> bool:
        """Whether a value lies in memory when the backward step is taken."""
        if value.op == "state" and value not in self.kept:
            # The state before a step is the state after the one before, if that is written down.
            after = self.after[value.name]
            return after in self.kept and after.size == value.size
        return value in self.kept or value in self.free or value.kind in ("leaf", "weight")

    def can_compute(self, value: Node, also: Container[Node] = ()) -> bool:
        """Whether a value follows from what lies in memory, for less than saving it costs."""
        stack, seen, cost = [value], set(), 0
        while stack:
            current = stack.pop()
            if current in seen or current in also or self.can_read(current):
                continue
            seen.add(current)
            # One number for all units of a row is soon computed, unless it is their sum.
            known = current.op in _COST
            cost += 1 if known and current.size == SCALAR else _COST.get(current.op, _SAVING)
            if cost >= _SAVING:
                return False
            stack.extend(current.inputs)
        return True
