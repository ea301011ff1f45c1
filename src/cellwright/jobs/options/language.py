"""Options of `cellwright.LanguageModel`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from cellwright.jobs.options.base import (
    Epochs,
    Fraction,
    Layers,
    LearningRate,
    Rate,
    RecurrentOptions,
    Several,
    TrainingOptions,
)
from cellwright.jobs.options.entry import Entry
from cellwright.jobs.options.text import Lowercase, TextOptions, Tokens

__all__ = ["ENTRY", "LanguageOptions", "LanguageReading"]


@dataclass(kw_only=True, eq=False, repr=False)
class LanguageOptions(TextOptions, RecurrentOptions, TrainingOptions):
    """Options of `cellwright.LanguageModel`."""

    epochs: Epochs = 20
    batch_size: Annotated[
        int, Field(ge=1, description="Places in which the text is read at once.")
    ] = 32
    learning_rate: LearningRate = 5e-3
    validation_fraction: Annotated[
        Rate, Field(description="Last part of the training text, kept to watch progress.")
    ] = 0.05
    steps: Annotated[
        int, Field(ge=1, description="Tokens of a window; gradients reach back no further.")
    ] = 64
    vocabulary: Tokens = "characters"
    lowercase: Lowercase = False
    layers: Layers = (128, 128)
    embedding: Annotated[
        int | None,
        Field(ge=1, description="Numbers that stand for a token; as the last layer's units."),
    ] = None
    tied: Annotated[
        bool, Field(description="Read out with the embedding's matrix (Press and Wolf).")
    ] = True
    adaptive_softmax: Annotated[
        Several | None,
        Field(description="First tokens of the clusters of rarer ones: 2000,10000 (Grave)."),
    ] = None
    dropout: Annotated[Rate, Field(description="Between layers and before the readout.")] = 0.1
    input_dropout: Annotated[Rate, Field(description="On the embedding.")] = 0.0
    variational: Annotated[
        bool,
        Field(description="Drop the same units at all steps of a window (Gal and Ghahramani)."),
    ] = True
    learn_initial_state: Annotated[
        bool, Field(description="Learn the states before the first step.")
    ] = False


@dataclass(kw_only=True, eq=False, repr=False)
class LanguageReading:
    """How text is read."""

    test_fraction: Annotated[
        Fraction, Field(description="Last part of the text, kept for the test.")
    ] = 0.1
    tails: Annotated[
        int | None,
        Field(ge=1, description="Cut the text into so many and test on the end of each."),
    ] = None
    documents: Annotated[
        Literal["file", "paragraphs", "lines"],
        Field(description="What is a text of its own: all, what empty lines divide, each line."),
    ] = "file"


ENTRY = Entry(
    name="language",
    about="Learn what comes next in text, and write more of it (many to many, synced).",
    data="descriptions",
    data_help="descriptions (of scikit-learn's data sets), or a text file, also .gz.",
    options=LanguageOptions,
    reading=LanguageReading,
    module="cellwright.jobs.language",
)
