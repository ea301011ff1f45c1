"""How states are laid out for the user, and how a stack wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from cellwright.errors import ArgumentError, ShapeError
from cellwright.nn.arguments import check_tensor
from cellwright.nn.stack import Direction

__all__ = [
    "State",
    "as_wide",
    "by_side",
    "check_packed",
    "check_type",
    "detach",
    "flat_states",
    "in_parts",
    "join_states",
    "split_states",
]

# For each layer, name -> (batch, units), or (batch, 2, units) when bidirectional.
State: TypeAlias = list[dict[str, Tensor]]
# For each layer and direction, name -> (batch, units).
Split: TypeAlias = list[list[dict[str, Tensor]]]
Nested = TypeVar("Nested")
Each = TypeVar("Each")


def detach(state: Nested) -> Nested:
    """The same states, cut off from how they came about: no gradient goes further back.

    For truncated backpropagation through time, where a long sequence comes in pieces and each
    piece starts from the states that the one before left.

    Parameters
    ----------
    state
        What `Recurrent` or a drop-in returns beside its output: tensors, or lists, tuples and
        dictionaries of them.

    Returns
    -------
    Nested
        The same, of tensors that share their memory with those given.

    Raises
    ------
    ArgumentError
        There is something else in it.

    Examples
    --------
    >>> import cellwright as cw, torch
    >>> net = cw.Recurrent("lstm", 3, 4)
    >>> state = None
    >>> for piece in torch.randn(1, 30, 3).split(10, dim=1):
    ...     y, state = net(piece, state)
    ...     y.sum().backward()
    ...     state = cw.detach(state)
    """
    return _detached(state)  # type: ignore[no-any-return]


def _detached(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {name: _detached(value) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(map(_detached, state))
    raise ArgumentError(
        f"detach takes the states that a module returned, tensors in lists, tuples or "
        f"dictionaries, not a {type(state).__name__}"
    )


def check_type(name: str, value: Tensor, like: Tensor, dtype: torch.dtype | None = None) -> None:
    """Raise `ShapeError` unless a value is where another is, and of its type or that given."""
    dtype = dtype or like.dtype
    if value.dtype != dtype or value.device != like.device:
        raise ShapeError(
            f"{name}: expected {dtype} on {like.device}, got {value.dtype} on {value.device}; "
            f"convert it"
        )


def as_wide(value: Any, dtype: torch.dtype) -> Any:
    """Tensors of numbers, in whatever they stand, in the precision of weights.

    What came out of an autocast product is narrower than the weights, which decide.
    """
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: as_wide(v, dtype) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([as_wide(v, dtype) for v in value])
    return value


def check_packed(who: str, given: Any, names: Sequence[str]) -> None:
    """Raise `ShapeError` unless states are a tensor each, one alone or all in a tuple."""
    if len(names) == 1:
        check_tensor(f"{who}: state {names[0]}", given)
        return
    if not isinstance(given, (tuple, list)) or len(given) != len(names):
        several = isinstance(given, (tuple, list))
        found = f"{len(given)} of them" if several else type(given).__name__
        raise ShapeError(f"{who}: expected the states ({', '.join(names)}), got {found}")
    for name, value in zip(names, given, strict=True):
        check_tensor(f"{who}: state {name}", value)


def flat_states(state: Any, names: Iterable[str]) -> list[Any] | None:
    """The states of all layers one after the other; None if a layer has not just those named.

    A layer that has counted its steps, which may lie behind it, has more.
    """
    found: list[Any] = []  # plain, as torch.compile reads along
    wanted = list(names)
    if type(state) is not list or not state:
        return found if state is None else None
    for layer in state:
        if type(layer) is not dict or len(layer) != len(wanted):
            return None
        found += map(layer.get, wanted)
    return found


def in_parts(flat: Sequence[Each], wide: int) -> list[list[Each]]:
    """What stands in one row, in parts of so many."""
    return [list(flat[at : at + wide]) for at in range(0, len(flat), wide)]


def by_side(flat: Sequence[Tensor], names: int, sides: int) -> list[list[Tensor]]:
    """The states of each layer and direction, of those of all layers one after the other."""
    layers = in_parts(flat, names)
    if sides == 1:
        return layers
    return [[value[:, side] for value in layer] for layer in layers for side in range(sides)]


def join_states(split: Split) -> State:
    """States of a stack, as the user sees them."""
    return [
        {name: torch.stack([side[name] for side in layer], 1) for name in layer[0]}
        if len(layer) > 1
        else layer[0]
        for layer in split
    ]


def split_states(
    state: State, layers: Sequence[Sequence[Direction]], batch: int, like: Tensor | None = None
) -> Split:
    """States as the user gives them, checked, for a stack.

    Raises
    ------
    ShapeError
        A layer or state is missing, has another shape, or is of another type or in another
        place than `like`; the message names it.
    """
    if not isinstance(state, (list, tuple)) or len(state) != len(layers):
        raise ShapeError(
            f"state: expected a list with a dictionary for each of the {len(layers)} layers, "
            f"as this module returns it"
        )
    return [
        _split_layer(f"state[{number}]", given, layer, batch, like)
        for number, (given, layer) in enumerate(zip(state, layers, strict=True))
    ]


def _split_layer(
    where: str,
    given: Mapping[str, Tensor],
    layer: Sequence[Direction],
    batch: int,
    like: Tensor | None,
) -> list[dict[str, Tensor]]:
    names = layer[0].carried
    if not isinstance(given, Mapping):
        raise ShapeError(
            f"{where}: expected a dictionary with {', '.join(names)}, as this module returns it, "
            f"got {type(given).__name__}"
        )
    if set(given) != set(names):
        raise ShapeError(f"{where}: expected {sorted(names)}, got {sorted(given)}")
    sides = len(layer)
    for name, size in names.items():
        units = layer[0].units(size)
        wanted = (batch, units) if sides == 1 else (batch, sides, units)
        check_tensor(f"{where}[{name!r}]", given[name])
        if tuple(given[name].shape) != wanted:
            axes = f"batch={batch}, " + ("" if sides == 1 else f"direction={sides}, ")
            raise ShapeError(
                f"{where}[{name!r}]: expected ({axes}units={units}), got {tuple(given[name].shape)}"
            )
        if like is not None:
            check_type(
                f"{where}[{name!r}]", given[name], like, torch.int64 if name == "t" else None
            )
    if sides == 1:
        return [dict(given)]
    return [{name: given[name][:, side] for name in names} for side in range(sides)]
