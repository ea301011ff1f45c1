"""What several seeds say of a mean, and of the difference between two.

Student's t for a mean; Welch's t for a difference, because cells need not vary equally;
Holm's steps over all pairs of cells, because the seeds also choose which cell is the best.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

__all__ = ["CONFIDENCE", "Difference", "Interval", "differences_to_best", "mean_interval"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean, and between what it lies with a confidence of 95 %.

    With one value, or values that do not vary, there is no interval: `low` and `high` are NaN.
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
        Between what the difference lies; NaN where the values do not say.
    p
        Probability of so great a difference, or a greater one, where there is none; Holm's.
        NaN where the values do not say.
    """

    mean: float
    low: float
    high: float
    p: float

    @property
    def known(self) -> bool:
        """Whether the values say anything: they are enough, and they vary."""
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
    if len(set(values)) < 2:
        return Interval(mean, math.nan, math.nan)
    error = float(stats.sem(values))
    low, high = stats.t.interval(CONFIDENCE, len(values) - 1, loc=mean, scale=error)
    return Interval(mean, float(low), float(high))


def differences_to_best(
    values: Mapping[str, Sequence[float]], *, lower_is_better: bool
) -> tuple[str, dict[str, Difference]]:
    """The cell with the best mean, and how far each other one is from it.

    Welch's t test (1947) for each pair of cells, and Holm's steps (1979) for all pairs: the
    interval of the i-th smallest p of m is one of confidence 1 − 0.05 / (m − i + 1), until
    the first that includes 0; the others have the confidence of that one. So an interval
    excludes 0 just where Holm's procedure rejects that there is no difference.

    All k (k − 1) / 2 pairs count, although those with the best are all that is returned: which
    cell that is was chosen by the same values, and it is the best by luck, too. Two cells are
    one pair, and theirs is Welch's test as it stands. Where neither cell of a pair varies and
    their means differ, nothing is known: such values come of rounding, not of certainty.

    Parameters
    ----------
    values
        Cell -> a value for each seed, at least one cell and one value, all finite.
    lower_is_better
        Whether the best mean is the lowest.

    Returns
    -------
    tuple
        Name of the best cell, and the others' differences in the order of `values`.
    """
    means = {name: float(np.mean(seeds)) for name, seeds in values.items()}
    best = (min if lower_is_better else max)(means, key=lambda name: means[name])
    others = [name for name in values if name != best]
    raw = _welch_p(values, [name for name in [*others, best] if len(values[name]) > 1])
    found = {
        name: Difference(means[name] - means[best], math.nan, math.nan, math.nan) for name in others
    }
    adjusted, alpha, stopped = 0.0, 1 - CONFIDENCE, False
    for step, pair in enumerate(sorted(raw, key=raw.__getitem__)):
        left = len(raw) - step
        adjusted = max(adjusted, min(1.0, left * raw[pair]))
        if not stopped:
            alpha = (1 - CONFIDENCE) / left
            stopped = raw[pair] > alpha
        name, other = pair
        if other == best and not _tied_apart(values[name], values[best]):
            low, high = _welch_interval(values[name], values[best], 1 - alpha)
            found[name] = Difference(means[name] - means[best], low, high, adjusted)
    return best, found


def _welch_p(
    values: Mapping[str, Sequence[float]], names: Sequence[str]
) -> dict[tuple[str, str], float]:
    """Each pair of these cells -> its p; 1 where neither varies."""
    moments = {n: (np.mean(values[n]), np.std(values[n], ddof=1), len(values[n])) for n in names}
    pairs = list(combinations(names, 2))
    if not pairs:
        return {}
    sides = [np.array([moments[pair[side]] for pair in pairs]).T for side in (0, 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = stats.ttest_ind_from_stats(*sides[0], *sides[1], equal_var=False).pvalue
    return {
        pair: 1.0 if _no_spread(values[pair[0]], values[pair[1]]) else float(p)
        for pair, p in zip(pairs, found, strict=True)
    }


def _welch_interval(
    first: Sequence[float], second: Sequence[float], confidence: float
) -> tuple[float, float]:
    if _no_spread(first, second):
        return 0.0, 0.0
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


def _tied_apart(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether neither varies, each at a value of its own."""
    return _no_spread(first, second) and first[0] != second[0]
