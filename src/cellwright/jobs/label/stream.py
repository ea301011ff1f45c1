"""Answers as steps come."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellwright.errors import DataError, ShapeError
from cellwright.jobs.label.columns import AnswerColumns
from cellwright.models import StepwiseNetwork

__all__ = ["LabelStream"]


class LabelStream:
    """One sequence, fed step by step; made by `SequenceLabeler.stream`.

    The answers are those of `SequenceLabeler.predict` on the whole sequence. With a delay of n
    the answer for a step comes n steps later, and the last n with `finish`.

    Attributes
    ----------
    probabilities
        Of each label, of the step answered last, (labels,); with several answers a list of them.
        None before there is an answer, and for numbers.
    """

    def __init__(self, network: StepwiseNetwork, columns: AnswerColumns) -> None:
        self.probabilities: Any = None
        self._columns, self._features = columns, len(network.shift)
        self._stream, self._steps = network.stream(), 0

    def step(self, x: Any) -> Any:
        """Feed a step.

        Parameters
        ----------
        x
            (features,), or a number where there is one feature.

        Returns
        -------
        label, number, or array of them
            The answer for the step that came `delay` steps ago; None while there is no such step.

        Raises
        ------
        ShapeError
            There are not as many features as were learned.
        DataError
            A feature is not a finite number.
        """
        array = np.atleast_1d(np.asarray(x))
        if array.shape != (self._features,):
            raise ShapeError(
                f"step {self._steps}: expected (features={self._features},), got {array.shape}"
            )
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise DataError(f"step {self._steps}: expected finite numbers, got {x!r}")
        self._steps += 1
        wide = np.promote_types(array.dtype, np.float32) != np.float32
        given = torch.from_numpy(array.astype(np.float64 if wide else np.float32))
        scores = self._stream.step(given[None])
        return None if scores is None else self._answer(scores)

    def finish(self) -> list[Any]:
        """The answers still owed for the last steps; then the stream starts anew."""
        self._steps = 0
        return [self._answer(scores) for scores in self._stream.finish()]

    def _answer(self, scores: Tensor) -> Any:
        numbers = scores.double().cpu().numpy()
        if self._columns.columns[0].labels is not None:
            chances = [each[0] for each in self._columns.chances(numbers)]
            self.probabilities = chances[0] if self._columns.single else chances
        return self._columns.decoded(numbers)[0]
