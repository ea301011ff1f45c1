"""Options of whatever tells in words what it has read or seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from cellwright.jobs.options.base import Rate, RecurrentOptions
from cellwright.jobs.options.text import TextOptions

__all__ = ["DecoderOptions"]


@dataclass(kw_only=True, eq=False, repr=False)
class DecoderOptions(TextOptions, RecurrentOptions):
    """What a decoder with attention looks like, and how its answers are searched for."""

    embedding: Annotated[int, Field(ge=1, description="Features of a token.")] = 128
    attention: Annotated[
        Literal["bahdanau", "concat", "general", "dot", "none"],
        Field(description="How the decoder finds what matters in its memory (Bahdanau, Luong)."),
    ] = "bahdanau"
    feeding: Annotated[
        Literal["none", "output", "context"],
        Field(
            description="What the decoder's layers read beside a token: nothing (fastest), the "
            "output of the step before (Luong), or what is attended to (Bahdanau)."
        ),
    ] = "none"
    tied: Annotated[bool, Field(description="Let the readout have the embedding's weights.")] = True
    label_smoothing: Annotated[Rate, Field(description="Probability spread over all tokens.")] = 0.0
    scheduled_sampling: Annotated[
        Rate, Field(description="Chance that a token read in training is the decoder's own.")
    ] = 0.0
    beam: Annotated[int, Field(ge=1, description="Width of the search; 1 is greedy.")] = 5
    length_penalty: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="0 favours short answers, 1 the best mean a token.",
        ),
    ] = 1.0
    longest: Annotated[
        int | None,
        Field(ge=1, description="Tokens of an answer at most; without it by what was learned."),
    ] = None
