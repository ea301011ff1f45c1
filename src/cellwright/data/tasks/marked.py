"""Two marked numbers among many, as the tasks of 1997 have them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cellwright.data.sequences import Sequences
from cellwright.data.tasks.drawing import cut

__all__ = ["marked_pairs"]

Floats = npt.NDArray[np.float32]


def marked_pairs(
    count: int, steps: int, least: float, when_first: float, generator: np.random.Generator
) -> tuple[Sequences, Floats, Floats]:
    """Sequences of numbers and markers, with the two marked numbers of each.

    Parameters
    ----------
    count
        How many sequences.
    steps
        A sequence has between `steps` and 1.1 times as many.
    least
        Numbers lie between this and 1.
    when_first
        What the first marked number counts as where it stands at the first step, whose
        marker is −1 whatever happens.
    generator
        Where chance comes from.
    """
    rows, half = np.arange(count), steps // 2
    lengths = generator.integers(steps, steps + steps // 10, count, endpoint=True)
    values = generator.uniform(least, 1, (count, int(lengths.max()))).astype(np.float32)
    first = generator.integers(0, 10, count)
    # Any other step of the first half but the very first.
    second = 1 + generator.integers(0, half - 2 + (first == 0))
    second += (first > 0) & (second >= first)
    markers = np.zeros_like(values)
    markers[rows, first] = markers[rows, second] = 1
    markers[:, 0] = markers[rows, lengths - 1] = -1
    one = np.where(first == 0, np.float32(when_first), values[rows, first])
    return cut(np.stack([values, markers], 2), lengths), one, values[rows, second]
