"""Options of `cellwright.Captioner`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cellwright.cells.cell import Cell
from cellwright.jobs.options.base import Fraction, Rate, TrainingOptions, Units
from cellwright.jobs.options.entry import Entry

__all__ = ["ENTRY", "CaptionerOptions", "CaptionerReading"]


@dataclass(kw_only=True, eq=False, repr=False)
class CaptionerOptions(TrainingOptions):
    """Options of `cellwright.Captioner`."""

    epochs: Annotated[int, Field(ge=1, description="Passes over the training data.")] = 15
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
        Units | Sequence[Units],
        Field(description="Filters of each stage of the small encoder; a stage halves the sides."),
    ] = (16, 32, 64)
    fine_tune: Annotated[
        bool, Field(description="Also train the weights of torchvision's network.")
    ] = False
    image_features: Annotated[
        int, Field(ge=1, description="Features of a place of the picture, as the decoder sees it.")
    ] = 64
    cell: Annotated[str | Cell, Field(description="A cell's name; see `cellwright cells`.")] = (
        "lstm"
    )
    layers: Annotated[
        Units | Sequence[Units],
        Field(description="Units of each layer of the decoder: 128, or 64,32."),
    ] = (128,)
    embedding: Annotated[int, Field(ge=1, description="Features of a token.")] = 64
    attention: Annotated[
        Literal["general", "dot", "concat", "bahdanau", "none"],
        Field(description="How the decoder finds what matters in the picture (Luong, Bahdanau)."),
    ] = "bahdanau"
    feeding: Annotated[
        Literal["none", "output", "context"],
        Field(
            description="What the decoder's layers read beside a token: nothing (fastest), the "
            "output of the step before (Luong), or what is attended to (Bahdanau)."
        ),
    ] = "none"
    tied: Annotated[bool, Field(description="Let the readout have the embedding's weights.")] = True
    dropout: Annotated[
        Rate, Field(description="Of what is seen, of embeddings, and around the layers.")
    ] = 0.1
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
    label_smoothing: Annotated[Rate, Field(description="Probability spread over all tokens.")] = 0.0
    scheduled_sampling: Annotated[
        Rate, Field(description="Chance that a token read in training is the decoder's own.")
    ] = 0.0
    vocabulary: Annotated[
        Literal["words", "tokens", "subwords", "characters", "bytes"],
        Field(description="What captions are split into."),
    ] = "words"
    vocabulary_size: Annotated[
        int | None, Field(ge=5, description="Most tokens; all there are if none.")
    ] = None
    least: Annotated[int, Field(ge=1, description="Leave out tokens seen fewer times.")] = 1
    lowercase: Annotated[bool, Field(description="Make all letters small.")] = True
    beam: Annotated[int, Field(ge=1, description="Width of the search; 1 is greedy.")] = 3
    length_penalty: Annotated[
        float, Field(ge=0, description="0 favours short captions, 1 the best mean a token.")
    ] = 1.0
    longest: Annotated[
        int | None,
        Field(
            ge=1,
            description="Tokens of a caption at most; without it as many as the longest that was "
            "learned from.",
        ),
    ] = None


def _absolute(folder: Any) -> Any:
    """A folder by its whole path, so that a run can be used from anywhere."""
    return folder if folder is None else str(Path(str(folder)).absolute())


@dataclass(kw_only=True, eq=False, repr=False)
class CaptionerReading:
    """How pictures and captions are read."""

    images: Annotated[
        str | None,
        BeforeValidator(_absolute),
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
)
