"""Options of `cellwright.Transcriber`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from cellwright.jobs.options.base import (
    Epochs,
    Fraction,
    Layers,
    LearningRate,
    NetworkOptions,
    TrainingOptions,
)
from cellwright.jobs.options.entry import Entry
from cellwright.jobs.options.paths import AbsolutePath
from cellwright.jobs.options.sound import SoundOptions

__all__ = ["ENTRY", "TranscriberOptions", "TranscriberReading"]


@dataclass(kw_only=True, eq=False, repr=False)
class TranscriberOptions(SoundOptions, NetworkOptions, TrainingOptions):
    """Options of `cellwright.Transcriber`."""

    epochs: Epochs = 15
    learning_rate: LearningRate = 0.01
    layers: Layers = (96,)
    bidirectional: Annotated[
        bool, Field(description="Also read from the end; without it the network can be streamed.")
    ] = True
    stride: Annotated[
        int, Field(ge=1, le=64, description="Steps that are put side by side and read as one.")
    ] = 1
    convolution: Annotated[
        int | None, Field(ge=1, description="Filters of a convolution over three of these.")
    ] = None
    decoder: Annotated[
        Literal["greedy", "beam"],
        Field(description="Take the best symbol of each step, or search for the best text."),
    ] = "greedy"
    beam_width: Annotated[int, Field(ge=1, description="Texts that the search keeps.")] = 16
    language_weight: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="What a language model's opinion counts in the search.",
        ),
    ] = 0.5
    insertion_bonus: Annotated[
        float,
        Field(allow_inf_nan=False, description="Added to the search's score for every symbol."),
    ] = 0.0


@dataclass(kw_only=True, eq=False, repr=False)
class TranscriberReading:
    """How recordings, strokes and lines are read."""

    test_fraction: Annotated[
        Fraction, Field(description="Kept for the test, where the data have no test part.")
    ] = 0.2
    test_files: Annotated[
        str | None, Field(description="Recordings kept for the test: a pattern such as '*_0.wav'.")
    ] = None
    joined: Annotated[
        int | None,
        Field(ge=1, description="Learn from so many strings joined of recordings or characters."),
    ] = None
    least: Annotated[int, Field(ge=1, description="Fewest that are joined to a string.")] = 3
    most: Annotated[int, Field(ge=1, description="Most that are joined to a string.")] = 7
    tested: Annotated[int, Field(ge=1, description="Joined strings to test on.")] = 500
    language: Annotated[
        AbsolutePath,
        Field(description="Run of a language model over characters, for --decoder beam."),
    ] = None


ENTRY = Entry(
    name="transcribe",
    about="Learn to write down speech or handwriting (many to many, synced).",
    data="digit-lines",
    data_help=(
        "digit-lines, a folder or .tar.gz of WAV files, the .mat of character trajectories, a "
        "UNIPEN file (.unp), or a .csv with a text as label."
    ),
    options=TranscriberOptions,
    reading=TranscriberReading,
    module="cellwright.jobs.transcribe",
)
