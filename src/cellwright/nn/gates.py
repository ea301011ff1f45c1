"""Which biases of a cell decide how long it remembers, found from its equations.

A cell is asked, not read: its pointwise equations are evaluated on random numbers, and a bias
is raised to see what that does to the weight of the old state and to the new content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_
from typing import Any, TypeAlias

import torch
from torch import Tensor

from cellwright.backends.reference import MEANING
from cellwright.cells.carrying import coefficient, straight
from cellwright.ir import Graph, Node, topological

__all__ = ["Gates", "find_gates"]

_SAMPLES, _UNITS = 64, 8
_RAISE = 0.5
_ROUNDING = 1e-9

# In their order, each once.
_Factors: TypeAlias = dict[Node, None]


@dataclass(frozen=True)
class Gates:
    """The biases that decide how long one state is remembered.

    Attributes
    ----------
    state
        The state's name.
    keeping
        Biases that raise the weight of the old state, as a forget gate's.
    writing
        Biases that lower it, as those of a GRU that mixes old and new, or that open a gate
        before the new content, as an input gate's.
    """

    state: str
    keeping: tuple[str, ...]
    writing: tuple[str, ...]


@lru_cache(maxsize=256)
def find_gates(graph: Graph) -> tuple[Gates, ...]:
    r"""The gates of each state that goes straight from step to step.

    With $s' = A \odot s + \sum_k R_k$, a bias *keeps* if raising it never lowers and
    sometimes raises $A$; it *writes* if raising it never raises and sometimes lowers $A$, or if
    it does nothing to $A$ and opens a gate, a factor in (0, 1], of some $R_k$. Of several
    biases that are added up in one gate, only the first counts.

    Only states whose $A$ lies in 0 to 1 are looked at, and only those whose keeping gates
    close in on 1: of an exponential gate, which a stabiliser keeps in bounds, no bias says how
    long it remembers.
    """
    found = []
    for state in graph.state_sizes:
        weight = coefficient(graph, state)
        if weight is None:
            continue
        ask = _Inquiry([weight, *graph.outputs])
        keeping, closing = ask.moved_by(weight, "up"), ask.moved_by(weight, "down")
        if not (keeping or closing) or not ask.is_share(weight):
            continue
        if not all(ask.saturates(graph.outputs, name) for name in keeping):
            continue
        still = ask.moved_by(weight, "still")
        gates = _letting_in(graph, state, ask)
        opening = (n for gate in gates for n in ask.moved_by(gate, "up") if n in still)
        writing = dict.fromkeys((*closing, *opening))
        found.append(Gates(state, keeping, tuple(writing)))
    return tuple(found)


def _letting_in(graph: Graph, state: str, ask: _Inquiry) -> list[Node]:
    """The gates in what is added to a state on its straight way, where they let something in."""
    way = straight(graph, state)
    # Up to each value, the factors of terms with content, and of terms of gates alone. Terms are
    # not told apart: of a way that forks at every step there are more than can be counted.
    found: dict[Node, tuple[_Factors, _Factors]] = {}
    for value in ask.order:
        if value.op == "state":
            found[value] = {}, {}
        elif value in way and value.op in ("mul", "div"):
            carried, other = value.inputs if value.inputs[0] in way else value.inputs[::-1]
            factors = _factors(other, ask)
            content, gates = (known | factors if known else known for known in found[carried])
            found[value] = _settled(content, gates, ask)
        elif value in way:
            added = value.inputs[1:] if value.op == "where" else value.inputs
            parts = [found.get(v) or _settled({}, _factors(v, ask), ask) for v in added]
            found[value] = reduce(or_, (c for c, _ in parts)), reduce(or_, (g for _, g in parts))
    return [factor for factor in found[graph.after[state]][0] if ask.is_share(factor)]


def _settled(content: _Factors, gates: _Factors, ask: _Inquiry) -> tuple[_Factors, _Factors]:
    """Terms that were of gates alone go to those with content, if content is among them now."""
    return (content, gates) if all(map(ask.is_share, gates)) else (content | gates, {})


def _factors(value: Node, ask: _Inquiry) -> _Factors:
    """What a value is a product of, a gate never taken apart."""
    found: _Factors = {}
    stack = [value]
    while stack:
        factor = stack.pop()
        if factor.op == "mul" and not ask.is_share(factor):
            stack += factor.inputs
        else:
            found[factor] = None
    return found


class _Inquiry:
    """Some values of a step on random numbers, as they are and with a bias raised."""

    def __init__(self, roots: Sequence[Node]) -> None:
        self.order = tuple(topological(roots))
        self.biases = {
            value.name: value
            for value in self.order
            if value.op == "vector" and value.attributes["role"] == "bias"
        }
        self.random = torch.Generator("cpu").manual_seed(0)
        self.leaves = {v: self._drawn(v) for v in self.order if _is_given(v)}
        self.plain = self._evaluated({})
        self.raised = {
            name: self._evaluated({bias: self.leaves[bias] + _RAISE})
            for name, bias in self.biases.items()
        }

    def moved_by(self, value: Node, trend: str) -> tuple[str, ...]:
        """The biases that move a value so; of those that do the same to it, the first."""
        found: list[str] = []
        for name in self.biases:
            same = trend != "still" and any(self._alike(value, name, other) for other in found)
            if self.trend(value, name) == trend and not same:
                found.append(name)
        return tuple(found)

    def saturates(self, values: Sequence[Node], bias: str) -> bool:
        """Whether raising a bias that is great already changes none of these values."""
        node = self.biases[bias]
        great, greater = (self._evaluated({node: self.leaves[node] + far}) for far in (100, 200))
        return all(torch.equal(great[value], greater[value]) for value in values)

    def _alike(self, value: Node, bias: str, other: str) -> bool:
        change = self.raised[bias][value] - self.raised[other][value]
        return bool((change.abs() <= _ROUNDING).all())

    def is_share(self, value: Node) -> bool:
        """Whether a value lies in 0 to 1, whatever happens."""
        runs = [self.plain, *self.raised.values()]
        return all(bool(((run[value] >= 0) & (run[value] <= 1)).all()) for run in runs)

    def trend(self, value: Node, bias: str) -> str:
        """What raising a bias does to a value: "up", "down", "still" or, if it depends, "both"."""
        change = self.raised[bias][value] - self.plain[value]
        up, down = bool((change > _ROUNDING).any()), bool((change < -_ROUNDING).any())
        return {(True, False): "up", (False, True): "down", (False, False): "still"}.get(
            (up, down), "both"
        )

    def _evaluated(self, instead: Mapping[Node, Tensor]) -> dict[Node, Tensor]:
        values = {**self.leaves, **instead}
        for value in self.order:
            if value not in values:
                values[value] = MEANING[value.op](*(values[source] for source in value.inputs))
        return values

    def _drawn(self, value: Node) -> Tensor:
        """Random numbers for what comes from outside, of each kind those that may be met."""
        shape = (_SAMPLES, 1 if value.size == 1 else _UNITS)
        attributes: Mapping[str, Any] = value.attributes
        match value.op:
            case "constant":
                return torch.tensor([[attributes["value"]]], dtype=torch.float64, device="cpu")
            case "count":
                return torch.tensor([[float(_UNITS)]], dtype=torch.float64, device="cpu")
            case "per_unit":
                table = torch.tensor(attributes["values"], dtype=torch.float64, device="cpu")
                return table[torch.randint(len(table), shape, generator=self.random, device="cpu")]
            case "step":
                steps = torch.randint(100, (_SAMPLES, 1), generator=self.random, device="cpu")
                return steps.double()
            case "bernoulli":
                return torch.rand(shape, generator=self.random, dtype=torch.float64, device="cpu")
        return torch.randn(shape, generator=self.random, dtype=torch.float64, device="cpu")


def _is_given(value: Node) -> bool:
    """Whether a value is a leaf here: a product with a matrix may be anything."""
    return not value.inputs or value.kind == "product"
