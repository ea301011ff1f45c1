"""The forecaster: a competition's hourly series, and the airline passengers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cellwright.data.long_form import LongForm
from cellwright.data.long_form_files import read_long_form, read_m4
from cellwright.jobs.forecast import Forecaster, measure, naive2, seasonal_naive
from cellwright.jobs.forecast.tables import forecast_table
from gallery.recipe import Recipe, data_folder

__all__ = ["RECIPES", "airline", "airline_forecaster", "benchmarks", "m4_forecaster", "m4_hourly"]

M4: dict[str, Any] = {
    "horizon": 48,
    "season": 24,
    "window": 336,
    "patch": 24,
    "cell": "gru",
    "layers": [128],
    "epochs": 7,
    "batch_size": 256,
    "learning_rate": 3e-3,
}
# Nine years of months are little to learn from: a decay this strong leaves the naive forecast of
# two seasons, a growth that is learned, and whatever of the rest earns its place.
AIRLINE: dict[str, Any] = {
    "horizon": 6,
    "transform": "log",
    "window": 24,
    "patch": 1,
    "naive_seasons": 2,
    "series_scaling": "standard",
    "calendar": "none",
    "layers": [16],
    "epochs": 100,
    "schedule": "cosine",
    "weight_decay": 100.0,
}
_TRAINED_MONTHS = 120  # to December 1958


def benchmarks() -> dict[str, dict[str, float]]:
    """What M4 hourly's seasonal naive forecast and its Naive2 are worth."""
    train, whole = read_m4(data_folder("m4"))
    truth = whole.last(48).frame()
    return {
        function.__name__: measure(
            forecast_table(train, function(train, 48, 24)[..., None], []), truth, train, 24
        )
        for function in (seasonal_naive, naive2)
    }


def m4_forecaster(seed: int) -> tuple[Forecaster, LongForm]:
    """A forecaster that learned from the training part of all 414 series, and the whole series."""
    train, whole = read_m4(data_folder("m4"))
    return Forecaster(random_state=seed, **M4).fit(train), whole


def m4_hourly(seed: int) -> Mapping[str, float]:
    """One network for all 414 series; the test is touched once."""
    model, whole = m4_forecaster(seed)
    found = model.measures(whole)
    return {
        "OWA": found["owa"],
        "sMAPE": found["smape"],
        "MASE": found["mase"],
        "CRPS": found["crps"],
        "coverage of 80 %": found["coverage_80"],
        "coverage of 95 %": found["coverage_95"],
        "parameters": sum(weight.numel() for weight in model.network_.parameters()),
        "training seconds": round(sum(row["seconds"] for row in model.history_), 1),
    }


def airline_forecaster(seed: int) -> tuple[Forecaster, LongForm]:
    """A forecaster that learned from 1949 to 1958, and the whole series."""
    long = read_long_form(
        data_folder("timeseries-classic") / "airline-passengers.csv",
        id_column=None,
        time_column="Month",
        target_column="Passengers",
    )
    known = long.without_last(len(long.y) - _TRAINED_MONTHS)
    return Forecaster(random_state=seed, **AIRLINE).fit(known), long


def airline(seed: int) -> Mapping[str, float]:
    """Rolling forecasts of 6 months from every month since January 1959, without refitting."""
    model, long = airline_forecaster(seed)
    steps, horizon = len(long.y), AIRLINE["horizon"]
    errors = []
    for end in range(_TRAINED_MONTHS, steps - horizon + 1):
        told = model.predict(long.without_last(steps - end))["yhat"].to_numpy()
        truth = long.y[end : end + horizon]
        errors.append(100 * np.abs(told - truth) / truth)
    return {
        "MAPE": float(np.mean([each[-1] for each in errors])),
        "MAPE of all six": float(np.mean(errors)),
        "parameters": sum(weight.numel() for weight in model.network_.parameters()),
        "training seconds": round(sum(row["seconds"] for row in model.history_), 1),
    }


RECIPES = [
    Recipe(
        job="forecast",
        name="M4 hourly",
        setting="414 series, the competition's split, horizon 48; GRU of 128 over days",
        measure="OWA",
        asked=0.58,
        lower_is_better=True,
        published="seasonal naive 0.627, winner 0.440 (Makridakis et al. 2020)",
        run=m4_hourly,
        minutes=0.5,
        folder="m4",
    ),
    Recipe(
        job="forecast",
        name="airline passengers",
        setting="learned to 1958-12; each month since, the sixth step ahead; no refitting",
        measure="MAPE",
        asked=2.7,
        lower_is_better=True,
        published="darts' LSTM: 2.71 (learned to 1959-01)",
        run=airline,
        minutes=0.1,
        folder="timeseries-classic",
    ),
]
