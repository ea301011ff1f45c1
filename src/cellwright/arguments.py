"""Numbers as arguments: those of Python, NumPy and torch alike, and never True for one."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

__all__ = ["as_array", "as_real", "as_whole"]


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


def as_array(value: Any) -> Any:
    """A tensor as an array of NumPy, wherever it is and of whatever type; other values as they are.

    What NumPy has no type for, as bfloat16, becomes float32.
    """
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu().resolve_neg()
    return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
