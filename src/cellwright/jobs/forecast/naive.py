"""Forecasts that cost nothing, against which others are measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cellwright.data.long_form import LongForm

__all__ = ["is_seasonal", "naive2", "seasonal_naive"]

Floats = npt.NDArray[np.float64]
_NINETY_PERCENT = 1.645


def seasonal_naive(long: LongForm, horizon: int, season: int) -> Floats:
    r"""The last season again and again, (series, horizon): $\hat y_{T+h} = y_{T+h-km}$."""
    return _behind_each(long, horizon, lambda y, steps: _repeated(y, steps, season))


def naive2(long: LongForm, horizon: int, season: int) -> Floats:
    """The last value, with the season put back where there is one, (series, horizon).

    The benchmark that the M4 competition divides by: a series whose season passes
    `is_seasonal` is divided by the seasonal indices of a classical multiplicative
    decomposition, and its last value is multiplied by those to come.

    References
    ----------
    Makridakis, Spiliotis and Assimakopoulos, "The M4 Competition: 100,000 time series and 61
    forecasting methods", International Journal of Forecasting (2020).
    """

    def ahead(y: Floats, steps: int) -> Floats:
        if not is_seasonal(y, season) or (y <= 0).any():
            return np.full(steps, y[-1])
        indices = _seasonal_indices(y, season)
        phases = (len(y) + np.arange(steps)) % season
        return np.asarray(y[-1] / indices[(len(y) - 1) % season] * indices[phases])

    return _behind_each(long, horizon, ahead)


def is_seasonal(y: Floats, season: int) -> bool:
    r"""Whether the autocorrelation at the season is significant at 90 %.

    $$|r_m| > 1.645 \sqrt{\Bigl(1 + 2\sum_{k<m} r_k^2\Bigr) / n}$$
    """
    if season < 2 or len(y) < 3 * season:
        return False
    centred = y - y.mean()
    power = float(centred @ centred)
    if power == 0:
        return False
    r = np.array([centred[k:] @ centred[: len(y) - k] for k in range(1, season + 1)]) / power
    limit = _NINETY_PERCENT * np.sqrt((1 + 2 * float((r[:-1] ** 2).sum())) / len(y))
    return bool(abs(r[-1]) > limit)


def _seasonal_indices(y: Floats, season: int) -> Floats:
    """Factors of each phase, mean 1, by classical multiplicative decomposition."""
    weights = np.full(season, 1 / season)
    if season % 2 == 0:
        weights = np.concatenate([[0.5 / season], weights[1:], [0.5 / season]])
    half = len(weights) // 2
    trend = np.convolve(y, weights, mode="valid")
    ratios, phases = (
        y[half : half + len(trend)] / trend,
        np.arange(half, half + len(trend)) % season,
    )
    factors = np.array([ratios[phases == phase].mean() for phase in range(season)])
    return np.asarray(factors / factors.mean())


def _behind_each(long: LongForm, horizon: int, forecast: Callable[[Floats, int], Floats]) -> Floats:
    """Forecasts of the steps behind the last row of each series, (series, horizon).

    They are made of the values from the first to the last that is known, gaps filled; rows
    behind that one are steps ahead too. A series without a value has NaN.
    """
    found = np.full((len(long), horizon), np.nan)
    for series in range(len(long)):
        y = long.y[long.rows_of(series)]
        at = np.flatnonzero(~np.isnan(y))
        if len(at):
            known = np.interp(np.arange(at[0], at[-1] + 1), at, y[at])
            found[series] = forecast(known, len(y) - 1 - at[-1] + horizon)[-horizon:]
    return found


def _repeated(y: Floats, horizon: int, season: int) -> Floats:
    last = y[-min(season, len(y)) :]
    return np.asarray(last[np.arange(horizon) % len(last)])
