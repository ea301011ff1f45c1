"""What the forward pass keeps for the backward pass, and what is computed again."""

from __future__ import annotations

from collections.abc import Iterable

from cellwright.autodiff import Derivative
from cellwright.ir import Node, topological

__all__ = ["needed_values", "values_to_save"]

# Cheaper to compute again from what is there than to write to memory and read back.
_CHEAP = frozenset(
    {"neg", "abs", "sign", "relu", "add", "sub", "mul", "maximum", "minimum"}
    | {"where", "less", "less_equal", "equal"}
)
# Computed again only if what they are a function of is kept anyway: twenty operations of a
# vector unit for eight bytes of traffic.
_FROM_KEPT = frozenset({"sigmoid", "tanh", "exp", "sqrt", "div"})
_ALWAYS_THERE = frozenset({"leaf", "weight"})


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
    there: set[Node] = set(kept)
    saved: list[Node] = []

    def save(value: Node) -> None:
        if not can_compute(value, there, _CHEAP | _FROM_KEPT):
            there.add(value)
            saved.append(value)

    needed = needed_values(derivative)
    # States first: they also are, one step later, the states before the step.
    after = derivative.forward.after
    for value in needed:
        if value.op == "state" and value.size == after[value.name].size:
            save(after[value.name])
    dear = [v for v in topological(needed) if v in set(needed) and v.op not in _CHEAP]
    for value in dear:
        save(value)
    for value in needed:
        save(value)
    return saved


def can_compute(value: Node, there: set[Node], ops: frozenset[str]) -> bool:
    """Whether a value follows from what is there by operations of that kind."""
    stack, seen = [value], set()
    while stack:
        current = stack.pop()
        if current in there or current.kind in _ALWAYS_THERE or current in seen:
            continue
        seen.add(current)
        if current.op in _FROM_KEPT and not all(
            source in there or source.kind in _ALWAYS_THERE for source in current.inputs
        ):
            return False
        if current.op not in ops:
            return False
        stack.extend(current.inputs)
    return True
