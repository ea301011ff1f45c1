"""Writing text token by token: by chance, or by looking for the most probable continuation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from cellwright.errors import SettingError
from cellwright.models.language import LanguageStream

__all__ = ["Sampling", "check_whole", "likeliest", "sampled"]

Scores = npt.NDArray[Any]


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise `SettingError` unless it is a whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise SettingError(f"{name}={value!r}: must be a whole number from {least}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn.

    Attributes
    ----------
    temperature
        Scores are divided by it: below 1 for what is likely, above for what is daring; 0
        takes the most probable token always.
    top_k
        Draw from so many of the most probable tokens.
    top_p
        Draw from the fewest tokens whose chances make up as much (Holtzman et al. 2020).

    Raises
    ------
    SettingError
        One of them is not allowed.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.temperature) or not 0 <= self.temperature < np.inf:
            raise SettingError(f"temperature={self.temperature!r}: must be a number from 0")
        if self.top_k is not None:
            check_whole("top_k", self.top_k, 1)
        if self.top_p is not None and not (_is_number(self.top_p) and 0 < self.top_p <= 1):
            raise SettingError(f"top_p={self.top_p!r}: must be above 0 and at most 1")

    def draw(self, scores: Scores, random: np.random.Generator) -> int:
        """A token for these scores, (token,)."""
        if self.temperature == 0:
            return int(scores.argmax())
        scores = scores.astype(np.float64)
        # The greatest is taken away first, so that the smallest temperature leaves it finite.
        with np.errstate(over="ignore"):
            scores = (scores - scores.max()) / self.temperature
        if self.top_k is not None and self.top_k < len(scores):
            least = np.partition(scores, -self.top_k)[-self.top_k]
            scores = np.where(scores < least, -np.inf, scores)
        # scipy's softmax takes longer than the network does for a step.
        chances = np.exp(scores)
        if self.top_p is not None:
            order = np.argsort(-chances, kind="stable")
            # A token is kept if those before it do not make up enough.
            kept = np.cumsum(chances[order]) - chances[order] < self.top_p * chances.sum()
            chances[order[~kept]] = 0
        sums = np.cumsum(chances)
        return int(np.searchsorted(sums, random.random() * sums[-1], side="right"))


def sampled(
    stream: LanguageStream,
    seed: Sequence[int],
    how: Sampling,
    random: np.random.Generator,
    never: Collection[int],
) -> Iterator[int]:
    """Tokens that follow the seed, without end.

    Parameters
    ----------
    stream
        A new stream of one row.
    seed
        Tokens that are read first, one at least.
    how
        How each token is drawn.
    random
        What draws.
    never
        Tokens that are not drawn.
    """
    out = list(never)
    scores = [stream.step([token]) for token in seed][-1]
    while True:
        row = scores[0].copy()
        row[out] = -np.inf
        token = how.draw(row, random)
        yield token
        scores = stream.step([token])


def likeliest(
    stream: LanguageStream,
    seed: Sequence[int],
    length: int,
    width: int,
    never: Collection[int],
    last: int,
) -> list[int]:
    """The continuation of the highest mean log-probability that a beam finds.

    Parameters
    ----------
    stream
        A new stream of `width` rows.
    seed
        Tokens that are read first, one at least.
    length
        Tokens at most.
    width
        Continuations that are kept at each step.
    never
        Tokens that are not written.
    last
        The token behind which nothing comes; it is not returned.
    """
    out = list(never)
    scores = [stream.step([token] * width) for token in seed][-1]
    # All rows are the same at first; but one of them would be found again and again.
    sums = np.full(width, -np.inf)
    sums[0] = 0.0
    written: list[list[int]] = [[] for _ in range(width)]
    finished: list[tuple[float, list[int]]] = []
    for step in range(length):
        chances = log_softmax(scores.astype(np.float64), axis=1)
        chances[:, out] = -np.inf
        totals = sums[:, None] + chances
        ended = totals[:, last] / (step + 1)
        finished += [(float(ended[row]), written[row]) for row in np.flatnonzero(ended > -np.inf)]
        totals[:, last] = -np.inf
        best = np.argsort(-totals, axis=None, kind="stable")[:width]
        rows, tokens = np.unravel_index(best, totals.shape)
        sums = totals[rows, tokens]
        written = [[*written[row], int(token)] for row, token in zip(rows, tokens, strict=True)]
        stream.take(rows.tolist())
        scores = stream.step(tokens.tolist())
    finished += [(float(total) / max(1, length), w) for total, w in zip(sums, written, strict=True)]
    return max(finished, key=lambda pair: pair[0])[1]
