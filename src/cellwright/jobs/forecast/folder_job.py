"""Forecasting in a run folder: the last steps of each series are the test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellwright.data.checks import refuse_given
from cellwright.data.long_form import LongForm
from cellwright.data.long_form_files import read_long_form, read_m4
from cellwright.data.seasonal_series import made_up_sales
from cellwright.errors import DataError, SettingError, did_you_mean
from cellwright.jobs.asked import Asked
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.forecast.columns import chosen_columns
from cellwright.jobs.forecast.dividing import learned_part, windows_ahead
from cellwright.jobs.forecast.estimator import Forecaster
from cellwright.jobs.forecast.measures import measure
from cellwright.jobs.forecast.preparing import learn_facts
from cellwright.jobs.job import Job
from cellwright.jobs.options.forecast import ForecasterReading
from cellwright.look.forecast_picture import draw_forecasts
from cellwright.look.pictures import save_picture
from cellwright.storage import replace_file

__all__ = ["JOB", "ForecastData", "Given"]

_NAMED = ("sales", "m4-hourly", "m4-weekly")
_SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True, eq=False)
class ForecastData:
    """Series, and how many of their last steps are the test.

    Attributes
    ----------
    name
        What people call them.
    series
        All of them, whole.
    horizon
        Steps of the test.
    """

    name: str
    series: LongForm
    horizon: int

    @property
    def fingerprint(self) -> str:
        """A digest of all of it."""
        return self.series.fingerprint

    @property
    def train(self) -> LongForm:
        """What comes before the test."""
        return self.series.without_last(self.horizon)


@dataclass(frozen=True, eq=False)
class Given:
    """Series to use a trained model on.

    Attributes
    ----------
    series
        Of a file they may end with rows whose target is empty: these are forecast.
    ahead
        Steps at the end that are not to be seen; None for what has no target.
    """

    series: LongForm
    ahead: int | None


class _Forecast(Job[Forecaster, ForecastData]):
    """Series in long form, each divided by time."""

    estimator = Forecaster
    files = ("forecasts.png", "forecasts.csv")

    def read(self, asked: Asked) -> ForecastData:
        if asked.source in _NAMED:
            columns = {
                f.name: (asked.reading[f.name], f.default, False) for f in fields(ForecasterReading)
            }
            frequency = {"frequency": (asked.options["frequency"], None, False)}
            refuse_given(asked.source, columns | frequency)
        series, horizon = _series(asked), asked.options["horizon"]
        short = series.lengths <= 2 * horizon
        if short.any():
            label, steps = series.ids[short][0], series.lengths[short][0]
            raise DataError(
                f"{asked.source}: the series {label!r} has {steps} steps; with a test of "
                f"{horizon} and a horizon of {horizon} it needs at least {2 * horizon + 1}. Leave "
                f"it out, or forecast less far ahead"
            )
        data = ForecastData(Path(asked.source).name.partition(".")[0], series, horizon)
        _check_test(asked, data)
        return data

    def facts(self, data: ForecastData) -> dict[str, Any]:
        return {
            "series": len(data.series),
            "steps": int(data.train.lengths.sum()),
            "horizon": data.horizon,
            "frequency": str(data.series.frequency),
        }

    def fit(self, model: Forecaster, data: ForecastData, hooks: Hooks) -> None:
        model.fit(data.train, **hooks)

    def finish(self, model: Forecaster, data: ForecastData, folder: Path) -> dict[str, Any]:
        forecasts, found = _tested(model, data.series, data.horizon)
        replace_file(folder / "forecasts.csv", forecasts.to_csv(index=False))
        truth = data.series.last(data.horizon).frame()
        levels = model.options()["levels"]
        picture = draw_forecasts(data.train.frame(), forecasts, truth, levels=levels)
        save_picture(picture, folder / "forecasts.png")
        return {**found, "series": len(data.series), "horizon": data.horizon}

    def read_samples(self, asked: Asked) -> Given:
        return Given(_series(asked), None)

    def test_part(self, data: ForecastData) -> Given:
        return Given(data.series, data.horizon)

    def predictions(
        self, model: Forecaster, samples: Given, *, probabilities: bool
    ) -> pd.DataFrame:
        """Intervals are always there: `probabilities` adds nothing."""
        if samples.ahead is not None:
            return _forecast(model, samples.series, samples.ahead)
        known = samples.series.without_ends()
        table: pd.DataFrame = model.predict(known, future=samples.series.frame())
        return table

    def scores(self, model: Forecaster, samples: Given) -> tuple[dict[str, Any], str]:
        series = samples.series if samples.ahead is not None else samples.series.without_ends()
        horizon = samples.ahead or model.options()["horizon"]
        _, found = _tested(model, series, horizon)
        report = "\n".join(f"{name:>14}  {value:.4g}" for name, value in found.items())
        measured = {**found, "series": len(series), "horizon": horizon}
        return measured, f"{report}\n{len(series)} series, their last {horizon} steps"


def _check_test(asked: Asked, data: ForecastData) -> None:
    """What the test would be refused for is found before the training, not after."""
    source, options = asked.source, asked.options
    if np.isnan(data.series.last(data.horizon).y).all():
        raise DataError(
            f"{source}: no series has a value in its last {data.horizon} steps, which are the test"
        )
    learned, _ = learned_part(data.train, options)
    facts = learn_facts(learned, options)
    try:
        windows_ahead(data.train, data.horizon, facts, options, data.series.frame())
    except DataError as error:
        raise DataError(
            f"{source}, with its last {data.horizon} steps for the test: {error}"
        ) from error


def _forecast(model: Forecaster, series: LongForm, horizon: int) -> pd.DataFrame:
    table: pd.DataFrame = model.predict(
        series.without_last(horizon), horizon, future=series.frame()
    )
    return table


def _tested(
    model: Forecaster, series: LongForm, horizon: int
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Forecasts of the last steps, with what came beside them, and what they are worth."""
    if (series.lengths <= horizon).any():
        label = series.ids[series.lengths <= horizon][0]
        raise DataError(
            f"the series {label!r} has no more than the {horizon} steps to be tested on"
        )
    forecasts = _forecast(model, series, horizon)
    truth = series.last(horizon).frame()[["unique_id", "ds", "y"]]
    known, levels = series.without_last(horizon), model.options()["levels"]
    found = measure(forecasts, truth, known, model.facts_.season, levels)
    return forecasts.merge(truth, on=["unique_id", "ds"], how="left"), found


