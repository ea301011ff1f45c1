"""Pictures with what is said of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.data.pictures import Pictures
from cellwright.errors import DataError, ShapeError

__all__ = ["Captioned", "CaptionedDataset", "as_captions"]


@dataclass(frozen=True, eq=False)
class Captioned:
    """Pictures with their captions.

    Attributes
    ----------
    pictures
        The pictures.
    captions
        For each picture what is said of it, one caption or several, or none where that is not
        known; None where it is not known of any.
    ids
        What the user calls each picture.
    """

    pictures: Pictures
    captions: list[list[str]] | None
    ids: list[Any]

    def take(self, rows: npt.NDArray[np.int64]) -> Captioned:
        """The pictures of these rows, with their captions."""
        captions = None if self.captions is None else [self.captions[row] for row in rows]
        return Captioned(self.pictures.take(rows), captions, [self.ids[row] for row in rows])


@dataclass(frozen=True, eq=False)
class CaptionedDataset:
    """A data set with a training and a test part.

    Attributes
    ----------
    name
        What it is called.
    train, test
        Its parts.
    notes
        What its reader has to say, such as how many pictures were absent.
    """

    name: str
    train: Captioned
    test: Captioned
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A digest of all pictures and captions, to tell whether the data are the same."""
        parts = [(part.pictures.fingerprint, part.captions) for part in (self.train, self.test)]
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def as_captions(y: Any, pictures: int, name: str = "y") -> list[list[str]]:
    """Captions in their common form: a list of texts for each picture.

    Parameters
    ----------
    y
        For each picture a text, or a list of texts.
    pictures
        How many pictures there are.
    name
        What the user calls the argument.

    Raises
    ------
    DataError
        A caption is no text, or says nothing; the message says which.
    ShapeError
        There are more or fewer of them than pictures.
    """
    if not _is_list(y):
        raise DataError(f"{name}: expected a list of captions, got {type(y).__name__}")
    if len(y) != pictures:
        raise ShapeError(f"X has {pictures} pictures but {name} has captions for {len(y)}")
    captions = []
    for number, given in enumerate(y):
        several = not isinstance(given, str)
        if several and not _is_list(given):
            raise DataError(f"{name}[{number}] is no text: {given!r}")
        texts = list(given) if several else [given]
        if not texts:
            raise DataError(f"{name}[{number}] has no caption")
        for position, text in enumerate(texts):
            place = f"{name}[{number}][{position}]" if several else f"{name}[{number}]"
            check_caption(text, place)
        captions.append([str(text) for text in texts])
    return captions


def _is_list(given: Any) -> bool:
    """Whether there are several things in it, in an order; an array without an axis has none."""
    listed = hasattr(given, "__len__") and getattr(given, "ndim", 1) > 0
    return listed and not isinstance(given, (str, bytes, dict))


def check_caption(text: Any, place: str) -> None:
    """Complain about a caption that is no text, says nothing or cannot be written."""
    if not isinstance(text, str):
        raise DataError(f"{place} is no text: {text!r}")
    if not text.strip():
        raise DataError(f"{place} is an empty caption")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{place} has half a character at position {error.start}: {text!r}"
        ) from error
