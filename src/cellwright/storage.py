"""Files that are whole or not there: written under another name, then moved into place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["replace_file"]


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
