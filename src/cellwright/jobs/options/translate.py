"""Options of `cellwright.Translator`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from cellwright.cells.cell import Cell
from cellwright.jobs.options.base import Fraction, Rate, TrainingOptions, Units
from cellwright.jobs.options.entry import Entry

__all__ = ["ENTRY", "TranslatorOptions", "TranslatorReading"]


@dataclass(kw_only=True, eq=False, repr=False)
class TranslatorOptions(TrainingOptions):
    """Options of `cellwright.Translator`."""

    epochs: Annotated[int, Field(ge=1, description="Passes over the training data.")] = 8
    batch_size: Annotated[int, Field(ge=1, description="Sequences in a step.")] = 64
    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate.")] = 2e-3
    validation_fraction: Annotated[
        Rate, Field(description="Kept to watch progress, where no validation data are given.")
    ] = 0.05
    cell: Annotated[str | Cell, Field(description="A cell's name; see `cellwright cells`.")] = (
        "lstm"
    )
    layers: Annotated[
        Units | Sequence[Units],
        Field(description="Units of each layer of the decoder: 128, or 64,32."),
    ] = (256,)
    encoder_layers: Annotated[
        Units | Sequence[Units] | None,
        Field(
            description="Of the encoder, each direction; without it the decoder's, halved where "
            "there are two directions."
        ),
    ] = None
    bidirectional: Annotated[
        bool, Field(description="Whether the encoder also reads from the end.")
    ] = True
    embedding: Annotated[int, Field(ge=1, description="Features of a token.")] = 128
    attention: Annotated[
        Literal["general", "dot", "concat", "bahdanau", "none"],
        Field(description="How the decoder finds what matters in the source (Luong, Bahdanau)."),
    ] = "general"
    feeding: Annotated[
        Literal["none", "output", "context"],
        Field(
            description="What the decoder's layers read beside a token: nothing (fastest), the "
            "output of the step before (Luong), or what is attended to (Bahdanau)."
        ),
    ] = "none"
    tied: Annotated[
        bool, Field(description="Let the readout have the weights of the target's embedding.")
    ] = True
    dropout: Annotated[
        Rate, Field(description="Of embeddings, between layers and before the readout.")
    ] = 0.2
    recurrent_dropout: Annotated[
        Rate, Field(description="On states where they enter a matrix (Gal and Ghahramani).")
    ] = 0.0
    zoneout: Annotated[Rate, Field(description="Chance that a unit keeps its state.")] = 0.0
    weight_drop: Annotated[
        Rate, Field(description="On single weights of the matrices that multiply a state.")
    ] = 0.0
    connections: Annotated[
        Literal["none", "residual", "skip"],
        Field(description="Add a layer's input to its output, or let every layer see the input."),
    ] = "none"
    sizes: Annotated[dict[str, int] | None, Field(description="The cell's own sizes: proj=32.")] = (
        None
    )
    initialization: Annotated[
        str | dict[str, str | int],
        Field(description="standard, torch or identity; chrono=100 to remember up to 100 steps."),
    ] = "standard"
    backend: Annotated[str, Field(description="What runs the cell.")] = "auto"
    label_smoothing: Annotated[Rate, Field(description="Probability spread over all tokens.")] = 0.1
    scheduled_sampling: Annotated[
        Rate, Field(description="Chance that a token read in training is the decoder's own.")
    ] = 0.0
    vocabulary: Annotated[
        Literal["subwords", "words", "tokens", "characters", "bytes"],
        Field(description="What texts are split into."),
    ] = "subwords"
    vocabulary_size: Annotated[
        int | None, Field(ge=5, description="Most tokens of each language; all there are if none.")
    ] = 8000
    least: Annotated[int, Field(ge=1, description="Leave out tokens seen fewer times.")] = 2
    lowercase: Annotated[bool, Field(description="Make all letters small.")] = False
    beam: Annotated[int, Field(ge=1, description="Width of the search; 1 is greedy.")] = 5
    length_penalty: Annotated[
        float, Field(ge=0, description="0 favours short translations, 1 the best mean a token.")
    ] = 1.0
    longest: Annotated[
        int | None,
        Field(
            ge=1,
            description="Tokens of a translation at most; without it half as many again as the "
            "longest that was learned from.",
        ),
    ] = None
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
