"""Texts as one run of tokens.

A language model reads `begin` before each text, and so learns where a text ends: where it
expects the next one to begin. Words and tokens know no line breaks; there `end` is one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cellwright.text import Vocabulary
from cellwright.text.pieces import WITHOUT_LINES

__all__ = ["characters_of", "token_text", "tokens_of"]


def characters_of(texts: Sequence[str]) -> int:
    """Characters of all texts, in the normal form in which they are learned."""
    return sum(len(unicodedata.normalize("NFC", text)) for text in texts)


def tokens_of(vocabulary: Vocabulary, text: str) -> npt.NDArray[np.int32]:
    """The tokens of a text behind `begin`, (token,)."""
    if vocabulary.kind not in WITHOUT_LINES:
        return np.array([vocabulary.begin, *vocabulary.encode(text)], dtype=np.int32)
    found = [vocabulary.begin]
    for number, line in enumerate(vocabulary.encode_all(text.split("\n"))):
        found += [vocabulary.end] * (number > 0) + line
    return np.array(found, dtype=np.int32)


def token_text(vocabulary: Vocabulary, token: int) -> str:
    """What a single token looks like to people."""
    named = {vocabulary.begin: "(next text)", vocabulary.end: "\n"}
    return named.get(token) or vocabulary.decode([token])
