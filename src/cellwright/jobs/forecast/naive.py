"""Forecasts that cost nothing, against which others are measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cellwright.data.long_form import LongForm

__all__ = ["is_seasonal", "naive2", "seasonal_naive"]

Floats = npt.NDArray[np.float64]
_NINETY_PERCENT = 1.645


def seasonal_naive(long: LongForm, horizon: int, season: int) -> Floats:
    r"""The last season again and again, (series, horizon): $\hat y_{T+h} = y_{T+h-km}$."""
    return np.stack(
        [_repeated(_known(long, series), horizon, season) for series in range(len(long))]
    )


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
    found = []
    for series in range(len(long)):
        y = _known(long, series)
        if not is_seasonal(y, season) or (y <= 0).any():
            found.append(np.full(horizon, y[-1]))
            continue
        indices = _seasonal_indices(y, season)
        ahead = (len(y) + np.arange(horizon)) % season
        found.append(y[-1] / indices[(len(y) - 1) % season] * indices[ahead])
    return np.stack(found)


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


def _known(long: LongForm, series: int) -> Floats:
    """The values of a series from the first to the last that is known, gaps filled."""
    y = long.y[long.rows_of(series)]
    at = np.flatnonzero(~np.isnan(y))
    return np.asarray(np.interp(np.arange(at[0], at[-1] + 1), at, y[at]))


def _repeated(y: Floats, horizon: int, season: int) -> Floats:
    last = y[-min(season, len(y)) :]
    return np.asarray(last[np.arange(horizon) % len(last)])
