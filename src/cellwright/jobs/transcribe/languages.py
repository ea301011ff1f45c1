"""What a language model has to say while a text is searched for.

A trained `cellwright.LanguageModel` over characters will do, and so will any callable that takes
the text so far and gives the log-probabilities of characters that may follow, a mapping. One that
knows where a text ends gives the end's under ``""``, always; so does a `LanguageModel` that learned
from several texts. Natural logarithms; a character that is not there counts as very improbable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from scipy.special import log_softmax

from cellwright.errors import ArgumentError, DataError
from cellwright.models.ctc import NextSymbol, Scores, Symbols

__all__ = ["CharacterModel", "next_symbol"]

CharacterModel: TypeAlias = Callable[[str], Mapping[str, float]] | Any
"""Text so far -> log-probability of each next character; or a `cellwright.LanguageModel`."""

_UNKNOWN = -20.0
_MOST_REMEMBERED = 20_000


def next_symbol(model: CharacterModel, symbols: Sequence[str]) -> NextSymbol:
    """What the search asks, in the numbers of a transcriber's symbols.

    Parameters
    ----------
    model
        A language model, as this module describes it.
    symbols
        The transcriber's, of which the first is number 1.

    Raises
    ------
    ArgumentError
        It is no language model, or what it gives is no mapping to log-probabilities.
    DataError
        It reads something else than characters.
    """
    # The estimator is known by what it does, so that nobody imports it who has none.
    if hasattr(model, "open_stream") and hasattr(model, "vocabulary_"):
        return _Streamed(model, symbols)
    if not callable(model):
        raise ArgumentError(
            f"a language model must be a LanguageModel that has been fitted, or a function of "
            f"the text so far; got {type(model).__name__}"
        )

    def following(before: Symbols) -> Scores:
        chances = model("".join(symbols[number - 1] for number in before))
        if not isinstance(chances, Mapping):
            raise ArgumentError(
                f"the language model must give a mapping from characters to log-probabilities; "
                f"got {type(chances).__name__}"
            )
        # A model that knows no end has nothing against ending.
        given = [chances.get("", 0.0), *(chances.get(s, _UNKNOWN) for s in symbols)]
        try:
            scores = np.array(given, np.float64)
        except (TypeError, ValueError):
            scores = np.array([np.nan])
        if not (scores < np.inf).all():
            raise ArgumentError(
                f"the language model must give log-probabilities, numbers below infinity; got "
                f"{dict(chances)!r:.200}"
            )
        return scores

    return following


class _Streamed:
    """A language model's stream that goes on from any text it has read before."""

    def __init__(self, model: Any, symbols: Sequence[str]) -> None:
        vocabulary = model.vocabulary_
        if vocabulary.kind != "characters":
            raise DataError(
                f"the language model reads {vocabulary.kind}; a search goes on by one character "
                f"at a time and wants vocabulary='characters'"
            )
        self._stream = model.open_stream(1)
        # A text ends where the model expects the next to begin.
        self._tokens = [vocabulary.begin, *(vocabulary.number(s) for s in symbols)]
        fixed = np.where(np.array(self._tokens) == vocabulary.unknown, _UNKNOWN, np.nan)
        # A single text has ended once, which tells nothing of where texts end.
        fixed[0] = np.nan if model.facts_.several else 0.0
        self._fixed = fixed
        self._start = self._stream.state
        self._read: dict[Symbols, tuple[Scores, Any]] = {}

    def __call__(self, before: Symbols) -> Scores:
        """Log-probabilities of the end and of each symbol."""
        if len(self._read) > _MOST_REMEMBERED:
            self._read.clear()
        known = len(before)
        while known >= 0 and before[:known] not in self._read:
            known -= 1
        for end in range(known + 1, len(before) + 1):
            self._stream.state = self._read[before[: end - 1]][1] if end else self._start
            last = self._tokens[before[end - 1]] if end else self._tokens[0]
            scores = log_softmax(self._stream.step([last])[0].astype(np.float64))
            chosen = np.where(np.isnan(self._fixed), scores[self._tokens], self._fixed)
            self._read[before[:end]] = chosen, self._stream.state
        return self._read[before][0]
