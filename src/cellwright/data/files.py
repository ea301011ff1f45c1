"""A file as bytes, text, lines and rows; what cannot be read is said with its place."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from cellwright.errors import DataError

__all__ = ["check_name", "decoded", "place_of", "read_bytes", "read_lines", "rows_of"]

_GZIP = b"\x1f\x8b"  # how every such file starts, and no text in UTF-8


def read_bytes(path: Path) -> bytes:
    """What a file holds, unpacked if it is packed with gzip.

    Raises
    ------
    DataError
        There is no such file, or it is cut off or damaged.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz" or content.startswith(_GZIP):
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read, is cut off or damaged: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return content


def check_name(name: str, folder: Path) -> None:
    """Complain about a file whose name is not UTF-8: no table of predictions could name it."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{folder}: the name {name!r} is not UTF-8; rename that file") from error


def decoded(content: bytes, name: str) -> str:
    """The text of bytes in UTF-8, with a byte order mark or without.

    Raises
    ------
    DataError
        They are not UTF-8; the message names line and byte.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        whole: bytes = error.object  # without the byte order mark
        line = whole.count(b"\n", 0, error.start) + 1
        byte = error.start - whole.rfind(b"\n", 0, error.start)
        raise DataError(
            f"{name}, line {line}, byte {byte}: not UTF-8 ({error.reason}); convert it first"
        ) from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, packed with gzip or not, without their ends.

    Only a line feed ends a line, so that lines are counted as other programs count them.

    Raises
    ------
    DataError
        The file cannot be read or is not UTF-8; the message names file and line.
    """
    lines = decoded(read_bytes(path), str(path)).split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def rows_of(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, each with the line at which it ends.

    A row may have line breaks in quotes; like pandas, this passes over blank lines.
    """
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""))
    for cells in reader:
        if "".join(cells).strip(" \t") or cells[1:]:
            yield reader.line_num, cells


def place_of(path: Path, row: int, column: str) -> str:
    """File, line and column of a row of a table, the first below the header being 0.

    A format without lines, such as Parquet, has rows counted from 1.
    """
    place = f"row {row + 1}"
    if path.suffix != ".parquet":
        place = f"line about {row + 2}"  # where pandas and csv read an odd file not alike
        try:
            lines = [line for line, _ in rows_of(read_bytes(path))]
            place = f"line {lines[row + 1]}"
        except (csv.Error, IndexError, DataError, UnicodeDecodeError):
            pass
    return f"{path}, {place}, column {column!r}"
