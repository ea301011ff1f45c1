"""Running layers on top of each other: what every recurrent module has in common.

Shapes: T time, B batch, n the units of whatever is meant; time first throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop

from cellwright.backends import Call
from cellwright.ir import Graph, Size
from cellwright.pipeline import compile

__all__ = ["Direction", "StackResult", "run_stack", "zero_states"]


@dataclass(frozen=True)
class Direction:
    """A cell with its weights, to be run over time in one direction."""

    graph: Graph
    sizes: Mapping[str, int]
    weights: Mapping[str, Tensor]
    reverse: bool = False

    @property
    def carried(self) -> dict[str, Size]:
        """What is carried from step to step: the states, and ``t`` where the cell asks for it."""
        step: dict[str, Size] = {"t": 1} if self.graph.leaves("step") else {}
        return self.graph.state_sizes | step

    def units(self, size: Size) -> int:
        """Number of units of a size."""
        return size if isinstance(size, int) else self.sizes[size]


@dataclass(frozen=True)
class StackResult:
    """What a stack gives back.

    Attributes
    ----------
    output
        Output of the last layer, directions side by side, (T, B, directions · n).
    states
        Layer, direction, name -> state after the last step of each row, (B, n).
    signals
        Layer, direction, name -> recorded signal, (T, B, n).
    """

    output: Tensor
    states: list[list[dict[str, Tensor]]]
    signals: list[list[dict[str, Tensor]]]


def run_stack(
    layers: Sequence[Sequence[Direction]],
    x: Tensor,
    states: Sequence[Sequence[Mapping[str, Tensor]]],
    *,
    inputs: Mapping[str, Tensor] | None = None,
    active: Tensor | None = None,
    dropout: float = 0.0,
    training: bool = False,
    backend: str = "auto",
    record: bool = False,
) -> StackResult:
    """Run a stack of layers over a batch of sequences.

    Parameters
    ----------
    layers
        For each layer its directions.
    x
        Input of the first layer, (T, B, n).
    states
        Layer, direction, name -> state before the first step, (B, n).
    inputs
        The cell's extra inputs, given to every layer, (T, B, n).
    active
        Which steps exist, (T, B); None if all do.
    dropout
        Chance that a unit between two layers is dropped, in training.
    training
        Whether random draws and dropout take place.
    backend
        A backend's name or "auto".
    record
        Whether to return every signal of every layer.
    """
    after: list[list[dict[str, Tensor]]] = []
    signals: list[list[dict[str, Tensor]]] = []
    below: list[Mapping[str, Tensor]] = [{} for _ in layers[0]]
    for number, directions in enumerate(layers):
        above = layers[number + 1] if number + 1 < len(layers) else directions[:0]
        results = []
        for position, direction in enumerate(directions):
            wanted = {leaf.name for user in above for leaf in user.graph.leaves("below")}
            kernel = compile(
                direction.graph,
                direction.sizes,
                backend=backend,
                device=x.device,
                dtype=x.dtype,
            )
            call = Call(
                inputs={**(inputs or {}), "x": x},
                states=states[number][position],
                start=states[number][position].get("t"),
                weights=direction.weights,
                active=active,
                reverse=direction.reverse,
                below=_below(direction, below[position], x),
                draws=_draw(direction, x) if training else {},
                record=tuple(direction.graph.observable) if record else tuple(sorted(wanted)),
            )
            results.append(kernel(call))
        below = [result.signals for result in results]
        signals.append([result.signals for result in results])
        after.append(
            [
                result.states | ({"t": result.count} if "t" in direction.carried else {})
                for direction, result in zip(directions, results, strict=True)
            ]
        )
        x = torch.cat([r.output for r in results], -1) if len(results) > 1 else results[0].output
        if number + 1 < len(layers):
            x = drop(x, dropout, training)
    return StackResult(output=x, states=after, signals=signals if record else [])


def zero_states(direction: Direction, x: Tensor) -> dict[str, Tensor]:
    """States of a direction that starts from nothing, for a batch like that of `x`."""
    return {
        name: x.new_zeros(
            x.shape[1], direction.units(size), dtype=torch.int64 if name == "t" else x.dtype
        )
        for name, size in direction.carried.items()
    }


def _below(direction: Direction, given: Mapping[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """States of the layer below that the cell asks for; zero where there is no such layer."""
    return {
        leaf.name: given[leaf.name]
        if leaf.name in given
        else x.new_zeros(*x.shape[:2], direction.units(leaf.size))
        for leaf in direction.graph.leaves("below")
    }


def _draw(direction: Direction, x: Tensor) -> dict[str, Tensor]:
    draws = {}
    for leaf in direction.graph.leaves("bernoulli"):
        probability = leaf.attributes["probability"]
        assert isinstance(probability, float)
        steps = x.shape[:2] if leaf.attributes["per"] == "step" else x.shape[1:2]
        chances = x.new_full((*steps, direction.units(leaf.size)), probability)
        draws[leaf.name] = torch.bernoulli(chances)
    return draws
