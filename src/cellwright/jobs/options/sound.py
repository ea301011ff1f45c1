"""Options of whatever hears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

__all__ = ["SoundOptions"]


@dataclass(kw_only=True, eq=False, repr=False)
class SoundOptions:
    """How recordings become features."""

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
