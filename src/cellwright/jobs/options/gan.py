"""Options of `cellwright.SequenceGAN`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from cellwright.jobs.options.base import (
    CellName,
    Fraction,
    NetworkOptions,
    Rate,
    Several,
    TrainingOptions,
    WeightDecay,
)
from cellwright.jobs.options.entry import Entry

__all__ = ["ENTRY", "GANOptions", "GANReading"]


@dataclass(kw_only=True, eq=False, repr=False)
class GANOptions(NetworkOptions, TrainingOptions):
    """Options of `cellwright.SequenceGAN`, which hold for both of its networks alike."""

    batch_size: Annotated[int, Field(ge=1, description="Real sequences in a step.")] = 16
    optimizer: Annotated[
        Literal["adamw", "adam", "sgd", "rmsprop"],
        Field(description="Update rule; one with momentum makes the networks circle."),
    ] = "rmsprop"
    weight_decay: WeightDecay = 0.0
    cell: CellName = "gru"
    layers: Annotated[
        Several,
        Field(description="Units of each layer of the generator: 48, or 48,48."),
    ] = (48,)
    bidirectional: Annotated[
        bool, Field(description="The discriminator also reads from the end.")
    ] = True
    dropout: Annotated[Rate, Field(description="Between layers and before the readout.")] = 0.0
    discriminator_layers: Annotated[
        Several | None,
        Field(description="Units of each layer of the discriminator; as the generator's without."),
    ] = None
    noise: Annotated[
        int, Field(ge=1, description="Numbers of noise at each step, and as many that stay.")
    ] = 8
    condition: Annotated[
        int, Field(ge=1, description="Units that stand for a class, where there are classes.")
    ] = 8
    loss: Annotated[
        Literal["relativistic", "logistic", "hinge"],
        Field(description="What the networks play for: real against made in pairs, or singly."),
    ] = "relativistic"
    penalty: Annotated[
        float, Field(ge=0, description="Weight of the discriminator's squared slope; 0 for none.")
    ] = 0.3
    penalty_width: Annotated[
        float, Field(gt=0, description="How far apart its slope is measured, in spreads.")
    ] = 0.1
    spectral_norm: Annotated[
        bool, Field(description="Divide the discriminator's matrices by their greatest stretch.")
    ] = False
    averaging: Annotated[
        Rate, Field(description="Share that the mean generator keeps of itself at each step.")
    ] = 0.995


@dataclass(kw_only=True, eq=False, repr=False)
class GANReading:
    """How sequences are read; the first three for a CSV that is one long series."""

    window: Annotated[int, Field(ge=2, description="Steps of each window of a series.")] = 24
    stride: Annotated[
        int, Field(ge=1, description="Steps from the beginning of a window to that of the next.")
    ] = 1
    columns: Annotated[
        str | Sequence[str] | None,
        Field(description="Columns of a series to read; all but the first, of dates, without."),
    ] = None
    test_fraction: Annotated[
        Fraction, Field(description="Kept for the test: the end of a series, or sequences.")
    ] = 0.2


ENTRY = Entry(
    name="gan",
    about="Learn to make sequences like those it is shown (many to many, synced).",
    data="sines",
    data_help="sines, or a .npz or .csv file.",
    options=GANOptions,
    reading=GANReading,
    module="cellwright.jobs.gan",
)
