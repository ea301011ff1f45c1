"""Tokens as text again, piece by piece, while they are still being told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cellwright.text.vocabulary import Vocabulary

__all__ = ["WITHOUT_LINES", "pieces"]

_LONGEST_CHARACTER = 4  # bytes of UTF-8
WITHOUT_LINES = ("words", "tokens")
"""Kinds of vocabulary that know no line breaks."""


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
    if vocabulary.kind in WITHOUT_LINES:
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
