"""What a task is: sequences drawn at will, what is asked of them, and when it is solved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from cellwright.arguments import as_whole
from cellwright.data.sequences import Sequences
from cellwright.data.tasks.drawing import generator_of
from cellwright.errors import SettingError, ShapeError

__all__ = ["Criterion", "Parts", "Seed", "Target", "Task", "TaskData"]

Seed: TypeAlias = int | Sequence[int]
Target: TypeAlias = Literal["number", "class", "class a step", "labels a step"]


@dataclass(frozen=True, eq=False)
class TaskData:
    """Sequences with what is to be answered.

    Attributes
    ----------
    x
        The sequences.
    targets
        By the task's kind of target: numbers (sample, output); classes (sample,); a class a
        step (sample, time); or truths (sample, time, output). Behind the end of a sequence
        stand zeros.
    counted
        Which steps count, (sample, time), for targets at every step; else None.
    possible
        Where several classes are right: which, (sample, time, output); else None.
    """

    x: Sequences
    targets: npt.NDArray[Any]
    counted: npt.NDArray[np.bool_] | None = None
    possible: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def answers(self) -> int:
        """How many answers are asked for: one a sample, or one for each step that counts."""
        return len(self) if self.counted is None else int(self.counted.sum())

    def take(self, rows: npt.NDArray[np.int64]) -> TaskData:
        """The samples of these rows."""
        return TaskData(
            self.x.take(rows),
            self.targets[rows],
            None if self.counted is None else self.counted[rows],
            None if self.possible is None else self.possible[rows],
        )


@dataclass(frozen=True, eq=False)
class Parts:
    """A task's data where they are given and not drawn."""

    training: TaskData
    validation: TaskData
    test: TaskData


@dataclass(frozen=True)
class Criterion:
    """When a task counts as solved.

    Attributes
    ----------
    text
        In words, with the source.
    limits
        Measure -> the greatest value that is allowed.
    """

    text: str
    limits: Mapping[str, float]

    def met(self, measures: Mapping[str, float], *, margin: float = 1.0) -> bool:
        """Whether every measure is at most `margin` times its limit."""
        return all(measures[name] <= margin * limit for name, limit in self.limits.items())


@dataclass(frozen=True, eq=False)
class Task:
    """A task of the literature.

    Attributes
    ----------
    name
        With its options, such as ``"adding(steps=200)"``; some stand there only where they are
        not as usual. Tasks of one name are the same task: a training is resumed by it.
    question
        What a network is asked.
    source
        Who posed it.
    target
        ``"number"``, ``"class"``, ``"class a step"`` or ``"labels a step"``.
    features, outputs
        Numbers that go in at each step, and that come out: of an answer that is a number,
        its size; else one for each class or label.
    steps
        Steps of the longest sequence; None where there is no longest.
    baseline
        Loss of the best answer that knows the step, and nothing else of the sequence; where the
        data are given, of one that says at every step of the test part how frequent each label
        is in the training part.
    criterion
        When it counts as solved.
    measure
        Answers and data -> measures; see the method `score`.
    make
        How many and a random generator -> data; see the method `draw`.
    main
        The measure to compare networks by; small values are good.
    predicts_next
        Whether the answer at a step is what the next step shows; a network that reads from
        both ends would only have to look.
    parts
        Training, validation and test, where the data are given and not drawn.
    """

    name: str
    question: str
    source: str
    target: Target
    features: int
    outputs: int
    steps: int | None
    baseline: float
    criterion: Criterion
    measure: Callable[[npt.NDArray[Any], TaskData], dict[str, float]] = field(repr=False)
    make: Callable[[int, np.random.Generator], TaskData] = field(repr=False)
    main: str = "loss"
    predicts_next: bool = False
    parts: Parts | None = field(default=None, repr=False)

    def draw(self, count: int, seed: Seed) -> TaskData:
        """Draw sequences and what is to be answered; the same seed draws the same.

        Parameters
        ----------
        count
            How many sequences.
        seed
            A whole number from 0, or several of them, at whose end zeros count for nothing.
            `cellwright.jobs.learn` draws with several; what a single number draws, no several
            of up to four draw.

        Raises
        ------
        SettingError
            `count` or `seed` cannot be used.
        """
        number = as_whole(count)
        if number is None or number < 1:
            raise SettingError(f"count={count!r}: draw at least one sequence")
        return self.make(number, generator_of(seed))

    def score(self, answers: npt.ArrayLike, data: TaskData) -> dict[str, float]:
        """Measure the answers of a network.

        Parameters
        ----------
        answers
            What came out: (sample, output), or (sample, time, output) for answers at every
            step; scores before a softmax or sigmoid where the target is a class or labels.
        data
            What was asked.

        Returns
        -------
        dict
            ``"loss"``: mean squared error, cross entropy, or the binary cross entropy summed
            over labels, as a mean over the answers that count, in nats. ``"wrong"``: share of
            answers that are wrong as the task's source sees it, where it does; NaN is always wrong.

        Raises
        ------
        ShapeError
            The answers do not fit the data.
        """
        found = np.asarray(answers, np.float64)
        lead = data.targets.shape[:1] if data.counted is None else data.counted.shape
        if found.shape != (*lead, self.outputs):
            axes = "sample" if data.counted is None else "sample, time"
            raise ShapeError(
                f"answers: expected ({axes}, output) = {(*lead, self.outputs)}, got {found.shape}"
            )
        return self.measure(found, data)

    def solved(self, measures: Mapping[str, float]) -> bool:
        """Whether these measures meet the criterion."""
        return self.criterion.met(measures)
