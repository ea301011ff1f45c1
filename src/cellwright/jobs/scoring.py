"""Scores of numbers, and weights of samples in any score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import r2_score

from cellwright.data.measured import as_numbers
from cellwright.errors import DataError, ShapeError

__all__ = ["as_weights", "r_squared"]

Floats = npt.NDArray[np.float64]


def as_weights(sample_weight: Any, samples: int) -> Floats | None:
    """What each sample counts, (sample,); None for all alike.

    Raises
    ------
    ShapeError
        They are not (sample,).
    DataError
        One is below zero or not finite, or all are zero.
    """
    if sample_weight is None:
        return None
    weights = as_numbers(sample_weight, samples=samples, name="sample_weight")
    if weights.shape[1] != 1:
        raise ShapeError(f"sample_weight: expected ({samples},), got {weights.shape}")
    if (weights < 0).any() or not weights.any():
        raise DataError("sample_weight: expected numbers from 0, and some above 0")
    return weights[:, 0]


def r_squared(truth: Floats, told: Floats, weights: Floats | None = None) -> float:
    r"""The share of the variance that is explained, $R^2$, the mean over targets.

    Raises
    ------
    DataError
        There are fewer than two numbers, or they are too large to be squared.
    """
    if len(truth) < 2:
        raise DataError("R² compares with the mean of y and wants two samples, or steps, at least")
    with np.errstate(over="ignore", invalid="ignore"):
        found = float(r2_score(truth, told, sample_weight=weights))
    if not np.isfinite(found):
        raise DataError("y is too large to be scored; give it in a larger unit")
    return found
