"""What forecasts are worth, by the measures of the field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellwright.data.long_form import LongForm
from cellwright.errors import DataError, require_extra
from cellwright.jobs.forecast.naive import naive2
from cellwright.jobs.forecast.outputs import interval_probabilities
from cellwright.jobs.forecast.tables import interval_columns
from cellwright.jobs.forecast.windows import Floats

__all__ = ["measure", "overall_weighted_average"]


def measure(
    forecasts: pd.DataFrame,
    truth: pd.DataFrame,
    known: LongForm,
    season: int,
    levels: Sequence[float] = (),
) -> dict[str, float]:
    r"""Measures of forecasts, each the mean over the series.

    ``mase`` is the mean absolute error divided by that of the seasonal naive forecast within
    the known part, of a series no longer than a season by that of the last value; ``smape`` the
    M4 competition's, in percent, 0 to 200; ``owa`` its overall weighted average,

    $$\tfrac12 (\mathrm{sMAPE} / \mathrm{sMAPE}_{\mathrm{Naive2}}
    + \mathrm{MASE} / \mathrm{MASE}_{\mathrm{Naive2}});$$

    ``mape`` in percent, of the values that are not 0; ``crps`` the scaled continuous ranked
    probability score over the quantiles that there are; ``coverage_80`` how much of the truth
    lies within an interval, as a share. All but the OWA are those of Nixtla's utilsforecast.

    A series whose known part the naive forecast tells without an error, but for rounding, has no
    MASE, and one whose truth is all 0 no MAPE and no CRPS: the mean is that of the others, and
    ``mase_left_out`` (likewise for the others) says how many were left out, if any were. A
    measure is NaN if no series has it; the OWA is NaN or infinite if Naive2 makes no error.

    Parameters
    ----------
    forecasts
        ``unique_id, ds, yhat`` and ends of intervals.
    truth
        ``unique_id, ds, y``; rows without a value are left out.
    known
        What came before, of the same series.
    season
        Steps of a season.
    levels
        Of the intervals.

    Raises
    ------
    DataError
        Nothing of the truth is there.
    """
    require_extra("forecast", "utilsforecast")
    from utilsforecast import losses  # noqa: PLC0415 -- an extra

    both = truth[["unique_id", "ds", "y"]].dropna().merge(forecasts, on=["unique_id", "ds"])
    if both.empty:
        raise DataError("there is no value to hold the forecasts against")
    errors = _errors(both, known, season)
    each = {**errors, "mape": 100 * _by_series(losses.mape(both, ["yhat"]))}
    if levels:
        columns = {"yhat": interval_columns(levels)}
        at = np.array(interval_probabilities(levels))
        scaled = both[both["y"].abs().groupby(both["unique_id"]).transform("sum") > 0]
        each["crps"] = _by_series(losses.scaled_crps(scaled, columns, at))
    series = both["unique_id"].nunique()
    found = {name: _mean(values) for name, values in each.items()}
    missing = {name: series - int(np.isfinite(values).sum()) for name, values in each.items()}
    found["owa"] = _owa(both, known, season, found)
    for level in levels:
        inside: Any = losses.coverage(both, ["yhat"], f"{level:g}")  # type: ignore[arg-type]
        found[f"coverage_{level:g}"] = _mean(_by_series(inside))
    return found | {f"{name}_left_out": count for name, count in missing.items() if count}


def overall_weighted_average(
    smape: float, mase: float, naive2_smape: float, naive2_mase: float
) -> float:
    """The M4 competition's OWA of a mean sMAPE and a mean MASE, and those of Naive2.

    NaN or infinite if Naive2 makes no error.

    Examples
    --------
    >>> round(overall_weighted_average(13.912, 1.193, 18.383, 2.395), 3)
    0.627
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(0.5 * np.sum(np.divide((smape, mase), (naive2_smape, naive2_mase))))


def _owa(both: pd.DataFrame, known: LongForm, season: int, found: dict[str, float]) -> float:
    """Against Naive2 on the same rows."""
    last = dict(zip(known.ids, known.offsets[1:].tolist(), strict=True))
    kept = both[["unique_id", "ds", "y"]]
    ahead = _steps_ahead(kept, known, last)
    forecasts = naive2(known, int(ahead.max()) + 1, season)
    place = {label: number for number, label in enumerate(known.ids)}
    rows = kept["unique_id"].map(place).to_numpy()
    against = _errors(kept.assign(yhat=forecasts[rows, ahead]), known, season)
    return overall_weighted_average(
        found["smape"], found["mase"], _mean(against["smape"]), _mean(against["mase"])
    )


def _steps_ahead(kept: pd.DataFrame, known: LongForm, last: dict[Any, int]) -> Any:
    """How many steps behind the end of its series each row is, from 0."""
    steps = np.empty(len(kept), np.int64)
    for label, rows in kept.groupby("unique_id", sort=False).indices.items():
        stamps = pd.Index(kept["ds"].iloc[rows])
        end = known.times[last[label] - 1]
        if isinstance(known.frequency, int):
            steps[rows] = (stamps.to_numpy() - end) // known.frequency - 1
        else:
            every = pd.date_range(end, stamps.max(), freq=known.frequency)[1:]
            steps[rows] = every.get_indexer(stamps)
    return steps


def _errors(both: pd.DataFrame, known: LongForm, season: int) -> dict[str, Floats]:
    """MASE and sMAPE of each series that has one."""
    from utilsforecast import losses  # noqa: PLC0415 -- an extra

    history, told = known.frame()[["unique_id", "ds", "y"]], _told_by_naive(known, season)
    short = both["unique_id"].isin(known.ids[known.lengths <= season])
    parts = [
        losses.mase(both[rows], ["yhat"], lag, history)
        for lag, rows in ((1, short), (season, ~short))
        if rows.any()
    ]
    mase = [np.where(each["unique_id"].isin(told), np.nan, _by_series(each)) for each in parts]
    # M4 divides by the mean of the two, not by their sum.
    smape = 200 * _by_series(losses.smape(both, ["yhat"]))
    return {"mase": np.concatenate(mase), "smape": smape}


def _told_by_naive(known: LongForm, season: int) -> list[Any]:
    """The series whose every value the naive forecast tells, but for rounding."""
    found = []
    for number, label in enumerate(known.ids):
        y = known.y[known.rows_of(number)]
        lag = season if len(y) > season else 1
        error, size = (np.nan_to_num(np.abs(each)) for each in (y[lag:] - y[:-lag], y))
        if error.max(initial=0) <= 10 * np.finfo(np.float64).eps * size.max():
            found.append(label)
    return found


def _by_series(table: Any) -> Floats:
    return np.asarray(table["yhat"].to_numpy(dtype=float))


def _mean(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
