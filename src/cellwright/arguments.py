"""Numbers as arguments: those of Python and of NumPy alike, and never True or False."""

from __future__ import annotations

from numbers import Integral, Real

__all__ = ["as_real", "as_whole"]


def as_whole(value: object) -> int | None:
    """`value` as an int if it is a whole number, which True is not; else None."""
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def as_real(value: object) -> float | None:
    """`value` as a float if it is a number, which True is not; else None."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
