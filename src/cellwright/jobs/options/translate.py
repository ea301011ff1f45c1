"""Options of `cellwright.Translator`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cellwright.jobs.options.base import (
    Epochs,
    Fraction,
    LearningRate,
    Rate,
    Several,
    TrainingOptions,
)
from cellwright.jobs.options.decoder import DecoderOptions
from cellwright.jobs.options.entry import Entry
from cellwright.jobs.options.text import Least, Lowercase, Tokens

__all__ = ["ENTRY", "TranslatorOptions", "TranslatorReading"]


@dataclass(kw_only=True, eq=False, repr=False)
class TranslatorOptions(DecoderOptions, TrainingOptions):
    """Options of `cellwright.Translator`."""

    epochs: Epochs = 8
    batch_size: Annotated[int, Field(ge=1, description="Pairs in a step.")] = 64
    learning_rate: LearningRate = 2e-3
    validation_fraction: Annotated[
        Rate, Field(description="Kept to watch progress, where no validation data are given.")
    ] = 0.05
    layers: Annotated[
        Several,
        Field(description="Units of each layer of the decoder: 128, or 64,32."),
    ] = (256,)
    encoder_layers: Annotated[
        Several | None,
        Field(
            description="Of the encoder, each direction; without it the decoder's, halved where "
            "there are two directions."
        ),
    ] = None
    bidirectional: Annotated[
        bool, Field(description="Whether the encoder also reads from the end.")
    ] = True
    label_smoothing: Annotated[Rate, Field(description="Probability spread over all tokens.")] = 0.1
    vocabulary: Tokens = "subwords"
    vocabulary_size: Annotated[
        int | None, Field(ge=5, description="Most tokens of each language; all there are if none.")
    ] = 8000
    least: Least = 2
    lowercase: Lowercase = False
    copy_unknown: Annotated[
        bool,
        Field(description="Put the source's word with the greatest attention for an unknown one."),
    ] = True


@dataclass(kw_only=True, eq=False, repr=False)
class TranslatorReading:
    """How pairs of texts are read."""

    source: Annotated[str, Field(min_length=1, description="Ending of the files read from.")] = "en"
    target: Annotated[str, Field(min_length=1, description="Ending of the files to tell.")] = "fr"
    test: Annotated[
        str | None,
        Field(description="Name of a folder's test files; without it the only ones test*."),
    ] = None
    test_fraction: Annotated[
        Fraction, Field(description="Kept for the test, where the data have no test part.")
    ] = 0.1


ENTRY = Entry(
    name="translate",
    about="Learn to turn texts into others (many to many, delayed, with attention).",
    data="numbers",
    data_help="numbers, a folder of train, val and test files, or the path before .de and .en.",
    options=TranslatorOptions,
    reading=TranslatorReading,
    module="cellwright.jobs.translate",
)
