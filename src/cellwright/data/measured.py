"""Sequences with numbers that are to be told from them, and what counts as such numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.arguments import as_array
from cellwright.data.sequences import Sequences
from cellwright.errors import DataError, ShapeError

__all__ = ["Measured", "MeasuredDataset", "as_numbers"]


@dataclass(frozen=True, eq=False)
class Measured:
    """Sequences with one number each, or several.

    Attributes
    ----------
    x
        The sequences.
    y
        (sample, target); None where they are not known.
    ids
        What the user calls each sample.
    targets
        What the numbers are called.
    groups
        Which samples belong together, such as windows of one machine, (sample,): all or
        none of them may be kept for validation. None where each stands for itself.
    """

    x: Sequences
    y: npt.NDArray[np.float64] | None
    ids: list[Any]
    targets: tuple[str, ...] = ("target",)
    groups: npt.NDArray[Any] | None = None

    def take(self, rows: npt.NDArray[np.int64]) -> Measured:
        """The samples of these rows."""
        return Measured(
            self.x.take(rows),
            None if self.y is None else self.y[rows],
            [self.ids[row] for row in rows],
            self.targets,
            None if self.groups is None else self.groups[rows],
        )


@dataclass(frozen=True, eq=False)
class MeasuredDataset:
    """A data set with a training and a test part."""

    name: str
    train: Measured
    test: Measured

    @property
    def fingerprint(self) -> str:
        """A digest of all sequences and numbers, to tell whether the data are the same."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.train, self.test):
            digest.update(part.x.fingerprint.encode())
            digest.update(b"" if part.y is None else part.y.tobytes())
        return digest.hexdigest()


def as_numbers(y: Any, *, samples: int | None = None, name: str = "y") -> npt.NDArray[np.float64]:
    """Check numbers that are to be told and give them their common form, (sample, target).

    Parameters
    ----------
    y
        (sample,) for one number each, or (sample, target).
    samples
        How many are expected, if known.
    name
        What the user calls the argument.

    Raises
    ------
    DataError
        A value is not a finite number; the message names sample and target.
    ShapeError
        The axes are wrong, or there are more or fewer than samples.
    """
    y = as_array(y)
    try:
        array = np.asarray(y)
    except ValueError as error:
        raise ShapeError(f"{name}: not an array (sample,) or (sample, target): {error}") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers, got {array.dtype}")
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        raise ShapeError(f"{name}: expected (sample,) or (sample, target), got {array.shape}")
    if samples is not None and len(array) != samples:
        raise ShapeError(f"X has {samples} samples but {name} has {len(array)} rows")
    values = array.astype(np.float64).reshape(len(array), -1)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        sample, target = wrong[0]
        what = "NaN" if np.isnan(values[sample, target]) else "infinite"
        place = f"{name}[{sample}]" if array.ndim == 1 else f"{name}[{sample}, {target}]"
        raise DataError(f"{place} is {what}; leave the sample out")
    return values
