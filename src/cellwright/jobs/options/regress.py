"""Options of `cellwright.SequenceRegressor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from cellwright.jobs.options.base import Fraction, NetworkOptions, TrainingOptions
from cellwright.jobs.options.entry import Entry
from cellwright.jobs.options.picture import PictureOptions

__all__ = ["ENTRY", "RegressorOptions", "RegressorReading"]

Level = Annotated[float, Field(gt=0, lt=1)]


@dataclass(kw_only=True, eq=False, repr=False)
class RegressorOptions(PictureOptions, NetworkOptions, TrainingOptions):
    """Options of `cellwright.SequenceRegressor`."""

    pooling: Annotated[
        Literal["last", "mean", "max"],
        Field(description="What the readout sees of the steps: the last, mean or max."),
    ] = "last"
    loss: Annotated[
        Literal["squared", "absolute", "huber", "quantile"],
        Field(description="Tells the mean, the median, between them, or several quantiles."),
    ] = "squared"
    quantiles: Annotated[
        Sequence[Level],
        Field(min_length=1, description="Told with loss quantile, ascending: 0.05,0.5,0.95."),
    ] = (0.05, 0.5, 0.95)
    target_scaling: Annotated[
        Literal["standard", "none"],
        Field(description="Bring each target to mean 0 and spread 1 to learn it, or not."),
    ] = "standard"


@dataclass(kw_only=True, eq=False, repr=False)
class RegressorReading:
    """How sequences with numbers to be told are read."""

    test_fraction: Annotated[
        Fraction, Field(description="Kept for the test, where the data have no test part.")
    ] = 0.2
    targets: Annotated[
        str | Sequence[str], Field(description="Columns of a table that are to be told: a,b.")
    ] = "target"
    group: Annotated[
        str | None,
        Field(description="Column whose samples go into training, validation or test together."),
    ] = None
    window: Annotated[
        int, Field(ge=1, description="Of machines that ran until they failed: cycles of a sample.")
    ] = 30
    stride: Annotated[
        int, Field(ge=1, description="Of such machines: cycles between the ends of two samples.")
    ] = 1
    cap: Annotated[
        float | None,
        Field(gt=0, description="Of such machines: more cycles left than this count as this many."),
    ] = 125


ENTRY = Entry(
    name="regress",
    about="Learn a number, or several, that a sequence stands for (many to one).",
    data="adding",
    data_help="adding, a .csv, .parquet or .npz file, or a folder of run-to-failure tables.",
    options=RegressorOptions,
    reading=RegressorReading,
    module="cellwright.jobs.regress",
)
