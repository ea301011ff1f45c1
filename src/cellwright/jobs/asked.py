"""Data as a user asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellwright.errors import DataError

__all__ = ["Asked"]


@dataclass(frozen=True)
class Asked:
    """What a job is to read.

    Attributes
    ----------
    source
        A named data set or a path.
    folder
        Where the files of a named data set lie, if the user says so.
    reading
        Validated reading options of the job.
    options
        Those of its estimator: a horizon, say, decides how data are divided.
    """

    source: str
    folder: Path | None
    reading: Mapping[str, Any]
    options: Mapping[str, Any]

    def refuse_folder(
        self,
        why: str = "--data-dir goes with a data set that has a name; name the folder with --data",
    ) -> None:
        """Complain of a folder that means nothing to the source, by a `DataError`."""
        if self.folder is not None:
            raise DataError(why)
