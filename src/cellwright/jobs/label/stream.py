"""Answers as steps come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from cellwright.jobs.label.columns import AnswerColumns
from cellwright.jobs.streams import checked_step
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

    def __init__(
        self, network: StepwiseNetwork, columns: AnswerColumns, names: Sequence[str] | None
    ) -> None:
        self.probabilities: Any = None
        self._columns, self._features, self._names = columns, len(network.shift), names
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
        given = checked_step(x, self._features, self._steps, self._names)
        self._steps += 1
        scores = self._stream.step(given)
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
