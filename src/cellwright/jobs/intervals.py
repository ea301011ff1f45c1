"""Intervals that hold the truth as often as they say: conformal prediction.

What a model was wrong by on samples that it did not learn from tells how wide an interval must
be. Nothing is assumed of the errors but that the samples to come are like those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cellwright.errors import SettingError

__all__ = [
    "check_level",
    "conformal_margin",
    "margin_place",
    "nearest_pair",
    "nominal",
    "pairs",
    "thinned",
]

_MOST_KEPT = 1000


def check_level(level: float) -> float:
    """A share between 0 and 1, else a `SettingError`."""
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise SettingError(f"level={level!r}: must lie between 0 and 1, such as 0.9")
    return float(level)


def margin_place(level: float, samples: int) -> int:
    r"""Which of so many scores, ascending, is the margin: $\lceil (n + 1)\,\mathrm{level} \rceil$.

    Raises
    ------
    SettingError
        There are too few samples for that level: no finite interval would do.
    """
    place = math.ceil((samples + 1) * check_level(level) - 1e-9)
    if place > samples:
        wanted = math.ceil(level / (1 - level) - 1e-9)
        raise SettingError(
            f"level={level:g}: an interval that sure needs at least {wanted} samples for "
            f"validation, and there were {samples}; ask for less, or give more samples or a "
            f"greater validation_fraction"
        )
    return place


def conformal_margin(
    scores: npt.NDArray[np.float64], level: float, samples: int
) -> npt.NDArray[np.float64]:
    r"""How far an interval must reach to hold the truth with probability `level`.

    $$\hat q = s_{(\lceil (n + 1)\,\mathrm{level} \rceil)}$$

    the order statistic of the $n$ scores that has this chance at least, over the draw of these
    samples and of the next one (split conformal prediction).

    Parameters
    ----------
    scores
        By how much each sample was missed, ascending, (sample, target); or as `thinned` left it.
    level
        Between 0 and 1.
    samples
        How many scores there were.

    Returns
    -------
    array
        (target,).

    Raises
    ------
    SettingError
        There are too few samples for that level: no finite interval would do.

    References
    ----------
    Vovk, Gammerman and Shafer, "Algorithmic learning in a random world" (2005); Lei et al.,
    "Distribution-free predictive inference for regression", JASA (2018).
    """
    place = margin_place(level, samples)
    # Scores that were thinned stand for those before them, so that no interval gets narrower.
    kept = math.ceil(place / samples * len(scores) - 1e-9)
    return np.asarray(scores[kept - 1])


def thinned(scores: npt.NDArray[np.float64], most: int = _MOST_KEPT) -> npt.NDArray[np.float64]:
    """Scores in ascending order, (sample, target), of very many only so many, evenly."""
    ascending = np.sort(scores, axis=0)
    if len(ascending) <= most:
        return ascending
    places = np.ceil(np.arange(1, most + 1) / most * len(ascending) - 1e-9).astype(np.int64)
    return np.asarray(ascending[places - 1])


def pairs(quantiles: Sequence[float]) -> list[tuple[int, int]]:
    """Which quantiles, ascending, are the two ends of an interval: the outermost pair first."""
    low = [number for number, quantile in enumerate(quantiles) if quantile < 0.5]
    high = [number for number, quantile in enumerate(quantiles) if quantile > 0.5]
    return list(zip(low, reversed(high), strict=False))


def nominal(quantiles: Sequence[float], pair: tuple[int, int]) -> float:
    """How often the truth lies between two quantiles, if they are right."""
    return quantiles[pair[1]] - quantiles[pair[0]]


def nearest_pair(quantiles: Sequence[float], level: float) -> tuple[int, int]:
    """The pair of quantiles that comes nearest to an interval of that level.

    Raises
    ------
    SettingError
        There are no two quantiles on two sides of the median.
    """
    found = pairs(quantiles)
    if not found:
        shown = ", ".join(f"{quantile:g}" for quantile in quantiles)
        raise SettingError(
            f"quantiles={shown}: an interval wants one below and one above 0.5 among them"
        )
    return min(found, key=lambda pair: abs(nominal(quantiles, pair) - check_level(level)))
