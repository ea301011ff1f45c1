"""Checking the arguments of modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cellwright.errors import SettingError
from cellwright.ir import HIDDEN, INPUT

__all__ = ["bound_sizes", "hidden_sizes", "rate", "rates", "whole"]


def whole(name: str, value: object) -> int:
    """Return `value` if it is a positive whole number, else raise `SettingError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingError(f"{name} must be a positive whole number, not {value!r}")
    return value


def rate(name: str, value: object) -> float:
    """Return `value` if it is a chance below one, else raise `SettingError`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise SettingError(f"{name} must lie in 0..1, 1 excluded, not {value!r}")
    return float(value)


def rates(name: str, value: object) -> float | dict[str, float]:
    """Return `value` if it is a chance below one, or a mapping from names to such chances."""
    if isinstance(value, Mapping):
        return {str(key): rate(f"{name}[{key!r}]", chance) for key, chance in value.items()}
    return rate(name, value)


def hidden_sizes(hidden_size: int | Sequence[int]) -> tuple[int, ...]:
    """Units of each layer."""
    sizes = (hidden_size,) if isinstance(hidden_size, int) else tuple(hidden_size)
    if not sizes:
        raise SettingError("hidden_size is empty; give the units of at least one layer")
    return tuple(whole("hidden_size", size) for size in sizes)


def bound_sizes(
    hidden: tuple[int, ...], sizes: Mapping[str, int | Sequence[int]]
) -> list[dict[str, int]]:
    """For each layer, symbol -> units; a size given once holds for all layers."""
    bound: list[dict[str, int]] = [{HIDDEN: units} for units in hidden]
    for name, value in sizes.items():
        if name in (INPUT, HIDDEN):
            raise SettingError(f"sizes cannot bind {name!r}; that is {name}_size")
        units = [value] * len(bound) if isinstance(value, int) else list(value)
        if len(units) != len(bound):
            raise SettingError(f"sizes[{name!r}] has {len(units)} numbers for {len(bound)} layers")
        for layer, number in zip(bound, units, strict=True):
            layer[name] = number
    return bound
