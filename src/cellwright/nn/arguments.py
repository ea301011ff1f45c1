"""Checking the arguments of modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellwright.arguments import as_real, as_whole
from cellwright.cells.parameters import own_sizes
from cellwright.errors import SettingError, ShapeError
from cellwright.ir import HIDDEN, INPUT

__all__ = [
    "bound_sizes",
    "check_precision",
    "check_tensor",
    "hidden_sizes",
    "rate",
    "rates",
    "truth",
    "whole",
]

_PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def whole(name: str, value: object) -> int:
    """Return `value` as an int if it is a positive whole number, else raise `SettingError`."""
    number = as_whole(value)
    if number is None or number < 1:
        raise SettingError(f"{name} must be a positive whole number, not {value!r}")
    return number


def truth(name: str, value: object) -> bool:
    """Return `value` if it is true or false, else raise `SettingError`: "no" would be true."""
    if not isinstance(value, (bool, np.bool_)):
        raise SettingError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def check_precision(dtype: object) -> None:
    """Raise `SettingError` unless weights can be of that type; None is torch's usual one."""
    if dtype is not None and dtype not in _PRECISIONS:
        known = ", ".join(map(str, _PRECISIONS))
        raise SettingError(f"dtype must be one of {known}, not {dtype!r}")


def rate(name: str, value: object) -> float:
    """Return `value` if it is a chance below one, else raise `SettingError`."""
    number = as_real(value)
    if number is None or not 0 <= number < 1:
        raise SettingError(f"{name} must lie in 0..1, 1 excluded, not {value!r}")
    return number


def rates(name: str, value: object) -> float | dict[str, float]:
    """Return `value` if it is a chance below one, or a mapping from names to such chances."""
    if isinstance(value, Mapping):
        return {str(key): rate(f"{name}[{key!r}]", chance) for key, chance in value.items()}
    return rate(name, value)


def hidden_sizes(hidden_size: int | Sequence[int]) -> tuple[int, ...]:
    """Units of each layer."""
    sizes = _numbers("hidden_size", hidden_size)
    if not sizes:
        raise SettingError("hidden_size is empty; give the units of at least one layer")
    return tuple(sizes)


def bound_sizes(
    hidden: tuple[int, ...], sizes: Mapping[str, int | Sequence[int]] | None
) -> list[dict[str, int]]:
    """For each layer, symbol -> units; a size given once holds for all layers."""
    bound: list[dict[str, int]] = [{HIDDEN: units} for units in hidden]
    for name, value in own_sizes(sizes).items():
        if name in (INPUT, HIDDEN):
            raise SettingError(f"sizes cannot bind {name!r}; that is {name}_size")
        units = _numbers(f"sizes[{name!r}]", value)
        if as_whole(value) is not None:
            units *= len(bound)
        if len(units) != len(bound):
            raise SettingError(f"sizes[{name!r}] has {len(units)} numbers for {len(bound)} layers")
        for layer, number in zip(bound, units, strict=True):
            layer[name] = number
    return bound


def check_tensor(name: str, value: Any, instead: str = "") -> None:
    """Raise `ShapeError` unless a value is a dense tensor; `instead` says what to do."""
    if not isinstance(value, Tensor):
        raise ShapeError(f"{name}: expected a tensor, got {type(value).__name__}{instead}")
    if value.layout != torch.strided or value.is_nested:
        kind = "a nested one" if value.is_nested else f"one of {value.layout}"
        raise ShapeError(f"{name}: expected a dense tensor, got {kind}{instead}")


def _numbers(name: str, value: object) -> list[int]:
    """One positive whole number, or those of a list."""
    if as_whole(value) is not None:
        return [whole(name, value)]
    unordered = isinstance(value, (str, bytes, Mapping, Set))
    if unordered or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        raise SettingError(
            f"{name} must be a positive whole number, or a list with one a layer, not {value!r}"
        )
    return [whole(name, number) for number in value]
