"""Series to try forecasting on, made on every machine alike: no file, no download."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cellwright.data.long_form import LongForm, as_long_form

__all__ = ["made_up_sales"]


def made_up_sales(*, series: int = 40, days: int = 420, seed: int = 0) -> LongForm:
    r"""Daily sales that never were, of several shops: a level, a trend, a week, a year, noise.

    $$y_t = \ell\,(1 + b t)\,w_{t \bmod 7}\,\Bigl(1 + a \sin\frac{2\pi t}{365.25}\Bigr)
    (1 + 0.4\,p_t)\,e^{\varepsilon_t}$$

    with a column ``promotion``, $p_t$, that is known ahead, and ``region``, which never changes.
    A series starts up to 90 days late, and about one value in 200 is missing.

    Parameters
    ----------
    series
        How many shops.
    days
        Days until the common end.
    seed
        The same for the same numbers.
    """
    draw = np.random.default_rng(seed)
    dates = pd.date_range("2022-01-01", periods=days, freq="D")
    week = np.array([0.8, 0.75, 0.8, 0.9, 1.15, 1.5, 1.1])
    parts = []
    for shop in range(series):
        region = ("north", "south", "west")[shop % 3]
        start, time = int(draw.integers(0, min(90, days // 4) + 1)), np.arange(days)
        promotion = (draw.random(days) < 0.06).astype(float)
        shape = week ** draw.uniform(0.5, 1.5)
        year = 1 + draw.uniform(0.05, 0.25) * np.sin(2 * np.pi * time / 365.25)
        noise = draw.normal(0, 0.08, days)
        level = np.exp(draw.normal(4, 1)) * (1 + draw.normal(0, 3e-4) * time)
        y = level * shape[dates.day_of_week] * year * (1 + 0.4 * promotion) * np.exp(noise)
        missing = draw.random(days) < 0.005
        missing[[start, -1]] = False  # a series begins and ends with a value
        y[missing] = np.nan
        columns = {"unique_id": f"shop {shop:02d}", "ds": dates, "y": y.round(2)}
        table = pd.DataFrame(columns | {"promotion": promotion, "region": region})
        parts.append(table.iloc[start:])
    return as_long_form(
        pd.concat(parts, ignore_index=True), columns=("promotion", "region"), numbers=("promotion",)
    )
