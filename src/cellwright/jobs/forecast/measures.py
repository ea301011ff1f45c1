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
    the known part; ``smape`` the M4 competition's, in percent, 0 to 200; ``owa`` its overall
    weighted average,

    $$\tfrac12 (\mathrm{sMAPE} / \mathrm{sMAPE}_{\mathrm{Naive2}}
    + \mathrm{MASE} / \mathrm{MASE}_{\mathrm{Naive2}});$$

    ``mape`` in percent; ``crps`` the scaled continuous ranked probability score over the
    quantiles that there are; ``coverage_80`` how much of the truth lies within an interval, as a
    share. All but the OWA are those of Nixtla's utilsforecast.

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
    found = {"mase": errors["mase"], "smape": errors["smape"]}
    found["owa"] = _owa(both, known, season, errors)
    found["mape"] = 100 * _mean(losses.mape(both, ["yhat"]))
    if levels:
        columns = {"yhat": interval_columns(levels)}
        at = np.array(interval_probabilities(levels))
        found["crps"] = _mean(losses.scaled_crps(both, columns, at))
    for level in levels:
        inside: Any = losses.coverage(both, ["yhat"], f"{level:g}")  # type: ignore[arg-type]
        found[f"coverage_{level:g}"] = _mean(inside)
    return found


def overall_weighted_average(
    smape: float, mase: float, naive2_smape: float, naive2_mase: float
) -> float:
    """The M4 competition's OWA of a mean sMAPE and a mean MASE, and those of Naive2.

    Examples
    --------
    >>> round(overall_weighted_average(13.912, 1.193, 18.383, 2.395), 3)
    0.627
    """
    return 0.5 * (smape / naive2_smape + mase / naive2_mase)


def _owa(both: pd.DataFrame, known: LongForm, season: int, errors: dict[str, float]) -> float:
    """Against Naive2 on the same rows."""
    last = dict(zip(known.ids, known.offsets[1:].tolist(), strict=True))
    kept = both[["unique_id", "ds", "y"]]
    ahead = _steps_ahead(kept, known, last)
    forecasts = naive2(known, int(ahead.max()) + 1, season)
    place = {label: number for number, label in enumerate(known.ids)}
    rows = kept["unique_id"].map(place).to_numpy()
    against = _errors(kept.assign(yhat=forecasts[rows, ahead]), known, season)
    return overall_weighted_average(
        errors["smape"], errors["mase"], against["smape"], against["mase"]
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


def _errors(both: pd.DataFrame, known: LongForm, season: int) -> dict[str, float]:
    from utilsforecast import losses  # noqa: PLC0415 -- an extra

    season = season if int(known.lengths.max()) > season else 1
    mase = losses.mase(both, ["yhat"], season, known.frame()[["unique_id", "ds", "y"]])
    # M4 divides by the mean of the two, not by their sum.
    return {"mase": _mean(mase), "smape": 200 * _mean(losses.smape(both, ["yhat"]))}


def _mean(table: Any) -> float:
    values = table["yhat"].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
