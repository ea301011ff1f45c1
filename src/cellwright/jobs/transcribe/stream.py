"""Writing while the steps still come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from cellwright.jobs.streams import checked_step
from cellwright.models.ctc import BLANK
from cellwright.models.transcriber import TranscriberNetwork

__all__ = ["TextStream"]


class TextStream:
    """A transcriber fed one step at a time; made by `Transcriber.stream`.

    Examples
    --------
    >>> import cellwright as cw, numpy as np
    >>> X = [np.eye(2)[[0, 0, 1, 1]], np.eye(2)[[1, 1, 0, 0]]] * 8
    >>> scribe = cw.Transcriber(
    ...     layers=[8], bidirectional=False, epochs=40, learning_rate=0.03, validation_fraction=0
    ... ).fit(X, ["ab", "ba"] * 8)
    >>> stream = scribe.stream()
    >>> "".join(stream.step(x) for x in X[0]) + stream.finish()
    'ab'
    """

    def __init__(
        self, network: TranscriberNetwork, symbols: Sequence[str], names: Sequence[str] | None
    ) -> None:
        self._network, self._symbols, self._names = network, symbols, names
        self._stream = network.stream()
        self._before, self._steps = BLANK, 0

    def step(self, x: Any) -> str:
        """Take one step, (features,), and give the character that it completes, or nothing."""
        given = checked_step(x, len(self._network.shift), self._steps, self._names)[0]
        self._steps += 1
        return self._written(self._stream.step(given))

    def finish(self) -> str:
        """Say that nothing follows: what is still to be written; the stream begins anew."""
        last = self._written(self._stream.finish())
        self._before, self._steps = BLANK, 0
        return last

    def _written(self, scores: Tensor | None) -> str:
        if scores is None:
            return ""
        symbol, before = int(scores.argmax()), self._before
        self._before = symbol
        return "" if symbol in (BLANK, before) else self._symbols[symbol - 1]
