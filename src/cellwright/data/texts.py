"""Texts as users give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellwright.errors import DataError

__all__ = ["as_texts"]


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
        There is none, or something in it is no text, or an empty one; the message says where.
    """
    if isinstance(texts, (str, bytes, Mapping)) or not hasattr(texts, "__iter__"):
        raise DataError(f"{name}: expected a list of texts, got {type(texts).__name__}")
    found = list(texts)
    if not found:
        raise DataError(f"{name} is empty; give at least one text")
    for number, text in enumerate(found):
        if not isinstance(text, str):
            raise DataError(f"{name}[{number}]: expected text, got {type(text).__name__}")
        if not (text if blank else text.strip()):
            raise DataError(f"{name}[{number}] is an empty text; leave it out")
    return [str(text) for text in found]
