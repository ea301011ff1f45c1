"""Options of `cellwright.SequenceClassifier`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cellwright.jobs.options.base import Fraction, NetworkOptions, Rate, TrainingOptions, Units
from cellwright.jobs.options.entry import Entry
from cellwright.jobs.options.picture import PictureOptions
from cellwright.jobs.options.sound import SoundOptions
from cellwright.jobs.options.text import TextOptions

__all__ = ["ENTRY", "ClassifierOptions", "ClassifierReading"]


def _by_name(weights: Any) -> Any:
    """Labels that are numbers by what they are called, as they are on the command line."""
    if not isinstance(weights, Mapping):
        return weights
    return {str(label): weight for label, weight in weights.items()}


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierOptions(TextOptions, SoundOptions, PictureOptions, NetworkOptions, TrainingOptions):
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
        BeforeValidator(_by_name),
        Field(
            description="Errors count alike (none), of rare classes more (balanced), or a=2,b=1."
        ),
    ] = "none"
    embedding: Annotated[Units, Field(description="Of texts: features of a word.")] = 128
    word_dropout: Annotated[
        Rate, Field(description="Of texts: chance that a word is left out in training.")
    ] = 0.0
    sample_rate: Annotated[
        int | None,
        Field(ge=1, description="Of sound: samples a second; says that sequences are waves."),
    ] = None


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierReading:
    """How labelled sequences are read."""

    test_fraction: Annotated[
        Fraction, Field(description="Kept for the test, where the data have no test part.")
    ] = 0.2
    test: Annotated[
        str | None, Field(description="File or folder of the test part, beside the data.")
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
        "digits, mnist, a .npz, .csv or .parquet file, label-and-text lines (.txt, .tsv, .gz), "
        "a folder or .tar.gz of WAV files, or a .mat of pen strokes."
    ),
    options=ClassifierOptions,
    reading=ClassifierReading,
    module="cellwright.jobs.classify",
    named=("mnist",),
)
