r"""Intervals as wide as what was seen says that they must be.

Conformalised quantile regression (Romano, Patterson and Candes, NeurIPS 2019): by how much
$\max(\hat y_{lo} - y, y - \hat y_{hi})$ the ends were missed on windows that were not learned
from tells how far they must be moved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellwright.jobs.forecast.windows import Floats
from cellwright.jobs.intervals import conformal_margin

__all__ = ["margins_of", "with_margins"]


def margins_of(
    quantiles: Floats, truth: Floats, spread: Floats, levels: Sequence[float]
) -> list[list[float]]:
    """By how many spreads the ends of each interval must be moved outwards, (level, horizon).

    Parameters
    ----------
    quantiles
        (window, horizon, 2 × levels + 1), ascending.
    truth
        (window, horizon).
    spread
        Of each window, (window, 1).
    levels
        In percent, ascending.

    Raises
    ------
    SettingError
        There are too few windows for a level.
    """
    margins = []
    for place, level in enumerate(levels):
        low, high = _ends(place, len(levels))
        missed = np.maximum(quantiles[..., low] - truth, truth - quantiles[..., high]) / spread
        margin = conformal_margin(np.sort(missed, 0), level / 100, len(missed))
        margins.append([float(value) for value in margin])
    return margins


def with_margins(quantiles: Floats, spread: Floats, margins: Sequence[Sequence[float]]) -> Floats:
    """Quantiles with the ends of intervals moved, on their sides of the median."""
    moved, levels = quantiles.copy(), len(margins)
    middle = quantiles[..., levels]
    for place, each in enumerate(margins):
        low, high = _ends(place, levels)
        margin = np.asarray(each)[None, : quantiles.shape[1]] * spread
        moved[..., low] = np.minimum(quantiles[..., low] - margin, middle)
        moved[..., high] = np.maximum(quantiles[..., high] + margin, middle)
    return np.sort(moved, axis=-1)


def _ends(place: int, levels: int) -> tuple[int, int]:
    """Which quantiles are the ends of an interval; levels ascend, so that the last is outermost."""
    return levels - 1 - place, levels + 1 + place
