"""Which kinds of sequences there were: of what class, of what length, and how many of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.data import Sequences
from cellwright.data.labels import as_labels, label_numbers
from cellwright.errors import DataError, ShapeError

__all__ = ["classes_of", "count_kinds", "draw_kinds", "numbers_of"]


def classes_of(y: Any, samples: int) -> tuple[npt.NDArray[Any] | None, Tensor]:
    """The classes, if there are any, and the number of that of each sample, (sample,)."""
    if y is None:
        return None, torch.zeros(samples, dtype=torch.int64)
    labels = as_labels(y)
    if len(labels) != samples:
        raise ShapeError(f"X has {samples} samples but y has {len(labels)} labels")
    classes, targets = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"y has one class only ({classes[0].item()!r}); leave y out")
    return classes, torch.from_numpy(targets)


def numbers_of(y: Any, count: int, classes: npt.NDArray[Any] | None) -> npt.NDArray[np.int64]:
    """Numbers of the classes that are wanted, (count,), from a class for all or for each.

    Raises
    ------
    DataError, ShapeError
        A class is unknown, there are none, or there are too many or too few.
    """
    if classes is None:
        raise DataError("y: the training had no classes; leave y out")
    several = isinstance(y, (list, tuple)) or np.ndim(y)
    labels = as_labels(y if several else np.full(count, y))
    if len(labels) != count:
        raise ShapeError(f"y: expected {count} classes, got {len(labels)}")
    return label_numbers(labels, classes)


def count_kinds(sequences: Sequences, targets: Tensor) -> list[list[int]]:
    """For each class and length that occur: class, length, and how many there are."""
    found = Counter(zip(targets.tolist(), sequences.lengths.tolist(), strict=True))
    return [[label, steps, count] for (label, steps), count in sorted(found.items())]


def draw_kinds(
    counted: Sequence[Sequence[int]],
    n: int,
    wanted: npt.NDArray[np.int64] | None,
    draw: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Class and length of each of `n` sequences, as frequent as they were counted.

    With `wanted`, (n,), the classes are those, and only lengths of the class are drawn.
    """
    kinds = np.array(counted, dtype=np.int64)
    if wanted is None:
        chosen = draw.choice(len(kinds), n, p=kinds[:, 2] / kinds[:, 2].sum())
        return kinds[chosen, 0], kinds[chosen, 1]
    lengths = np.zeros(n, np.int64)
    for label in np.unique(wanted):
        own, rows = kinds[kinds[:, 0] == label], wanted == label
        chances = own[:, 2] / own[:, 2].sum()
        lengths[rows] = draw.choice(own[:, 1], int(rows.sum()), p=chances)
    return wanted, lengths
