"""What the drawing of several tasks has in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cellwright.arguments import as_whole
from cellwright.data.sequences import Sequences
from cellwright.errors import SettingError

__all__ = ["at_least", "cut", "generator_of", "one_hot", "unless_usual", "whole_range"]

Whole = npt.NDArray[np.int64]

# Stands behind a seed that is a single number. numpy fills short seeds up with zeros to four
# words, so that without it 1 would draw what (1, 0, 0) draws.
_SINGLE = 1


def one_hot(symbols: Whole, kinds: int, lengths: Whole | None = None) -> Sequences:
    """Symbols as vectors with a single 1, (sample, time) -> (sample, time, kinds)."""
    return cut(np.eye(kinds, dtype=np.float32)[symbols], lengths)


def cut(values: npt.NDArray[np.float32], lengths: Whole | None) -> Sequences:
    """Sequences of these lengths; one array where all are as long as the array."""
    if lengths is None or (lengths == values.shape[1]).all():
        return Sequences(values)
    return Sequences([value[:length] for value, length in zip(values, lengths, strict=True)])


def at_least(name: str, value: int, least: int, why: str = "") -> int:
    """The number, or a `SettingError` where it is none or too small."""
    number = as_whole(value)
    if number is None or number < least:
        reason = f"; {why}" if why else ""
        raise SettingError(f"{name}={value!r}: must be a whole number from {least}{reason}")
    return number


def whole_range(
    name: str, value: int | Sequence[int], least: int, why: str = ""
) -> tuple[int, int]:
    """The least and greatest of a range; a single number is both."""
    ends = value if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
    if len(ends) != 2:
        raise SettingError(f"{name}={value!r}: must be one number, or the least and the greatest")
    low, high = (at_least(name, end, least, why) for end in ends)
    if low > high:
        raise SettingError(f"{name}={value!r}: the least stands before the greatest")
    return low, high


def unless_usual(name: str, value: float, usual: float) -> str:
    """An option as it stands in a task's name behind others: not at all where it is as usual.

    >>> unless_usual("noise", 0.2, 0.0), unless_usual("noise", 0.0, 0.0)
    (', noise=0.2', '')
    """
    return "" if value == usual else f", {name}={value}"


def generator_of(seed: int | Sequence[int]) -> np.random.Generator:
    """The random generator of a seed; see `Task.draw`.

    Raises
    ------
    SettingError
        The seed is neither a whole number from 0 nor several.
    """
    given: object = seed.tolist() if isinstance(seed, np.ndarray) else seed
    words: list[object] = [given]
    key: tuple[int, ...] = (_SINGLE,)
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        words, key = list(given), ()
    numbers = [number for number in map(as_whole, words) if number is not None and number >= 0]
    if not numbers or len(numbers) < len(words):
        raise SettingError(f"seed={seed!r}: must be a whole number from 0, or several")
    return np.random.default_rng(np.random.SeedSequence(numbers, spawn_key=key))
