"""Options of `cellwright.SequenceClassifier`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from cellwright.jobs.options.base import Fraction, NetworkOptions, Rate, TrainingOptions, Units
from cellwright.jobs.options.entry import Entry

__all__ = ["ENTRY", "ClassifierOptions", "ClassifierReading"]


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierOptions(NetworkOptions, TrainingOptions):
    """Options of `cellwright.SequenceClassifier`."""

    pooling: Annotated[
        Literal["last", "mean", "max"],
        Field(description="What the readout sees of the steps: the last, mean or max."),
    ] = "last"
    label_smoothing: Annotated[Rate, Field(description="Probability spread over all classes.")] = (
        0.05
    )
    class_weights: Annotated[
        Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]],
        Field(description="What an error counts: alike, more for rare classes, or a=2,b=1."),
    ] = "none"
    vocabulary: Annotated[
        Literal["words", "tokens", "characters", "bytes", "subwords"],
        Field(description="Of texts: what a step is; tokens stand between blanks."),
    ] = "words"
    vocabulary_size: Annotated[
        int | None, Field(ge=5, description="Of texts: most words there may be; all if none.")
    ] = None
    least: Annotated[
        int, Field(ge=1, description="Of texts: leave out words seen fewer times.")
    ] = 1
    lowercase: Annotated[bool, Field(description="Of texts: make all letters small.")] = True
    embedding: Annotated[Units, Field(description="Of texts: features of a word.")] = 128
    word_dropout: Annotated[
        Rate, Field(description="Of texts: chance that a word is left out in training.")
    ] = 0.0
    sample_rate: Annotated[
        int | None,
        Field(ge=1, description="Of sound: samples a second; says that sequences are waves."),
    ] = None
    sound: Annotated[
        Literal["log_mel", "mfcc"], Field(description="What is computed from recordings.")
    ] = "log_mel"
    filters: Annotated[
        int, Field(ge=4, le=256, description="Mel filters; the features of log_mel.")
    ] = 40
    coefficients: Annotated[
        int, Field(ge=2, le=256, description="Cepstral coefficients; the features of mfcc.")
    ] = 13
    deltas: Annotated[
        int, Field(ge=0, le=2, description="Add slopes of a recording's features, and theirs.")
    ] = 0
    normalized: Annotated[
        Literal["recording", "mean", "none"],
        Field(
            description="Bring each recording's features to mean 0 and spread 1, mean 0, or not."
        ),
    ] = "recording"


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierReading:
    """How labelled sequences are read."""

    test_fraction: Annotated[
        Fraction, Field(description="Kept for the test, where the data have no test part.")
    ] = 0.2
    test: Annotated[
        str | None, Field(description="File with the test part, beside one to learn from.")
    ] = None
    test_files: Annotated[
        str | None, Field(description="Recordings kept for the test: a pattern such as '*_0.wav'.")
    ] = None
    split: Annotated[
        Literal["random", "last"],
        Field(description="Which samples are kept: some of each label, or the last ones."),
    ] = "random"


ENTRY = Entry(
    name="classify",
    about="Learn which class a sequence belongs to (many to one).",
    data="digits",
    data_help=(
        "digits, mnist, a .npz or .csv file, label-and-text lines (.txt, .gz), a folder or "
        ".tar.gz of WAV files, or a .mat of pen strokes."
    ),
    options=ClassifierOptions,
    reading=ClassifierReading,
    module="cellwright.jobs.classify",
)
