"""Cutting sequences into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.data.sequences import Sequences

__all__ = ["Batch", "batches"]


@dataclass(frozen=True)
class Batch:
    """Some samples, padded with zeros to the longest of them.

    Attributes
    ----------
    x
        (batch, time, features).
    lengths
        Steps of each row, (batch,).
    rows
        Which samples these are, (batch,).
    targets
        What is to be learned, (batch, …); None where it is not known.
    counted
        For targets at every step, (batch, time, …): which of them count, (batch, time).
    """

    x: Tensor
    lengths: Tensor
    rows: npt.NDArray[np.int64]
    targets: Tensor | None = None
    counted: Tensor | None = None

    @property
    def answers(self) -> int:
        """How many answers count: one a sample, or one for each step that counts."""
        return len(self.rows) if self.counted is None else int(self.counted.sum())


def batches(
    sequences: Sequences,
    size: int,
    *,
    targets: Tensor | None = None,
    counted: Tensor | None = None,
    order: npt.NDArray[np.int64] | None = None,
) -> Iterator[Batch]:
    """Batches of at most `size` samples, in `order` or as they come.

    With `counted`, (sample, time), `targets` are those of steps, and both are cut off behind
    the longest sequence of the batch.
    """
    order = np.arange(len(sequences)) if order is None else order
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        array, lengths = sequences.padded(rows)
        chosen, steps = torch.from_numpy(rows), array.shape[1]
        wanted = None if targets is None else targets[chosen]
        yield Batch(
            x=torch.from_numpy(array),
            lengths=torch.from_numpy(lengths),
            rows=rows,
            targets=wanted if wanted is None or counted is None else wanted[:, :steps],
            counted=None if counted is None else counted[chosen, :steps],
        )
