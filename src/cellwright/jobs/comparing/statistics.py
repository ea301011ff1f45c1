"""What several seeds say of a mean, and of the difference between two.

Student's t for a mean; Welch's t for a difference, because cells need not vary equally;
Holm's steps for several differences at once.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

__all__ = ["CONFIDENCE", "Difference", "Interval", "differences_to_best", "mean_interval"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean, and between what it lies with a confidence of 95 %.

    With one value there is no interval: `low` and `high` are NaN.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How far a cell is from the best one.

    Attributes
    ----------
    mean
        Its mean minus that of the best.
    low, high
        Between what the difference lies; NaN where too few values are there to say.
    p
        Probability of so great a difference, or a greater one, where there is none; Holm's.
    """

    mean: float
    low: float
    high: float
    p: float

    @property
    def known(self) -> bool:
        """Whether there were values enough to say anything."""
        return not math.isnan(self.low)

    @property
    def within_noise(self) -> bool:
        """Whether the interval includes no difference at all."""
        return self.known and self.low <= 0 <= self.high


def mean_interval(values: Sequence[float]) -> Interval:
    r"""The mean of seeds with a 95 % interval.

    $$\bar x \pm t_{n-1} \, s / \sqrt n$$

    Parameters
    ----------
    values
        One for each seed, at least one.

    Examples
    --------
    >>> mean_interval([1.0, 2.0, 3.0])
    Interval(mean=2.0, low=-0.484, high=4.484)
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    error = float(stats.sem(values))
    if error == 0:
        return Interval(mean, mean, mean)
    low, high = stats.t.interval(CONFIDENCE, len(values) - 1, loc=mean, scale=error)
    return Interval(mean, float(low), float(high))


def differences_to_best(
    values: Mapping[str, Sequence[float]], *, lower_is_better: bool
) -> tuple[str, dict[str, Difference]]:
    """The cell with the best mean, and how far each other one is from it.

    Welch's t test (1947) for each difference, and Holm's steps (1979) for all of them: the
    interval of the i-th smallest p of m is one of confidence 1 − 0.05 / (m − i + 1), until
    the first that includes 0; the others have the confidence of that one. So an interval
    excludes 0 just where Holm's procedure rejects that there is no difference.

    Parameters
    ----------
    values
        Cell -> a value for each seed, at least one cell and one value.
    lower_is_better
        Whether the best mean is the lowest.

    Returns
    -------
    tuple
        Name of the best cell, and the others' differences in the order of `values`.
    """
    means = {name: float(np.mean(seeds)) for name, seeds in values.items()}
    best = (min if lower_is_better else max)(means, key=lambda name: means[name])
    raw = {name: _p(values[name], values[best]) for name in values if name != best}
    ordered = sorted((name for name in raw if not math.isnan(raw[name])), key=raw.__getitem__)
    found: dict[str, Difference] = {}
    adjusted, alpha, stopped = 0.0, 1 - CONFIDENCE, False
    for step, name in enumerate(ordered):
        left = len(ordered) - step
        adjusted = max(adjusted, min(1.0, left * raw[name]))
        if not stopped:
            alpha = (1 - CONFIDENCE) / left
            stopped = raw[name] > alpha
        low, high = _welch_interval(values[name], values[best], 1 - alpha)
        found[name] = Difference(means[name] - means[best], low, high, adjusted)
    for name in raw:
        unknown = Difference(means[name] - means[best], math.nan, math.nan, math.nan)
        found.setdefault(name, unknown)
    return best, {name: found[name] for name in raw}


def _p(first: Sequence[float], second: Sequence[float]) -> float:
    if len(first) < 2 or len(second) < 2:
        return math.nan
    if _no_spread(first, second):
        return float(np.mean(first) == np.mean(second))
    return float(_welch(first, second).pvalue)


def _welch_interval(
    first: Sequence[float], second: Sequence[float], confidence: float
) -> tuple[float, float]:
    if _no_spread(first, second):
        difference = float(np.mean(first) - np.mean(second))
        return difference, difference
    low, high = _welch(first, second).confidence_interval(confidence)
    return float(low), float(high)


def _welch(first: Sequence[float], second: Sequence[float]) -> Any:
    with warnings.catch_warnings():
        # Of values that do not vary; their spread of 0 is right.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        return stats.ttest_ind(first, second, equal_var=False)


def _no_spread(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether neither varies, where a t test would divide by 0."""
    return len(set(first)) == len(set(second)) == 1
