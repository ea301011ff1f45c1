"""Forecasts from several points of the past, beside what came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from cellwright.data.long_form import LongForm
from cellwright.errors import DataError, SettingError
from cellwright.jobs.forecast.tables import as_native

if TYPE_CHECKING:
    from cellwright.jobs.forecast.estimator import Forecaster

__all__ = ["backtest"]


def backtest(
    model: Forecaster,
    df: Any,
    horizon: int | None,
    windows: int,
    step: int | None,
    *,
    refit: bool,
) -> Any:
    """What `Forecaster.backtest` does; its arguments are described there."""
    horizon = model.options()["horizon"] if horizon is None else horizon
    step = horizon if step is None else step
    for name, value in (("horizon", horizon), ("windows", windows), ("step", step)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise SettingError(f"{name}={value!r}: must be a whole number from 1")
    fresh = clone(model)
    long = fresh.as_series(df)
    needed = horizon + (windows - 1) * step
    if (long.lengths <= needed).any():
        at = int(np.argmax(long.lengths <= needed))
        raise DataError(
            f"the series {long.ids[at]!r} has {long.lengths[at]} steps; {windows} windows of "
            f"{horizon}, {step} apart, leave nothing to learn from"
        )
    parts: list[pd.DataFrame] = []
    for number in reversed(range(windows)):
        known = long.without_last(horizon + number * step)
        if refit or not parts:
            fresh = clone(fresh).fit(known)
        parts.append(_beside(fresh, long, known, horizon))
    return as_native(pd.concat(parts, ignore_index=True), df)


def _beside(model: Forecaster, long: LongForm, known: LongForm, horizon: int) -> pd.DataFrame:
    """Forecasts behind the known part, with the truth and the time that they were made at."""
    forecasts: pd.DataFrame = model.predict(known, horizon, future=long.frame())
    truth = long.frame()[["unique_id", "ds", "y"]]
    table = forecasts.merge(truth, on=["unique_id", "ds"], how="left")
    cutoffs = pd.DataFrame({"unique_id": known.ids, "cutoff": known.times[known.offsets[1:] - 1]})
    table = table.merge(cutoffs, on="unique_id", how="left")
    first = ["unique_id", "ds", "cutoff", "y"]
    ordered: pd.DataFrame = table[[*first, *(n for n in table.columns if n not in first)]]
    return ordered
