"""How states are laid out for the user, and how a stack wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from cellwright.errors import ShapeError
from cellwright.nn.stack import Direction

__all__ = ["State", "join_states", "split_states"]

# For each layer, name -> (batch, units), or (batch, 2, units) when bidirectional.
State: TypeAlias = list[dict[str, Tensor]]
# For each layer and direction, name -> (batch, units).
Split: TypeAlias = list[list[dict[str, Tensor]]]


def join_states(split: Split) -> State:
    """States of a stack, as the user sees them."""
    return [
        {name: torch.stack([side[name] for side in layer], 1) for name in layer[0]}
        if len(layer) > 1
        else layer[0]
        for layer in split
    ]


def split_states(state: State, layers: Sequence[Sequence[Direction]], batch: int) -> Split:
    """States as the user gives them, checked, for a stack.

    Raises
    ------
    ShapeError
        A layer or state is missing or has another shape; the message names it.
    """
    if not isinstance(state, (list, tuple)) or len(state) != len(layers):
        raise ShapeError(
            f"state: expected a list with a dictionary for each of the {len(layers)} layers, "
            f"as this module returns it"
        )
    return [
        _split_layer(f"state[{number}]", given, layer, batch)
        for number, (given, layer) in enumerate(zip(state, layers, strict=True))
    ]


def _split_layer(
    where: str, given: dict[str, Tensor], layer: Sequence[Direction], batch: int
) -> list[dict[str, Tensor]]:
    names = layer[0].carried
    if set(given) != set(names):
        raise ShapeError(f"{where}: expected {sorted(names)}, got {sorted(given)}")
    sides = len(layer)
    for name, size in names.items():
        units = layer[0].units(size)
        wanted = (batch, units) if sides == 1 else (batch, sides, units)
        if tuple(given[name].shape) != wanted:
            axes = f"batch={batch}, " + ("" if sides == 1 else f"direction={sides}, ")
            raise ShapeError(
                f"{where}[{name!r}]: expected ({axes}units={units}), got {tuple(given[name].shape)}"
            )
    if sides == 1:
        return [given]
    return [{name: given[name][:, side] for name in names} for side in range(sides)]
