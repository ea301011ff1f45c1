"""Layers one step at a time: what a stream runs, where a backend's own chain does not do.

Shapes: T time, B batch, n the units of whatever is meant; time first throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from cellwright.backends import Call, Kernel, Weights
from cellwright.nn.connections import Connections, handed_on, read_by
from cellwright.nn.stack import Direction

__all__ = ["Chain", "KernelChain", "copied", "linked"]


class Chain(Protocol):
    """Cells on top of each other that are run one step at a time, by one backend."""

    extras: Mapping[str, int]
    output: Tensor

    def step(self, values: Sequence[Tensor]) -> None:
        """Run one step on contiguous values, (B, n), in the order of `extras`."""

    def steps(self, values: Sequence[Tensor], output: Tensor) -> None:
        """Run several steps, (T, B, n), and write what each gives."""

    def states(self) -> list[dict[str, Tensor]]:
        """For each layer its states, (B, n), and ``t``, the steps behind each row: copies."""

    def reset(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Start from these states; without ``t`` no step lies behind."""


def copied(states: Sequence[Mapping[str, Tensor]], like: Tensor) -> list[dict[str, Tensor]]:
    """States of ours alone, in the precision and place of the stream."""
    dtypes = {"t": torch.int64}
    return [
        {
            name: value.detach().to(like.device, dtypes.get(name, like.dtype), copy=True)
            for name, value in layer.items()
        }
        for layer in states
    ]


def linked(
    stack: Sequence[Direction],
    kernels: Sequence[Kernel],
    weights: Sequence[Weights],
    batch: int,
    dtype: torch.dtype,
    connections: Connections,
) -> Chain | None:
    """A chain for each layer, if there are such: one of several hands on outputs alone."""
    if any(direction.graph.leaves("below") for direction in stack):
        return None
    makers = [getattr(kernel, "chain", None) for kernel in kernels]
    made: list[Chain | None] = [
        make([], [own], batch, dtype) if make else None
        for make, own in zip(makers, weights, strict=True)
    ]
    chains = [chain for chain in made if chain is not None and "x" in chain.extras]
    return _LinkedChains(chains, connections) if len(chains) == len(stack) else None


class _LinkedChains:
    """Layers in chains of their own, with connections between them."""

    def __init__(self, chains: Sequence[Chain], connections: Connections) -> None:
        self.chains, self.connections = chains, connections
        self.extras = chains[0].extras
        self.output = torch.zeros_like(chains[-1].output)

    def step(self, values: Sequence[Tensor]) -> None:
        """Run one step."""
        self.steps([value.unsqueeze(0) for value in values], self.output.unsqueeze(0))

    def steps(self, values: Sequence[Tensor], output: Tensor) -> None:
        """Run several steps, a layer after the other."""
        given = dict(zip(self.extras, values, strict=True))
        handed = network_input = given["x"]
        for number, chain in enumerate(self.chains):
            if number:
                given["x"] = read_by(self.connections, handed, network_input).contiguous()
            made = chain.output.new_empty(len(handed), *chain.output.shape)
            chain.steps([given[name] for name in chain.extras], made)
            handed = handed_on(self.connections, handed, made, None)
        output.copy_(handed)

    def states(self) -> list[dict[str, Tensor]]:
        """For each layer its states and ``t``: copies."""
        return [chain.states()[0] for chain in self.chains]

    def reset(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Start from these states."""
        for chain, layer in zip(self.chains, states, strict=True):
            chain.reset([layer])


class KernelChain:
    """A chain for backends that have none of their own: whole runs of one step."""

    def __init__(
        self,
        stack: Sequence[Direction],
        kernels: Sequence[Kernel],
        batch: int,
        like: Tensor,
        connections: Connections,
    ) -> None:
        self.kernels = kernels
        self.connections = connections
        self.stack = [
            replace(d, weights={n: w.detach().clone() for n, w in d.weights.items()}) for d in stack
        ]
        inputs = stack[0].graph.inputs
        self.extras: Mapping[str, int] = {i.name: stack[0].units(i.size) for i in inputs}
        self.output = like.new_zeros(batch, stack[-1].units(stack[-1].graph.states[0].size))
        self._states: list[dict[str, Tensor]] = []
        self._counts: list[Tensor] = []

    @torch.no_grad()
    def step(self, values: Sequence[Tensor]) -> None:
        """Run one step."""
        given = {n: v.unsqueeze(0) for n, v in zip(self.extras, values, strict=True)}
        below: dict[str, Tensor] = {}
        handed = network_input = given["x"]
        for number, (direction, kernel) in enumerate(zip(self.stack, self.kernels, strict=True)):
            if number:
                given["x"] = read_by(self.connections, handed, network_input)
            wanted = {leaf.name: leaf.size for leaf in direction.graph.leaves("below")}
            nothing = {
                n: given["x"].new_zeros(1, len(self.output), direction.units(s))
                for n, s in wanted.items()
                if n not in below
            }
            result = kernel(
                Call(
                    inputs=given,
                    states=self._states[number],
                    weights=direction.weights,
                    below=nothing | {n: below[n] for n in wanted if n in below},
                    start=self._counts[number],
                )
            )
            self._states[number], self._counts[number] = result.states, result.count
            below = {n: s.unsqueeze(0) for n, s in result.states.items()}
            handed = handed_on(self.connections, handed, result.output, None)
        self.output.copy_(handed[0])

    def steps(self, values: Sequence[Tensor], output: Tensor) -> None:
        """Run several steps."""
        for step in range(len(output)):
            self.step([value[step] for value in values])
            output[step] = self.output

    def states(self) -> list[dict[str, Tensor]]:
        """For each layer its states and ``t``: copies."""
        pairs = zip(self._states, self._counts, strict=True)
        return [copied([{**states, "t": count}], self.output)[0] for states, count in pairs]

    def reset(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Start from these states."""
        none = torch.zeros(len(self.output), 1, dtype=torch.int64, device=self.output.device)
        self._counts = [layer.get("t", none) for layer in states]
        self._states = [
            {name: layer[name] for name in direction.graph.state_sizes}
            for layer, direction in zip(states, self.stack, strict=True)
        ]