def _series(asked: Asked) -> LongForm:
    source, reading, options = asked.source, asked.reading, asked.options
    if source in _NAMED:
        return _with_columns(source, _named(asked), chosen_columns(options))
    if not source.endswith(_SUFFIXES):
        raise DataError(
            f"there is no data set {source!r}.{did_you_mean(source, _NAMED)} Known: "
            f"{', '.join(_NAMED)}, or a path that ends in {', '.join(_SUFFIXES)}"
        )
    asked.refuse_folder(f"a data folder goes with a named data set, not with {source!r}")
    chosen = chosen_columns(options)
    return read_long_form(
        Path(source),
        id_column=reading["id_column"],
        time_column=reading["time_column"],
        target_column=reading["target_column"],
        columns=list(chosen),
        numbers=[name for name, (_, categorical) in chosen.items() if not categorical],
        frequency=options["frequency"],
    )


def _with_columns(source: str, series: LongForm, chosen: Iterable[str]) -> LongForm:
    for name in chosen:
        if name not in series.columns:
            known = ", ".join(series.columns) or "none"
            raise DataError(
                f"{source}: there is no column {name!r}; beside y there are: {known}."
                f"{did_you_mean(name, series.columns)}"
            )
    return series


def _named(asked: Asked) -> LongForm:
    source = asked.source
    if source == "sales":
        asked.refuse_folder("a data folder goes with m4-hourly and m4-weekly, not with sales")
        return made_up_sales()
    if asked.folder is None:
        raise SettingError(f"{source}: name the folder of its files with --data-dir")
    groups: dict[str, Callable[[Path], LongForm]] = {
        "m4-hourly": lambda place: read_m4(place, "Hourly")[1],
        "m4-weekly": lambda place: read_m4(place, "Weekly")[1],
    }
    return groups[source](asked.folder)


JOB = _Forecast()
