"""Sums over units in a gradient, with what is one number for all units taken out of them.

Such a number is often a sum itself, as where a mean and a variance have been taken. Outside,
both sums are taken in one pass over the units; inside, one would have to wait for the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cellwright.autodiff.table import build
from cellwright.ir import SCALAR, Node, Size, node, topological

__all__ = ["Totals"]

_TERMS = frozenset({"add", "sub", "neg"})
_FACTORS = frozenset({"mul", "div", "neg"})


class Totals:
    """Takes values apart, each once, whatever the depth of their expressions."""

    def __init__(self) -> None:
        # A value as a product: of what differs from unit to unit, and of one number for all.
        self.factors: dict[Node, tuple[Node, Node | None]] = {}
        # Whether a term of the value is one number for all units, or multiplied with one.
        self.scaled: dict[Node, bool] = {}

    def of(self, value: Node, size: Size) -> Node:
        """The sum of a value over the units of a size."""
        for part in topological([value], _Where(self._is_known)):
            if part not in self.scaled:
                self._take_apart(part)
        totals: dict[Node, Node] = {}
        for part in topological([value], _Where(lambda part: not self._is_sum(part))):
            if part.size == SCALAR:
                total = build("mul", part, node("count", of=size))
            elif self._is_sum(part):
                total = build(part.op, *(totals[term] for term in part.inputs))
            else:
                units, number = self.factors[part]
                total = build("sum", units)
                total = build("mul", number, total) if number else total
            totals[part] = total
        return totals[value]

    def _is_known(self, part: Node) -> bool:
        return part in self.scaled or part.size == SCALAR or part.op not in _TERMS | _FACTORS

    def _is_sum(self, part: Node) -> bool:
        return part.size != SCALAR and part.op in _TERMS and self.scaled[part]

    def _take_apart(self, part: Node) -> None:
        number: Node | None = part
        if part.size != SCALAR:
            _, number = self.factors[part] = self._factors(part)
            if part.op in _TERMS:
                self.scaled[part] = any(self.scaled[term] for term in part.inputs)
                return
        self.scaled[part] = number is not None and number.op != "constant"

    def _factors(self, value: Node) -> tuple[Node, Node | None]:
        if value.op == "neg":
            units, number = self.factors[value.inputs[0]]
            return (units, build("neg", number)) if number else (value, None)
        if value.op not in _FACTORS:
            return value, None
        left, right = value.inputs
        if right.size == SCALAR:
            units, number = self.factors[left]
            return units, build(value.op, number or 1.0, right)
        if left.size == SCALAR:
            if value.op == "div":
                return build("div", 1.0, right), left
            units, number = self.factors[right]
            return units, build("mul", left, number) if number else left
        (left, first), (right, second) = self.factors[left], self.factors[right]
        if first is None and second is None:
            return value, None
        return build(value.op, left, right), build(value.op, first or 1.0, second or 1.0)


class _Where:
    """Holds the values of which something is true."""

    def __init__(self, is_true: Callable[[Node], bool]) -> None:
        self.is_true = is_true

    def __contains__(self, value: Any) -> bool:
        return self.is_true(value)
