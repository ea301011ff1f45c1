"""Forecasts as tables in long form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellwright.data.long_form import LongForm
from cellwright.jobs.forecast.windows import Floats

__all__ = ["as_native", "forecast_table", "interval_columns"]


def interval_columns(levels: Sequence[float]) -> list[str]:
    """Names of the columns of quantiles in ascending order, levels ascending.

    Examples
    --------
    >>> interval_columns([80, 95])
    ['yhat-lo-95', 'yhat-lo-80', 'yhat', 'yhat-hi-80', 'yhat-hi-95']
    """
    low = [f"yhat-lo-{level:g}" for level in reversed(levels)]
    return [*low, "yhat", *(f"yhat-hi-{level:g}" for level in levels)]


def forecast_table(
    long: LongForm, quantiles: Floats, levels: Sequence[float], like: Any = None
) -> Any:
    """A row for each series and step ahead.

    Parameters
    ----------
    long
        What was forecast.
    quantiles
        (series, horizon, 2 × levels + 1), ascending.
    levels
        Of the intervals, ascending.
    like
        A table; one of polars makes this one of polars.
    """
    steps, names = quantiles.shape[1], interval_columns(levels)
    times = long.times_after(steps)
    flat = quantiles.reshape(-1, quantiles.shape[2])
    table = pd.DataFrame(
        {"unique_id": np.repeat(long.ids, steps), "ds": times[0].append(list(times[1:]))}
    )
    ends = [f"yhat-{end}-{level:g}" for level in levels for end in ("lo", "hi")]
    for name in ("yhat", *ends):
        table[name] = flat[:, names.index(name)]
    return as_native(table, like)


def as_native(table: pd.DataFrame, like: Any) -> Any:
    """The table as one of polars if the other is one of polars."""
    if type(like).__module__.partition(".")[0] != "polars":
        return table
    import polars  # noqa: PLC0415 -- only where the user has it

    zones = {
        str(name): cells.dtype.tz
        for name, cells in table.items()
        if isinstance(cells.dtype, pd.DatetimeTZDtype)
    }
    plain = table.assign(**{name: table[name].dt.tz_convert(None) for name in zones})
    made = polars.DataFrame(
        {
            str(name): cells.tolist() if cells.dtype == object else cells.to_numpy()
            for name, cells in plain.items()
        }
    )
    return made.with_columns(
        polars.col(name).dt.replace_time_zone("UTC").dt.convert_time_zone(str(zone))
        for name, zone in zones.items()
    )
