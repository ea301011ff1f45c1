"""Options of whatever reads text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

__all__ = ["Least", "Lowercase", "TextOptions", "Tokens"]

Tokens = Annotated[
    Literal["words", "tokens", "subwords", "characters", "bytes"],
    Field(description="What texts are cut into; tokens are what white space divides."),
]
# Options whose default is another one from job to job.
Least = Annotated[int, Field(ge=1, description="Leave out tokens seen fewer times.")]
Lowercase = Annotated[bool, Field(description="Make all letters small.")]


@dataclass(kw_only=True, eq=False, repr=False)
class TextOptions:
    """How texts become numbers."""

    vocabulary: Tokens = "words"
    vocabulary_size: Annotated[
        int | None, Field(ge=5, description="Most different tokens; all there are if none.")
    ] = None
    least: Least = 1
    lowercase: Lowercase = True
