"""Options of `cellwright.SequenceLabeler`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from cellwright.jobs.options.base import Fraction, NetworkOptions, Rate, TrainingOptions, Units
from cellwright.jobs.options.entry import Entry
from cellwright.jobs.options.picture import PictureOptions

__all__ = ["ENTRY", "LabelerOptions", "LabelerReading"]


@dataclass(kw_only=True, eq=False, repr=False)
class LabelerOptions(PictureOptions, NetworkOptions, TrainingOptions):
    """Options of `cellwright.SequenceLabeler`."""

    bidirectional: Annotated[
        bool, Field(description="Also read from the end; not with a delay or a stream.")
    ] = True
    target: Annotated[
        Literal["label", "number"], Field(description="What is learned at every step.")
    ] = "label"
    delay: Annotated[
        int, Field(ge=0, description="Give the answer for a step so many steps later.")
    ] = 0
    window: Annotated[
        int | None,
        Field(ge=2, description="Cut longer sequences into pieces of so many steps to learn."),
    ] = None
    label_smoothing: Annotated[Rate, Field(description="Probability spread over all labels.")] = 0.0
    embedding: Annotated[
        int, Field(ge=1, description="For words: numbers that stand for a word.")
    ] = 100
    spelling: Annotated[
        Units | None,
        Field(description="For words: units, each way, of a layer that reads letters."),
    ] = 64
    character_embedding: Annotated[
        int, Field(ge=1, description="For words: numbers that stand for a letter.")
    ] = 32
    word_dropout: Annotated[
        Rate, Field(description="For words: chance that one is read as unknown in training.")
    ] = 0.1
    least: Annotated[
        int, Field(ge=1, description="For words: how often one must occur to be learned.")
    ] = 2
    lowercase: Annotated[
        bool, Field(description="For words: look them up without capitals; letters keep theirs.")
    ] = True


Names = str | Sequence[str]


@dataclass(kw_only=True, eq=False, repr=False)
class LabelerReading:
    """How sequences with a label at every step are read."""

    test: Annotated[
        Names | None, Field(description="Files of the test part, beside the data: a.csv,b.csv.")
    ] = None
    test_fraction: Annotated[
        Fraction, Field(description="Kept for the test, where the data have no test part.")
    ] = 0.2
    labels: Annotated[Names, Field(description="Columns of a table that are learned.")] = ("label",)
    features: Annotated[
        Names | None, Field(description="Columns of a table that are read; none for all others.")
    ] = None
    id: Annotated[str, Field(description="Column of a table that tells sequences apart.")] = "id"
    step: Annotated[str, Field(description="Column of a table with step, date or time.")] = "step"
    time_of_day: Annotated[
        bool, Field(description="Also read the time of the day, where steps are times.")
    ] = False
    column: Annotated[
        Literal["upos", "xpos", "deprel", "feats", "lemma"],
        Field(description="Column of a CoNLL-U file that is learned."),
    ] = "upos"
    clips: Annotated[
        int | None, Field(ge=10, description="Clips to learn from; a fraction more to test.")
    ] = None


ENTRY = Entry(
    name="label",
    about="Learn a label or a number at every step of a sequence (many to many, synced).",
    data="clips",
    data_help="clips (of digits), mnist-clips, a .csv, .txt or .parquet table, a .conllu file "
    "(texts also .gz), or a folder of CoNLL-U files.",
    options=LabelerOptions,
    reading=LabelerReading,
    module="cellwright.jobs.label",
    named=("mnist-clips",),
)
