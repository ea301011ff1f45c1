"""What the forward pass keeps for the backward pass, and what is computed again."""

from __future__ import annotations

from collections.abc import Iterable

from cellwright.autodiff import Derivative
from cellwright.ir import Graph, Node, topological

__all__ = ["needed_values", "values_to_save"]

# Cheaper to compute again from what is there than to write to memory and read back.
_CHEAP = frozenset(
    {"neg", "abs", "sign", "relu", "add", "sub", "mul", "maximum", "minimum"}
    | {"where", "less", "less_equal", "equal"}
)
# Computed again only if what they are a function of is kept anyway: twenty operations of a
# vector unit for eight bytes of traffic.
_FROM_KEPT = frozenset({"sigmoid", "tanh", "exp", "sqrt", "div"})


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
    wanted = set(needed)
    for value in topological(needed):
        if value in wanted and value.op not in _CHEAP:
            there.save(value)
    for value in needed:
        there.save(value)
    return there.saved


class _There:
    """What the backward step can read, or compute from what it can read."""

    def __init__(self, graph: Graph, kept: Iterable[Node]) -> None:
        self.after = graph.after
        self.kept: set[Node] = set(kept)
        self.saved: list[Node] = []

    def keep(self, value: Node) -> None:
        """Have a value written down."""
        if value not in self.kept:
            self.kept.add(value)
            self.saved.append(value)

    def save(self, value: Node) -> None:
        """Have a value written down unless it can be computed."""
        if self.can_compute(value):
            return
        if value.kind == "truth":  # which is no number: what is compared is
            for source in value.inputs:
                self.save(source)
        else:
            self.keep(value)

    def can_read(self, value: Node) -> bool:
        """Whether a value lies in memory when the backward step is taken."""
        if value.op == "state" and value not in self.kept:
            # The state before a step is the state after the one before, if that is written down.
            after = self.after[value.name]
            return after in self.kept and after.size == value.size
        return value in self.kept or value.kind in ("leaf", "weight")

    def can_compute(self, value: Node) -> bool:
        """Whether a value follows cheaply from what lies in memory."""
        stack, seen = [value], set()
        while stack:
            current = stack.pop()
            if current in seen or self.can_read(current):
                continue
            seen.add(current)
            dear = current.op in _FROM_KEPT and not all(map(self.can_read, current.inputs))
            if dear or current.op not in _CHEAP | _FROM_KEPT:
                return False
            stack.extend(current.inputs)
        return True
