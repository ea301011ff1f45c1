"""Files that are whole or not there: written under another name, then moved into place."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["json_text", "replace_file"]


def json_text(content: Any, indent: int | None = None) -> str:
    """JSON, which has no word for NaN and infinities: they become null.

    Examples
    --------
    >>> json_text({"owa": float("nan")})
    '{"owa": null}'
    """
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def replace_file(path: Path, content: bytes | str) -> None:
    """Write a file so that, whatever happens, there is the old one or the new one.

    Raises
    ------
    OSError
        It cannot be written; the error names `path` and the reason.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        _write_and_move(path, data)
    except OSError as error:
        # It knows of the temporary name only, which means nothing to the user.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_and_move(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
