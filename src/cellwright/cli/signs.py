"""Printing what the encoding of the output has no sign for: in plain signs, and never a failure."""

from __future__ import annotations

import codecs
import io
import sys

__all__ = ["print_any_sign"]

# A number that has lost its minus would be another number.
_PLAIN = str.maketrans({"−": "-", "–": "-", "×": "x", "·": ".", "…": "...", "⊙": "*"})
_NAME = "cellwright.plain"


def print_any_sign() -> None:
    """Let standard output take any text, whatever its encoding."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and out.errors in ("strict", "surrogateescape"):
        codecs.register_error(_NAME, _in_plain_signs)
        out.reconfigure(errors=_NAME)


def _in_plain_signs(error: UnicodeError) -> tuple[str | bytes, int]:
    """What to print for signs that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    if "\udc80" <= text[0] <= "\udcff":  # a byte of a path that could not be read as text
        return bytes([ord(text[0]) - 0xDC00]), error.start + 1
    return text.translate(_PLAIN).encode("ascii", "backslashreplace").decode(), error.end
