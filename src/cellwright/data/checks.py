"""What readers ask of their own options, before they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from cellwright.errors import DataError, SettingError, did_you_mean

__all__ = ["check_choice", "check_count", "check_fraction", "refuse_given"]


def check_fraction(value: float, name: str = "test_fraction") -> None:
    """Complain unless it lies between 0 and 1, both excluded."""
    if not 0 < value < 1:
        raise DataError(f"{name}={value}: must lie between 0 and 1")


def check_count(value: int, name: str) -> None:
    """Complain unless it is a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise SettingError(f"{name}={value!r}: must be a whole number from 1")


def check_choice(value: str, name: str, known: Sequence[str]) -> None:
    """Complain unless it is one of the names that are known."""
    if value not in known:
        raise SettingError(
            f"{name}={value!r}: known are {', '.join(known)}.{did_you_mean(str(value), known)}"
        )


def refuse_given(source: str, options: Mapping[str, tuple[Any, Any, bool]]) -> None:
    """Complain about an option that was given, but means nothing to the data.

    Parameters
    ----------
    source
        What the user calls the data.
    options
        Name -> the option's value, its default, and whether it means something to these data.
    """
    for name, (value, default, meant) in options.items():
        if not meant and value != default:
            raise DataError(f"{source}: {name}={value!r} means nothing to these data; leave it out")
