"""Answers for a sequence that is still going on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.arguments import as_array
from cellwright.errors import DataError, ShapeError
from cellwright.models.pooled_stream import PooledStream
from cellwright.text import Vocabulary

__all__ = ["ClassStream", "NumberStream", "TextSteps", "checked_step"]

# Where no token of any vocabulary goes on: before blanks that end a word.
_WORD_END = re.compile(r"(?<!\s)(?=[ \t\n\r])")
# Letters and their accents can be one character; Unicode's stream-safe texts have up to 30.
_MOST_ACCENTS = 32


def checked_step(x: Any, features: int, number: int, names: Sequence[str] | None = None) -> Tensor:
    """One step as a network reads it, (1, features).

    Parameters
    ----------
    x
        (features,), or a number where there is one feature.
    features
        How many were learned.
    number
        Of the step, from 0.
    names
        Those of the features, if they had names; a row of a table is brought into their order.

    Raises
    ------
    ShapeError
        There are not as many features as were learned.
    DataError
        A feature is not a finite number, or has a name that was not learned.
    """
    x = _in_order(x, number, names)
    x = as_array(x)
    try:
        array = np.atleast_1d(np.asarray(x))
    except ValueError as error:
        raise ShapeError(f"step {number}: not an array (features,): {error}") from error
    if array.shape != (features,):
        raise ShapeError(f"step {number}: expected (features={features},), got {array.shape}")
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise DataError(f"step {number}: expected finite numbers, got {x!r}")
    wide = np.promote_types(array.dtype, np.float32) != np.float32
    return torch.from_numpy(array.astype(np.float64 if wide else np.float32))[None]


def _in_order(x: Any, number: int, names: Sequence[str] | None) -> Any:
    index = getattr(x, "index", None)
    if names is None or index is None or callable(index):  # a list's is a method
        return x
    found = list(index)
    if not all(isinstance(name, str) for name in found):
        return x
    if sorted(found) != sorted(names):
        raise DataError(
            f"step {number}: its features are {', '.join(found)}, those that were learned "
            f"{', '.join(names)}"
        )
    return x[list(names)]


class TextSteps:
    """The tokens of a text that comes in pieces, numbered as those of the whole text are.

    Parameters
    ----------
    vocabulary
        What cuts and numbers texts.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary, self._text = vocabulary, ""

    def __call__(self, piece: Any, number: int) -> list[Tensor]:
        """What a piece adds, (1, 1) each; `number` is 0 where a text begins.

        Raises
        ------
        DataError
            The piece is no text, or changes a token that was given before.
        """
        if not isinstance(piece, str):
            raise DataError(f"step {number}: expected text, got {type(piece).__name__}")
        before = "" if number == 0 else self._text
        read, joined = self._vocabulary.encode_all([before, before + piece])
        if joined[: len(read)] != read:
            raise DataError(
                f"step {number}: {piece!r} goes on with a word that came before; pieces are joined "
                f"as they stand: begin each with the blank that divides it from the one before"
            )
        self._text = self._unfinished(before + piece)
        return list(torch.tensor(joined[len(read) :]).view(-1, 1, 1))

    def _unfinished(self, text: str) -> str:
        """The end of a text, from where on tokens may depend on what comes."""
        if self._vocabulary.kind in ("characters", "bytes"):
            return text[-_MOST_ACCENTS:]
        ends = [match.start() for match in _WORD_END.finditer(text)]
        return text[ends[-1] :] if ends else text


class _SequenceStream:
    """One sequence, fed step by step."""

    def __init__(self, stream: PooledStream, steps: Callable[[Any, int], list[Tensor]]) -> None:
        self._stream, self._steps_of = stream, steps
        self.reset()

    def reset(self) -> None:
        """Begin a new sequence."""
        self._stream.reset()
        self._count = 0
        self._found: Tensor | None = None

    def _scores(self, x: Any) -> Tensor:
        steps = self._steps_of(x, self._count)
        for step in steps:
            self._found = self._stream.step(step)
        self._count += len(steps)
        if self._found is None:
            raise DataError("step 0: an empty text")
        return self._found


class ClassStream(_SequenceStream):
    """A sequence to be classified, fed step by step; made by `SequenceClassifier.stream`.

    Attributes
    ----------
    probabilities
        Of each class, (class,), after the steps so far; None before the first.
    """

    def __init__(
        self,
        stream: PooledStream,
        steps: Callable[[Any, int], list[Tensor]],
        classes: npt.NDArray[Any],
    ) -> None:
        super().__init__(stream, steps)
        self._classes = classes
        self.probabilities: npt.NDArray[np.float64] | None = None

    def step(self, x: Any) -> Any:
        """Feed a step, and give the most probable label of the sequence so far.

        Parameters
        ----------
        x
            (features,), or a number where there is one feature; of a text the next piece, such as
            ``" good"``. Pieces are joined as they stand; each begins where a token does. What adds
            no token, such as a blank between words, changes nothing.

        Raises
        ------
        ShapeError, DataError
            It is no such step.
        """
        self.probabilities = self._scores(x)[0].double().softmax(0).cpu().numpy()
        return self._classes[int(self.probabilities.argmax())]

    def reset(self) -> None:
        """Begin a new sequence."""
        super().reset()
        self.probabilities = None


class NumberStream(_SequenceStream):
    """A sequence whose number is told, fed step by step; made by `SequenceRegressor.stream`."""

    def __init__(
        self,
        stream: PooledStream,
        steps: Callable[[Any, int], list[Tensor]],
        told: Callable[[Tensor], Any],
    ) -> None:
        super().__init__(stream, steps)
        self._told = told

    def step(self, x: Any) -> Any:
        """Feed a step, (features,), and give what `SequenceRegressor.predict` says so far.

        Raises
        ------
        ShapeError, DataError
            It is no such step.
        """
        return self._told(self._scores(x))
