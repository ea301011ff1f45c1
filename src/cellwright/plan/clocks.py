"""Clocks: units that rest at a step, as those of a clockwork network do.

A *clock* is a truth that follows from the index of the step and from constants alone, such as
``t % period == 0``. Where it says no, a value that is only ever chosen by it need not be
computed, and a gradient that came through the choice is zero.
"""

from __future__ import annotations

from collections.abc import Iterable

from cellwright.ir import Node, topological

__all__ = ["Clocks", "follows_from_step", "known_beforehand"]

# Finite wherever their inputs are: with zero instead of a product, what is computed and not
# chosen is finite too, so that its gradient, zero times something, is zero.
_FINITE = frozenset(
    {"neg", "abs", "sign", "sin", "cos", "sigmoid", "tanh", "relu", "add", "sub", "mul"}
    | {"maximum", "minimum", "where"}
)
# Their gradient divides by their result, which therefore must not become zero.
_DIVISORS = frozenset({"sqrt"})


class Clocks:
    """What rests when, in one step.

    Parameters
    ----------
    roots
        Everything that the step computes.
    stores
        What it leaves at every step for anybody but its own gradient.
    gradient
        Whether the step is a gradient. A zero times what is not finite is NaN, and a negative one
        is another zero; only a gradient may take both for zero.
    """

    def __init__(self, roots: Iterable[Node], stores: set[Node], *, gradient: bool) -> None:
        self.gradient = gradient
        order = list(topological(roots))
        self.clocks = {v for v in follows_from_step(order) if v.kind == "truth"}
        self._resting: dict[Node, Node] = {}
        # The clocks by which a value is chosen; None if it is looked at in any case.
        self._chosen: dict[Node, set[Node] | None] = {}
        if self.clocks:
            for value in order:
                self._rest(value)
                self._chosen[value] = None if value.op in _DIVISORS else set()
            self._chosen |= dict.fromkeys(stores)
            for value in reversed(order):
                for source in value.inputs:
                    self._look(value, source)

    def needed(self, value: Node) -> Node | None:
        """The clock without which nobody looks at a value."""
        found = self._chosen.get(value)
        clock = next(iter(found)) if found and len(found) == 1 else None
        return clock if clock and clock.size == value.size else None

    def rests(self, value: Node) -> Node | None:
        """The clock without which a value is zero."""
        clock = self._resting.get(value)
        return clock if clock and clock.size == value.size else None

    def _look(self, user: Node, source: Node) -> None:
        """Note what a user asks of a source."""
        found: set[Node] | None = None
        if user.op == "where" and source not in (user.inputs[0], user.inputs[2]):
            found = {user.inputs[0]} & self.clocks or self._chosen[user]
        elif user.op in _FINITE and user.size == source.size:
            found = self._chosen[user]
        known = self._chosen[source]
        self._chosen[source] = None if known is None or found is None else known | found

    def _rest(self, value: Node) -> None:
        """Note when a value is zero, if its inputs tell."""
        resting = [self._resting.get(source) for source in value.inputs]
        clock = None
        if value.op == "where" and value.inputs[0] in self.clocks and _is_zero(value.inputs[2]):
            clock = value.inputs[0]
        elif value.op in ("add", "sub") and resting[0] is resting[1]:
            clock = resting[0]
        elif value.op in ("mul", "neg") and self.gradient:
            clock = resting[0] or resting[-1]
        if clock:
            self._resting[value] = clock


def follows_from_step(order: Iterable[Node]) -> set[Node]:
    """What follows from the index of the step and from constants, and not from constants alone."""
    return {value for value, has_step in known_beforehand(order).items() if has_step}


def known_beforehand(order: Iterable[Node]) -> dict[Node, bool]:
    """What follows from constants and the index of the step, and whether that is in it."""
    steps: dict[Node, bool] = {}
    for value in order:
        if value.op in ("step", "constant", "per_unit", "count"):
            steps[value] = value.op == "step"
        elif value.kind in ("pointwise", "truth") and steps.keys() >= set(value.inputs):
            steps[value] = any(steps[source] for source in value.inputs)
    return steps


def _is_zero(value: Node) -> bool:
    return value.op == "constant" and value.attributes["value"] == 0
