"""Texts as one run of tokens, and tokens as text again, piece by piece.

A language model reads `begin` before each text, and so learns where a text ends: where it
expects the next one to begin. Words and tokens know no line breaks; there `end` is one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.errors import DataError
from cellwright.text import Vocabulary

__all__ = ["as_texts", "characters_of", "pieces", "token_text", "tokens_of"]

_LONGEST_CHARACTER = 4  # bytes of UTF-8
_WITHOUT_LINES = ("words", "tokens")


def as_texts(X: Any, *, name: str = "X") -> list[str]:  # noqa: N803
    """One text or several, as a list.

    Raises
    ------
    DataError
        There is none, or something in it is no text, or an empty one; the message says where.
    """
    texts = [X] if isinstance(X, str) else X
    if isinstance(texts, (bytes, dict)) or not hasattr(texts, "__iter__"):
        raise DataError(f"{name}: expected a text or a list of texts, got {type(X).__name__}")
    texts = list(texts)
    if not texts:
        raise DataError(f"{name} is empty; give a text")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{name}[{number}]: expected text, got {type(text).__name__}")
        if not text:
            raise DataError(f"{name}[{number}] is an empty text; leave it out")
    return [str(text) for text in texts]


def characters_of(texts: Sequence[str]) -> int:
    """Characters of all texts, in the normal form in which they are learned."""
    return sum(len(unicodedata.normalize("NFC", text)) for text in texts)


def tokens_of(vocabulary: Vocabulary, text: str) -> npt.NDArray[np.int32]:
    """The tokens of a text behind `begin`, (token,)."""
    if vocabulary.kind not in _WITHOUT_LINES:
        return np.array([vocabulary.begin, *vocabulary.encode(text)], dtype=np.int32)
    found = [vocabulary.begin]
    for number, line in enumerate(vocabulary.encode_all(text.split("\n"))):
        found += [vocabulary.end] * (number > 0) + line
    return np.array(found, dtype=np.int32)


def token_text(vocabulary: Vocabulary, token: int) -> str:
    """What a single token looks like to people."""
    named = {vocabulary.begin: "(next text)", vocabulary.end: "\n"}
    return named.get(token) or vocabulary.decode([token])


def pieces(vocabulary: Vocabulary, tokens: Iterable[int], before: int) -> Iterator[str]:
    """The text of tokens as they come; a piece may be empty, and comes when it is certain.

    Parameters
    ----------
    vocabulary
        Of the tokens.
    tokens
        What is to be shown.
    before
        The token in front of the first.
    """
    if vocabulary.kind in _WITHOUT_LINES:
        yield from _spaced(vocabulary, tokens, before)
        return
    waiting: list[int] = []
    for token in tokens:
        waiting.append(token)
        text = vocabulary.decode(waiting)
        # A character of several bytes is shown as unknown until its last byte is there.
        whole = vocabulary.kind == "characters" or not text.endswith("\ufffd")
        if whole or len(waiting) > _LONGEST_CHARACTER:
            waiting = []
            yield text
        else:
            yield ""
    if waiting:
        yield vocabulary.decode(waiting)


def _spaced(vocabulary: Vocabulary, tokens: Iterable[int], before: int) -> Iterator[str]:
    """Words, with a space before each that wants one."""
    for token in tokens:
        if token == vocabulary.end:
            yield "\n"
        elif before in (vocabulary.begin, vocabulary.end):
            yield vocabulary.decode([token])
        else:
            yield vocabulary.decode([before, token])[len(vocabulary.decode([before])) :]
        before = token
