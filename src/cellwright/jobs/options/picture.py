"""Options of whatever looks at films: sequences of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from cellwright.errors import SettingError
from cellwright.jobs.options.base import Several, Units

__all__ = ["PictureOptions", "check_no_pictures"]


@dataclass(kw_only=True, eq=False, repr=False)
class PictureOptions:
    """What looks at each step, where steps are pictures."""

    picture_size: Annotated[
        tuple[Units, Units] | None,
        Field(description="Rows and columns, where each step is a picture: 28,28."),
    ] = None
    picture_filters: Annotated[
        Several,
        Field(description="Of pictures: filters of each convolution; each halves the sides."),
    ] = (16, 32)


def check_no_pictures(options: Mapping[str, Any], kind: str) -> None:
    """Refuse the size of pictures where steps are something else."""
    if options["picture_size"] is not None:
        rows, columns = options["picture_size"]
        raise SettingError(f"picture_size={rows},{columns}: the network reads {kind}, not pictures")
