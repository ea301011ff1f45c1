"""Options of `cellwright.Captioner`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cellwright.jobs.options.base import Epochs, Fraction, Rate, Several, TrainingOptions
from cellwright.jobs.options.decoder import DecoderOptions
from cellwright.jobs.options.entry import Entry
from cellwright.jobs.options.paths import AbsolutePath

__all__ = ["ENTRY", "CaptionerOptions", "CaptionerReading"]


@dataclass(kw_only=True, eq=False, repr=False)
class CaptionerOptions(DecoderOptions, TrainingOptions):
    """Options of `cellwright.Captioner`."""

    epochs: Epochs = 15
    batch_size: Annotated[int, Field(ge=1, description="Captions in a step.")] = 32
    encoder: Annotated[
        str,
        Field(
            min_length=1,
            description="What looks at pictures: small, or a network of torchvision's whose "
            "weights are there, such as resnet18.",
        ),
    ] = "small"
    filters: Annotated[
        Several,
        Field(description="Filters of each stage of the small encoder; a stage halves the sides."),
    ] = (16, 32, 64)
    fine_tune: Annotated[
        bool, Field(description="Also train the weights of torchvision's network.")
    ] = False
    image_features: Annotated[
        int, Field(ge=1, description="Features of a place of the picture, as the decoder sees it.")
    ] = 64
    embedding: Annotated[int, Field(ge=1, description="Features of a token.")] = 64
    dropout: Annotated[
        Rate, Field(description="Of what is seen, of embeddings, and around the layers.")
    ] = 0.1
    beam: Annotated[int, Field(ge=1, description="Width of the search; 1 is greedy.")] = 3


@dataclass(kw_only=True, eq=False, repr=False)
class CaptionerReading:
    """How pictures and captions are read."""

    images: Annotated[
        AbsolutePath,
        Field(description="Folder of a .json's pictures; looked for beside it without."),
    ] = None
    image_size: Annotated[
        int, Field(ge=8, le=1024, description="Height and width that files are brought to.")
    ] = 96
    scenes: Annotated[
        int | None, Field(ge=10, description="How many scenes to compose, for those of digits.")
    ] = None
    test_fraction: Annotated[
        Fraction, Field(description="Pictures kept for the test, where there is no test part.")
    ] = 0.2


ENTRY = Entry(
    name="caption",
    about="Learn to say what is in a picture (one to many, with attention).",
    data="scenes",
    data_help="scenes, mnist-scenes, a .json of captions in COCO's format, or a folder of two.",
    options=CaptionerOptions,
    reading=CaptionerReading,
    module="cellwright.jobs.caption",
    named=("mnist-scenes",),
)
