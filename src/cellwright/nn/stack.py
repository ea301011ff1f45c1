"""Running layers on top of each other: what every recurrent module has in common.

Shapes: T time, B batch, n the units of whatever is meant; time first throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop

from cellwright.backends import Call, opaque
from cellwright.errors import SettingError
from cellwright.ir import Graph, Size, units_of
from cellwright.nn.connections import Connections, handed_on, read_by
from cellwright.nn.segments import Every, run_in_segments
from cellwright.pipeline import compile

__all__ = ["Direction", "Per", "StackCall", "StackResult", "check_per", "run_stack", "zero_states"]

Per: TypeAlias = Literal["step", "sequence"]


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
        return dict(leaves_of(self.graph).carried)

    def units(self, size: Size) -> int:
        """Number of units of a size."""
        return units_of(size, self.sizes)


class Leaves(NamedTuple):
    """What a cell takes and leaves, as plain data: torch.compile need not look at its graph.

    Attributes
    ----------
    carried
        Name and size of what is carried from step to step.
    below
        Name and size of each state of the layer below.
    draws
        Name, size, probability and "step" or "sequence" of each random draw.
    observable
        Names of everything that can be recorded.
    """

    carried: tuple[tuple[str, Size], ...]
    below: tuple[tuple[str, Size], ...]
    draws: tuple[tuple[str, Size, float, str], ...]
    observable: tuple[str, ...]


@opaque
def leaves_of(graph: Graph) -> Leaves:
    """What a cell takes and leaves."""
    return _leaves_of(graph)


@lru_cache(maxsize=256)
def _leaves_of(graph: Graph) -> Leaves:
    step: dict[str, Size] = {"t": 1} if graph.leaves("step") else {}
    draws: list[tuple[str, Size, Any, Any]] = [
        (leaf.name, leaf.size, leaf.attributes["probability"], leaf.attributes["per"])
        for leaf in graph.leaves("bernoulli")
    ]
    return Leaves(
        carried=tuple((graph.state_sizes | step).items()),
        below=tuple((leaf.name, leaf.size) for leaf in graph.leaves("below")),
        draws=tuple(draws),
        observable=tuple(graph.observable),
    )


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


@dataclass(frozen=True)
class StackCall:
    """One run of a stack, as `run_stack` takes it."""

    layers: Sequence[Sequence[Direction]]
    x: Tensor
    states: Sequence[Sequence[Mapping[str, Tensor]]]
    inputs: Mapping[str, Tensor]
    active: Tensor | None
    dropout: float
    training: bool
    backend: str
    checkpoint_every: Every
    connections: Connections
    dropout_per: Per = "step"


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
    checkpoint_every: Every = None,
    connections: Connections = "none",
    dropout_per: Per = "step",
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
    checkpoint_every
        Steps a segment where a gradient is wanted, see `run_in_segments`.
    connections
        What a layer reads and hands on beside its own, see `cellwright.nn.connections`.
    dropout_per
        Whether other units are dropped at each "step", or the same ones all "sequence" long.
    """
    network_input, given = x, x
    after: list[list[dict[str, Tensor]]] = []
    signals: list[list[dict[str, Tensor]]] = []
    below: list[Mapping[str, Tensor]] = [{} for _ in layers[0]]
    for number, directions in enumerate(layers):
        above = layers[number + 1] if number + 1 < len(layers) else directions[:0]
        if number:
            x = read_by(connections, _dropped(given, dropout, training, dropout_per), network_input)
        results = []
        for position, direction in enumerate(directions):
            leaves = leaves_of(direction.graph)
            wanted = {name for user in above for name, _ in leaves_of(user.graph).below}
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
                below=_below(direction, below[position], x) if leaves.below else {},
                draws=_draw(direction, x) if training and leaves.draws else {},
                record=leaves.observable if record else tuple(sorted(wanted)),
            )
            results.append(
                kernel(call)
                if checkpoint_every is None
                else run_in_segments(kernel, direction.graph, call, checkpoint_every)
            )
        below = [result.signals for result in results]
        signals.append([result.signals for result in results])
        after.append(
            [
                result.states | ({"t": result.count} if "t" in direction.carried else {})
                for direction, result in zip(directions, results, strict=True)
            ]
        )
        output = results[0].output
        if len(results) > 1:
            output = torch.cat([result.output for result in results], -1)
        given = handed_on(connections, given, output, active)
    return StackResult(output=given, states=after, signals=signals if record else [])


def zero_states(direction: Direction, x: Tensor) -> dict[str, Tensor]:
    """States of a direction that starts from nothing, for a batch like that of `x`."""
    rows = x.shape[1]
    return {
        name: x.new_zeros(rows, direction.units(size), dtype=torch.int64)
        if name == "t"
        else x.new_zeros(rows, direction.units(size))
        for name, size in leaves_of(direction.graph).carried
    }


def check_per(per: Per) -> Per:
    """Raise `SettingError` for another word than those there are."""
    if per not in get_args(Per):
        raise SettingError(f"dropout_per={per!r}: must be 'step' or 'sequence'")
    return per


def _dropped(x: Tensor, rate: float, training: bool, per: Per) -> Tensor:
    """Some units of `x`, (T, B, n), set to zero and the others scaled up."""
    if per == "step" or not (training and rate):
        return drop(x, rate, training)
    return x * drop(x.new_ones(1, *x.shape[1:]), rate)


def _below(direction: Direction, given: Mapping[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """States of the layer below that the cell asks for; zero where there is no such layer."""
    return {
        name: given[name] if name in given else x.new_zeros(*x.shape[:2], direction.units(size))
        for name, size in leaves_of(direction.graph).below
    }


def _draw(direction: Direction, x: Tensor) -> dict[str, Tensor]:
    draws = {}
    for name, size, probability, per in leaves_of(direction.graph).draws:
        shape = (*(x.shape[:2] if per == "step" else x.shape[1:2]), direction.units(size))
        # In half precision a chance of 0.999 would be one of 1.
        dtype = x.dtype if x.dtype.itemsize > 2 else torch.float32
        draws[name] = torch.bernoulli(x.new_full(shape, probability, dtype=dtype)).to(x.dtype)
    return draws
