"""What is asked at every step, one or several things: from answers to targets, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cellwright.data.batches import Batch
from cellwright.data.labels import label_numbers
from cellwright.data.step_answers import StepAnswers
from cellwright.data.step_batches import StepBatch
from cellwright.errors import DataError, ModelFileError
from cellwright.jobs import model_file
from cellwright.jobs.training.target_scaling import mean_and_spread, scaled_targets

__all__ = ["AnswerColumn", "AnswerColumns", "StepLoss", "learned_columns", "scores_of"]

Array: TypeAlias = npt.NDArray[Any]


class AnswerColumn(BaseModel):
    """One thing that is asked at every step: one of several labels, or a number.

    Attributes
    ----------
    labels
        The labels; None for a number.
    mean, spread
        Of a number in the training data.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: model_file.Labels | None = None
    mean: float = 0.0
    spread: Annotated[float, Field(gt=0)] = 1.0

    @property
    def outputs(self) -> int:
        """How many numbers of the network answer it."""
        return 1 if self.labels is None else len(self.labels.values)


def learned_columns(
    answers: StepAnswers, kind: str, learned: npt.NDArray[np.bool_] | None = None
) -> list[AnswerColumn]:
    """What is known of each column of the answers.

    Parameters
    ----------
    answers
        All there are: labels are collected from them.
    kind
        Of them: "label" or "number".
    learned
        Which steps are learned from, (steps,): mean and spread are theirs; None for all.

    Raises
    ------
    DataError
        A column has one label only, or numbers that never change, or nothing to learn from.
    """
    found = []
    for number, values in enumerate(answers.columns):
        known = answers.known[:, number]
        counted = known if learned is None else known & learned
        which = "y" if answers.single else f"column {number} of y"
        if not counted.any():
            raise DataError(
                f"{which} has no answer in the part that is learned from; give more answers, or "
                f"validation_fraction=0"
            )
        if kind == "number":
            mean, spread = mean_and_spread(values[counted], which)
            found.append(AnswerColumn(mean=mean, spread=spread))
            continue
        labels = np.unique(values[known])
        if len(labels) < 2:
            raise DataError(
                f"{which} has one label only ({labels[0].item()!r}); there is nothing to learn"
            )
        found.append(AnswerColumn(labels=model_file.Labels.of(labels)))
    return found


class AnswerColumns:
    """All that is asked at a step, between answers and the numbers of a network.

    Parameters
    ----------
    columns
        What is asked.
    single
        Whether an answer is one thing, and not a row.
    """

    def __init__(self, columns: Sequence[AnswerColumn], single: bool) -> None:
        if single and len(columns) != 1:
            raise ModelFileError(f"an answer of {len(columns)} things is not a single one")
        self.columns, self.single = tuple(columns), single
        self.classes = [c.labels.array() if c.labels is not None else None for c in columns]
        ends = list(accumulate(column.outputs for column in columns))
        self.places = [slice(end - c.outputs, end) for end, c in zip(ends, columns, strict=True)]
        self.outputs = ends[-1]

    def targets(
        self, answers: StepAnswers, options: Mapping[str, Any], *, name: str = "y"
    ) -> Tensor:
        """What a network is to learn, (steps, columns): numbers of labels, or scaled numbers.

        Parameters
        ----------
        answers
            As many at a step as were learned.
        options
            Validated options.
        name
            What the user calls them.

        Raises
        ------
        DataError
            A label was never seen in training, or a number is beyond the precision; the message
            names sample and step.
        """
        if self.columns[0].labels is not None:
            codes = [self._codes(answers, number, name) for number in range(len(self.columns))]
            return torch.from_numpy(np.stack(codes, axis=1))
        mean = np.array([column.mean for column in self.columns])
        spread = np.array([column.spread for column in self.columns])
        numbers = np.where(answers.known, np.stack(answers.columns, axis=1), mean)

        def said(at: int, column: int) -> str:
            sample, step = answers.place(at)
            return f"{name}[{sample}] at step {step} is {numbers[at, column]:g}"

        return scaled_targets(numbers, mean, spread, options, said)

    def check_width(self, answers: StepAnswers) -> None:
        """Refuse answers that are not as wide as those that were learned."""
        if len(answers.columns) != len(self.columns):
            raise DataError(
                f"y has {len(answers.columns)} answers at a step, learned were {len(self.columns)}"
            )

    def known(self, answers: StepAnswers, number: int) -> Array:
        """The labels of a column in the type that was learned."""
        classes = self.classes[number]
        assert classes is not None
        return np.asarray(classes[self._codes(answers, number)])

    def _codes(self, answers: StepAnswers, number: int, name: str = "y") -> npt.NDArray[np.int64]:
        classes = self.classes[number]
        assert classes is not None

        def place(at: int) -> str:
            sample, step = answers.place(at)
            return f"{name}[{sample}] at step {step}"

        known = answers.known[:, number]
        return label_numbers(answers.columns[number], classes, place=place, asked=known)

    def decoded(self, scores: Array) -> Array:
        """Answers, (steps,) or (steps, columns), for scores (steps, outputs)."""
        found: list[Array] = []
        for column, classes, place in zip(self.columns, self.classes, self.places, strict=True):
            part = scores[:, place]
            if classes is None:
                found.append(part[:, 0] * column.spread + column.mean)
            else:
                found.append(classes[part.argmax(1)])
        if self.single:
            return found[0]
        if len({values.dtype.kind for values in found}) > 1:
            found = [values.astype(object) for values in found]
        return np.stack(found, axis=1)

    def chances(self, scores: Array) -> list[Array]:
        """For each column the probability of each of its labels, (steps, labels)."""
        return [np.asarray(softmax(scores[:, place], axis=1)) for place in self.places]


class StepLoss:
    """The mean loss over all answers that are known, with the number of right ones beside it.

    Cross entropy for labels, squared error for numbers (in units of their spread). A long
    sequence weighs more than a short one.
    """

    def __init__(self, columns: AnswerColumns, label_smoothing: float) -> None:
        self.columns, self.label_smoothing = columns, label_smoothing

    def __call__(self, network: nn.Module, batch: StepBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss, and sums of loss and right answers."""
        assert batch.targets is not None
        assert batch.counted is not None
        scores = scores_of(network, batch)
        loss, right = scores.new_zeros(()), scores.new_zeros(())
        for number, column in enumerate(self.columns.columns):
            counted = batch.counted[..., number]
            part = scores[counted][:, self.columns.places[number]]
            wanted = batch.targets[..., number][counted]
            if column.labels is None:
                loss = loss + (part[:, 0] - wanted).square().sum()
            else:
                smooth = self.label_smoothing
                loss = loss + cross_entropy(part, wanted, label_smoothing=smooth, reduction="sum")
                right = right + (part.argmax(1) == wanted).sum()
        sums = {"loss": loss.detach()}
        if self.columns.columns[0].labels is not None:
            sums["accuracy"] = right
        return loss / batch.counted.sum().clamp(min=1), sums


def scores_of(network: nn.Module, batch: StepBatch) -> Tensor:
    """What a network makes of a batch of numbers or of words, (batch, time, outputs)."""
    scores: Tensor
    if isinstance(batch, Batch):
        scores = network(batch.x, batch.lengths)
    else:
        letters = (batch.letters, batch.letter_counts, batch.spelled)
        scores = network(batch.words, batch.lengths, *letters)
    return scores
