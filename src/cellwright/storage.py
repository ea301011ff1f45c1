"""Files that are whole or not there: written under another name, then moved into place."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["check_replaceable", "json_text", "replace_file"]


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

    A pipe or a device, such as /dev/stdout, is written to as it is.

    Raises
    ------
    OSError
        It cannot be written; the error names `path` and the reason.
    """
    data = content.encode() if isinstance(content, str) else content
    with _naming(path):
        if _is_stream(path):
            with path.open("ab") as stream:
                stream.write(data)
        else:
            _write_and_move(_place_of(path), data)


def check_replaceable(path: Path) -> None:
    """Complain early, before long work, about a file that could not be written behind it.

    Raises
    ------
    OSError
        As `replace_file` would.
    """
    with _naming(path):
        if not _is_stream(path):
            temporary, file = _new_file_beside(_place_of(path))
            file.close()
            temporary.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # It may know of a temporary name only, which means nothing to the user.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _place_of(path: Path) -> Path:
    """Where a path leads: behind a link, the file that it stands for is the one to replace."""
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return place


def _is_stream(path: Path) -> bool:
    """Whether this is a pipe or a device, which is written to and must never be replaced.

    So must what /dev/stdout stands for where it is a file: it may hold more than this.
    """
    if path.is_dir() or not path.exists():
        return False
    return not path.is_file() or path.absolute().parent in (Path("/dev"), Path("/dev/fd"))


def _write_and_move(path: Path, data: bytes) -> None:
    temporary, file = _new_file_beside(path)
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _new_file_beside(path: Path) -> tuple[Path, BinaryIO]:
    """A file that nobody else writes, whom it is for decided by the user's umask.

    mkstemp's are for their owner alone, and the umask is read only by setting it, which other
    threads would notice.
    """
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with suppress(FileExistsError):
            return temporary, temporary.open("xb")
