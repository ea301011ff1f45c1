"""Options of `cellwright.Forecaster`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cellwright.jobs.options.base import CellName, EncoderOptions, Rate, TrainingOptions
from cellwright.jobs.options.entry import Entry

__all__ = ["ENTRY", "ForecasterOptions", "ForecasterReading"]

Level = Annotated[float, Field(ge=1e-4, le=100 - 1e-4)]


def _ascending(given: float | Sequence[float]) -> tuple[float, ...]:
    """Levels in order, each once: those that columns of a table would call the same are one."""
    levels = (given,) if isinstance(given, float) else given
    if not levels:
        raise ValueError("give one level at least")
    return tuple(sorted({round(level, 4) for level in levels}))


Levels = Annotated[Level | Sequence[Level], AfterValidator(_ascending)]
Names = str | Sequence[str] | None


@dataclass(kw_only=True, eq=False, repr=False)
class ForecasterOptions(EncoderOptions, TrainingOptions):
    """Options of `cellwright.Forecaster`."""

    horizon: Annotated[int, Field(ge=1, description="Steps to forecast.")] = 28
    window: Annotated[
        int | None,
        Field(ge=1, description="Steps that are read; without it up to fourteen seasons."),
    ] = None
    patch: Annotated[
        int | None,
        Field(
            ge=1,
            description="Values that the cell reads in one step; without it a season, where the "
            "window has at least seven, else 1.",
        ),
    ] = None
    season: Annotated[
        int | None,
        Field(ge=1, description="Steps of a season; without it that of the frequency."),
    ] = None
    frequency: Annotated[
        str | None,
        Field(description="How far apart times are, such as h, D, MS; without it found out."),
    ] = None
    strategy: Annotated[
        Literal["direct", "recursive"],
        Field(description="All steps at once, or a patch at a time, fed back."),
    ] = "direct"
    decoder: Annotated[
        Literal["linear", "recurrent"],
        Field(description="What makes the steps ahead of the encoder's last state."),
    ] = "linear"
    autoregression: Annotated[
        bool, Field(description="Add a naive forecast, and a linear map of the window.")
    ] = True
    naive_seasons: Annotated[
        int, Field(ge=1, description="Seasons whose shapes that naive forecast averages.")
    ] = 1
    series_scaling: Annotated[
        Literal["seasonal", "standard", "level", "none"],
        Field(
            description="By what a window is divided, its level taken away: mean change from "
            "season to season, standard deviation, level itself."
        ),
    ] = "seasonal"
    transform: Annotated[
        Literal["none", "log"], Field(description="Learn the series, or its logarithm.")
    ] = "none"
    error_units: Annotated[
        Literal["spread", "level", "both"] | None,
        Field(
            description="What an error is divided by in the loss of quantiles, see "
            "series_scaling; without it both."
        ),
    ] = None
    output: Annotated[
        Literal["quantiles", "normal", "student_t", "negative_binomial"],
        Field(description="What is learned: quantiles, or a distribution's parameters."),
    ] = "quantiles"
    levels: Annotated[Levels, Field(description="Intervals in percent: 80,95.")] = (80, 95)
    conformal: Annotated[
        bool,
        Field(description="Make intervals as wide as the validation part shows they must be."),
    ] = False
    past: Annotated[
        Names, Field(description="Columns that are known only up to the end of a series.")
    ] = ()
    future: Annotated[Names, Field(description="Columns that are known ahead.")] = ()
    static: Annotated[Names, Field(description="Columns that never change within a series.")] = ()
    categorical: Annotated[
        Names, Field(description="Which of these columns hold categories, not numbers.")
    ] = ()
    calendar: Annotated[
        Names, Field(description="Cycles read off dates: auto, none, or hour,day_of_week,….")
    ] = "auto"
    windows_per_series: Annotated[
        int | None,
        Field(
            ge=1,
            description="Windows drawn of each series for an epoch; without it all, if not more "
            "than 20,000.",
        ),
    ] = None
    members: Annotated[
        int, Field(ge=1, le=64, description="Networks that are trained side by side and averaged.")
    ] = 1
    paths: Annotated[
        int, Field(ge=2, description="Futures drawn of each series by the recursive strategy.")
    ] = 100
    cell: CellName = "gru"
    batch_size: Annotated[int, Field(ge=1, description="Windows in a step.")] = 64
    dropout: Annotated[Rate, Field(description="Between layers and before the readout.")] = 0.1
    validation_fraction: Annotated[
        Rate,
        Field(description="Last part of each series kept to watch progress; 0 learns from all."),
    ] = 0.0


@dataclass(kw_only=True, eq=False, repr=False)
class ForecasterReading:
    """How series are read."""

    id_column: Annotated[
        str | None, Field(description="Tells series apart; none for a file of one series.")
    ] = "unique_id"
    time_column: Annotated[str, Field(description="Dates, or whole numbers.")] = "ds"
    target_column: Annotated[str, Field(description="What is to be forecast.")] = "y"


ENTRY = Entry(
    name="forecast",
    about="Learn from many series how each goes on, with intervals (many to many, delayed).",
    data="sales",
    data_help="sales (made up), m4-hourly or m4-weekly with --data-dir, or a .csv or .parquet.",
    options=ForecasterOptions,
    reading=ForecasterReading,
    module="cellwright.jobs.forecast.folder_job",
    named=("m4-hourly", "m4-weekly"),
)
