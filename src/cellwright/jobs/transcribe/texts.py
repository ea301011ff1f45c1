"""Texts that are to be learned: checked, and as numbers."""

from __future__ import annotations

from collections.abc import Sequence

from cellwright.data import Sequences
from cellwright.data.texts import as_texts
from cellwright.errors import DataError, ShapeError
from cellwright.models.ctc import steps_needed
from cellwright.models.transcriber import steps_left

__all__ = ["check_steps", "checked_texts", "numbered"]


def checked_texts(texts: Sequence[str], count: int) -> list[str]:
    """As many texts as there are samples, none of them empty."""
    found = as_texts(texts, "texts")
    if len(found) != count:
        raise ShapeError(f"X has {count} samples but there are {len(found)} texts")
    return found


def numbered(texts: Sequence[str], symbols: Sequence[str]) -> list[list[int]]:
    """The number, from 1, of each character; a `DataError` where it is not among the symbols."""
    number = {symbol: place for place, symbol in enumerate(symbols, 1)}
    for at, text in enumerate(texts):
        unknown = [symbol for symbol in text if symbol not in number]
        if unknown:
            raise DataError(
                f"texts[{at}] has {unknown[0]!r}, a character never seen in training; known: "
                f"{''.join(symbols)!r}"
            )
    return [[number[symbol] for symbol in text] for text in texts]


def check_steps(
    sequences: Sequences, targets: Sequence[Sequence[int]], texts: Sequence[str], stride: int
) -> None:
    """The loss of a text that no path can spell would be infinite."""
    for number, (steps, target) in enumerate(zip(sequences.lengths, targets, strict=True)):
        left = steps_left(int(steps), stride)
        if left < (needed := steps_needed(target)):
            read = f", read {stride} at once, are {left}" if stride > 1 else ""
            raise DataError(
                f"X[{number}]: its {steps} steps{read}; too few for {texts[number]!r}, which needs "
                f"{needed}, one a character and one between two alike"
            )
