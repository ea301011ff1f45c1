"""Answers for a sequence that is still going on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.errors import DataError, ShapeError
from cellwright.models.pooled_stream import PooledStream

__all__ = ["ClassStream", "NumberStream", "checked_step"]


def checked_step(x: Any, features: int, number: int) -> Tensor:
    """One step as a network reads it, (1, features).

    Parameters
    ----------
    x
        (features,), or a number where there is one feature.
    features
        How many were learned.
    number
        Of the step, from 0.

    Raises
    ------
    ShapeError
        There are not as many features as were learned.
    DataError
        A feature is not a finite number.
    """
    array = np.atleast_1d(np.asarray(x))
    if array.shape != (features,):
        raise ShapeError(f"step {number}: expected (features={features},), got {array.shape}")
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise DataError(f"step {number}: expected finite numbers, got {x!r}")
    wide = np.promote_types(array.dtype, np.float32) != np.float32
    return torch.from_numpy(array.astype(np.float64 if wide else np.float32))[None]


class _SequenceStream:
    """One sequence, fed step by step."""

    def __init__(self, stream: PooledStream, steps: Callable[[Any, int], list[Tensor]]) -> None:
        self._stream, self._steps_of, self._count = stream, steps, 0

    def reset(self) -> None:
        """Begin a new sequence."""
        self._stream.reset()
        self._count = 0

    def _scores(self, x: Any) -> Tensor:
        steps = self._steps_of(x, self._count)
        for step in steps:
            scores = self._stream.step(step)
        self._count += len(steps)
        return scores


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
            (features,), or a number where there is one feature; of texts the next piece, made of
            whole words.

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
