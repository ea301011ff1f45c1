"""Options that name a place in the file system."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

__all__ = ["AbsolutePath"]


def _absolute(path: Any) -> Any:
    return path if path is None else str(Path(str(path)).absolute())


AbsolutePath = Annotated[str | None, BeforeValidator(_absolute)]
"""A place by its whole path, so that a run can be used from anywhere."""
