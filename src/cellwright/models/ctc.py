r"""Connectionist temporal classification: from scores at every step to symbols, and back.

A network gives at each step \(t\) a distribution over symbols and one more, the blank, number
0. A path is a symbol or blank for each step; what it spells is left when repeats are merged and
then blanks taken out. The probability of a text is that of all paths that spell it.

References
----------
Graves, Fernández, Gomez and Schmidhuber, "Connectionist temporal classification", ICML (2006);
Hannun, Maas, Jurafsky and Ng, "First-pass large vocabulary continuous speech recognition using
bi-directional recurrent DNNs", arXiv:1408.2873 (2014), for the search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cellwright.errors import DataError, SettingError

__all__ = ["BLANK", "Found", "NextSymbol", "align", "collapse", "prefix_beam", "steps_needed"]

BLANK = 0
"""Number of the blank; symbols count from 1."""

Scores: TypeAlias = npt.NDArray[np.floating[Any]]
Symbols: TypeAlias = tuple[int, ...]

NextSymbol: TypeAlias = Callable[[Symbols], Scores]
"""Symbols so far -> log-probability of each symbol that may follow, (symbols + 1,).

The entry of the blank, 0, is that of the end: 0 wherever the model knows no end.
"""

# What has less than this chance at a step is not tried; the search is as good and much faster.
_LEAST_CHANCE = np.log(1e-5)


def collapse(path: Sequence[int]) -> list[int]:
    """What a path spells: repeats merged, then blanks taken out.

    >>> collapse([0, 3, 3, 0, 3, 5, 5])
    [3, 3, 5]
    """
    found, before = [], BLANK
    for symbol in path:
        if symbol not in (before, BLANK):
            found.append(int(symbol))
        before = symbol
    return found


def steps_needed(target: Sequence[int]) -> int:
    """The shortest path that spells it: a step a symbol, and a blank between two alike."""
    return len(target) + sum(a == b for a, b in pairwise(target))


@dataclass(frozen=True)
class Found:
    """A text that a search has found.

    Attributes
    ----------
    symbols
        The text.
    log_probability
        Of all its paths that the search has seen.
    score
        What the search maximizes: with a language model, its opinion and the bonus added.
    """

    symbols: Symbols
    log_probability: float
    score: float


@dataclass
class _Prefix:
    """Log-probability of the paths of a prefix, by whether they end in a blank."""

    blank: float = -np.inf
    symbol: float = -np.inf
    extra: float = 0.0

    @property
    def total(self) -> float:
        return float(np.logaddexp(self.blank, self.symbol))

    @property
    def score(self) -> float:
        return self.total + self.extra


@dataclass
class _Language:
    """What a language model adds to a prefix that grows by a symbol."""

    next_symbol: NextSymbol | None
    weight: float
    bonus: float
    asked: dict[Symbols, Scores] = field(default_factory=dict)

    def extra(self, prefix: Symbols, symbol: int) -> float:
        bonus = self.bonus if symbol != BLANK else 0.0
        if self.next_symbol is None or self.weight == 0:
            return bonus
        if prefix not in self.asked:
            self.asked[prefix] = self.next_symbol(prefix)
        return self.weight * float(self.asked[prefix][symbol]) + bonus


def prefix_beam(
    scores: Scores,
    width: int = 16,
    *,
    next_symbol: NextSymbol | None = None,
    weight: float = 0.5,
    bonus: float = 0.0,
) -> list[Found]:
    r"""The most probable texts, by a search over their beginnings.

    Maximizes \(\log p(y \mid x) + \alpha \log p_\mathrm{LM}(y) + \beta |y|\), the end of the text
    among what the language model is asked about, also that of an empty one.

    Parameters
    ----------
    scores
        Log-probabilities, (time, symbols + 1), the blank first.
    width
        Beginnings that are kept at each step.
    next_symbol
        A language model, if there is one.
    weight
        \(\alpha\), of the language model.
    bonus
        \(\beta\), for each symbol: a language model likes short texts.

    Returns
    -------
    list of Found
        At most `width` texts, the best first.

    Raises
    ------
    SettingError
        The width is not a whole number from 1.
    """
    if isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1:
        raise SettingError(f"width={width!r}: must be a whole number from 1")
    language = _Language(next_symbol, weight, bonus)
    beam: dict[Symbols, _Prefix] = {(): _Prefix(blank=0.0)}
    for row in np.asarray(scores, np.float64):
        tried = np.flatnonzero(row > _LEAST_CHANCE)
        grown = _grown(beam, row, tried[tried != BLANK].tolist(), language)
        best = sorted(grown.items(), key=lambda item: -item[1].score)
        beam = dict(best[:width])
    ended = [
        Found(symbols, prefix.total, prefix.score + language.extra(symbols, BLANK))
        for symbols, prefix in beam.items()
    ]
    return sorted(ended, key=lambda found: -found.score)


def _grown(
    beam: dict[Symbols, _Prefix], row: Scores, tried: Sequence[int], language: _Language
) -> dict[Symbols, _Prefix]:
    """All beginnings after one more step."""
    grown: dict[Symbols, _Prefix] = {}

    def entry(symbols: Symbols, extra: Callable[[], float]) -> _Prefix:
        if symbols not in grown:
            grown[symbols] = _Prefix(extra=beam[symbols].extra if symbols in beam else extra())
        return grown[symbols]

    for symbols, before in beam.items():
        same = entry(symbols, lambda: 0.0)
        same.blank = float(np.logaddexp(same.blank, before.total + row[BLANK]))
        last = symbols[-1] if symbols else BLANK
        if symbols:
            same.symbol = float(np.logaddexp(same.symbol, before.symbol + row[last]))
        for symbol in tried:
            # The same symbol again is a new one only behind a blank.
            start = before.blank if symbol == last else before.total
            if start == -np.inf:
                continue

            def extra(before: _Prefix = before, at: Symbols = symbols, new: int = symbol) -> float:
                return before.extra + language.extra(at, new)

            longer = entry((*symbols, symbol), extra)
            longer.symbol = float(np.logaddexp(longer.symbol, start + row[symbol]))
    return grown


def align(scores: Scores, target: Sequence[int]) -> tuple[list[tuple[int, int]], float]:
    r"""The most probable path that spells a text (Viterbi's algorithm).

    Parameters
    ----------
    scores
        Log-probabilities, (time, symbols + 1), the blank first.
    target
        The text's symbols, from 1.

    Returns
    -------
    spans
        For each symbol the first step of its run, and the step behind its last.
    log_probability
        Of the path.

    Raises
    ------
    DataError
        There are fewer steps than the text needs.
    """
    steps = len(scores)
    if steps < (needed := steps_needed(target)):
        raise DataError(f"{steps} steps cannot spell a text that needs {needed}")
    if not steps:
        return [], 0.0
    scores = np.asarray(scores, np.float64)
    # Blanks stand between all symbols and at both ends; a step goes on by 0, 1 or 2 of these,
    # by 2 only past a blank between two symbols that differ.
    states = np.zeros(2 * len(target) + 1, np.int64)
    states[1::2] = target
    may_skip = np.zeros(len(states), bool)
    may_skip[2:] = (states[2:] != BLANK) & (states[2:] != states[:-2])
    reached = np.full(len(states), -np.inf)
    reached[:2] = scores[0, states[:2]]
    moves = np.zeros((steps, len(states)), np.int8)
    for step in range(1, steps):
        ways = np.full((3, len(states)), -np.inf)
        ways[0] = reached
        ways[1, 1:] = reached[:-1]
        ways[2, 2:] = np.where(may_skip[2:], reached[:-2], -np.inf)
        moves[step] = ways.argmax(0)
        reached = ways.max(0) + scores[step, states]
    return _traced(moves, reached, len(target))


def _traced(
    moves: npt.NDArray[np.int8], reached: npt.NDArray[np.float64], symbols: int
) -> tuple[list[tuple[int, int]], float]:
    """Follow the moves back from the better of the two ends."""
    state = len(reached) - 1
    if len(reached) > 1 and reached[-2] > reached[-1]:
        state -= 1
    log_probability = float(reached[state])
    spans = [(len(moves), 0)] * symbols
    for step in range(len(moves) - 1, -1, -1):
        if state % 2:
            first, last = spans[state // 2]
            spans[state // 2] = (min(first, step), max(last, step + 1))
        state -= int(moves[step, state])
    return spans, log_probability
