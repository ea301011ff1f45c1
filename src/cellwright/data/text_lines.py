"""Texts with labels: a file of lines, each a label, a blank or a tab, and a text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cellwright.data.files import read_lines
from cellwright.data.texts import as_texts
from cellwright.errors import DataError

__all__ = ["Texts", "read_text_lines"]


@dataclass(frozen=True, eq=False)
class Texts(Sequence[str]):
    """Checked texts: none is blank.

    Attributes
    ----------
    values
        The texts.
    """

    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        return self.values[number]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    @property
    def fingerprint(self) -> str:
        """A digest of all texts, to tell whether two data sets are the same."""
        return hashlib.blake2b(repr(self.values).encode(), digest_size=16).hexdigest()

    @property
    def are_measured(self) -> bool:
        """Whether each text is nothing but numbers, some of them with a point: no words at all."""
        return any("." in text for text in self.values) and all(
            all(map(_is_number, text.split())) for text in self.values
        )

    def take(self, rows: npt.NDArray[np.int64]) -> Texts:
        """The texts of these rows."""
        return Texts(tuple(self.values[row] for row in rows))

    @classmethod
    def of(cls, X: object, name: str = "X") -> Texts:  # noqa: N803
        """Check texts.

        Raises
        ------
        DataError
            There are none, or one is no text or blank; the message names the sample.
        ShapeError
            They have not one axis.
        """
        return cls(tuple(as_texts(X, name)))


def read_text_lines(path: Path) -> tuple[Texts, npt.NDArray[np.str_]]:
    """Read a file of labelled texts, UTF-8, packed with gzip or not.

    A line is a label, a blank or a tab, and a text, as in ``1 a gem of a film``; empty lines
    are passed over.

    Returns
    -------
    texts, labels
        In the order of the lines.

    Raises
    ------
    DataError
        Naming the line: it is not UTF-8, has no label, or no text behind its label; or the file
        is missing, damaged or empty.
    """
    texts, labels = [], []
    for number, content in enumerate(read_lines(path), start=1):
        place = f"{path}, line {number}"
        if not content.strip():
            continue
        if content[0].isspace():
            raise DataError(f"{place}, column 1: starts with a blank; expected a label")
        label, *rest = content.split(maxsplit=1)
        if not rest:
            raise DataError(
                f"{place}, column {len(label) + 1}: there is no text behind the label {label!r}"
            )
        labels.append(label)
        texts.append(rest[0].rstrip())
    if not texts:
        raise DataError(f"{path}: has no lines")
    return Texts(tuple(texts)), np.array(labels, dtype=str)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
