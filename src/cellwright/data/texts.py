"""Texts as users give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellwright.errors import DataError, ShapeError

__all__ = ["as_text", "as_texts"]


def as_texts(texts: Any, name: str = "X", *, blank: bool = False) -> list[str]:
    """Texts as a list.

    Parameters
    ----------
    texts
        The texts, in whatever holds them.
    name
        What the user calls the argument.
    blank
        Whether white space alone is a text, too.

    Raises
    ------
    DataError
        There is none, or something in it is no text, or an empty one, or holds half of a surrogate
        pair; the message says where.
    ShapeError
        It is an array or a table that has not one axis.
    """
    # A set would give its texts in another order each time.
    no_list = (str, bytes, Mapping, set, frozenset)
    if isinstance(texts, no_list) or not hasattr(texts, "__iter__"):
        raise DataError(f"{name}: expected a list of texts, got {type(texts).__name__}")
    # What a table gives one after the other are the names of its columns.
    if getattr(texts, "ndim", 1) != 1:
        raise ShapeError(f"{name}: expected (texts,), got {tuple(texts.shape)}")
    found = list(texts)
    if not found:
        raise DataError(f"{name} is empty; give at least one text")
    return [as_text(text, f"{name}[{at}]", blank=blank) for at, text in enumerate(found)]


def as_text(text: Any, name: str, *, blank: bool = False) -> str:
    """A single text; arguments and `DataError` are those of `as_texts`."""
    if not isinstance(text, str):
        raise DataError(f"{name}: expected text, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name}: character {error.start} is half of a surrogate pair, which is no character"
        ) from error
    if not (text if blank else text.strip()):
        raise DataError(f"{name} is an empty text; leave it out")
    return str(text)
