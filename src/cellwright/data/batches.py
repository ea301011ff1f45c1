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
    """

    x: Tensor
    lengths: Tensor
    rows: npt.NDArray[np.int64]
    targets: Tensor | None = None


def batches(
    sequences: Sequences,
    size: int,
    *,
    targets: Tensor | None = None,
    order: npt.NDArray[np.int64] | None = None,
) -> Iterator[Batch]:
    """Batches of at most `size` samples, in `order` or as they come."""
    order = np.arange(len(sequences)) if order is None else order
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        array, lengths = sequences.padded(rows)
        yield Batch(
            x=torch.from_numpy(array),
            lengths=torch.from_numpy(lengths),
            rows=rows,
            targets=None if targets is None else targets[torch.from_numpy(rows)],
        )
