"""Two numbers of a long sequence are marked, and their sum is asked for."""

from __future__ import annotations

import numpy as np

from cellwright.data.sequences import Sequences
from cellwright.data.tasks.drawing import at_least
from cellwright.data.tasks.marked import marked_pairs
from cellwright.data.tasks.measures import numbers_within
from cellwright.data.tasks.task import Criterion, Task, TaskData

__all__ = ["adding", "adding_1997"]


def adding(steps: int = 200) -> Task:
    r"""The adding problem in the form that is compared today.

    A step shows a number from $U(0, 1)$ and a marker, which is 1 at two steps, one in each
    half, and else 0. After the last step the sum of the two marked numbers is asked for.
    Always saying 1 has a mean squared error of $1/6 \approx 0.167$.

    Parameters
    ----------
    steps
        Steps of every sequence, at least 2.

    References
    ----------
    Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified linear
    units" (2015); Arjovsky, Shah and Bengio, "Unitary evolution recurrent neural networks",
    ICML (2016), who put one marker into each half; Bai, Kolter and Koltun, "An empirical
    evaluation of generic convolutional and recurrent networks for sequence modeling" (2018),
    whose LSTM stayed at 0.164 with 600 steps.
    """
    steps = at_least("steps", steps, 2, "two steps are marked")
    half = steps // 2

    def make(count: int, generator: np.random.Generator) -> TaskData:
        rows = np.arange(count)
        x = np.zeros((count, steps, 2), np.float32)
        x[:, :, 0] = generator.random((count, steps), dtype=np.float32)
        first = generator.integers(0, half, count)
        second = generator.integers(half, steps, count)
        x[rows, first, 1] = x[rows, second, 1] = 1
        return TaskData(Sequences(x), x[rows, first, :1] + x[rows, second, :1])

    return Task(
        name=f"adding(steps={steps})",
        question="the sum of the two numbers that are marked",
        source="Le et al. 2015; Arjovsky et al. 2016",
        target="number",
        features=2,
        outputs=1,
        steps=steps,
        baseline=1 / 6,
        criterion=Criterion("a mean squared error of at most 0.001", {"loss": 1e-3}),
        measure=numbers_within(0.04),
        make=make,
    )


def adding_1997(steps: int = 100) -> Task:
    r"""The adding problem as it was first posed.

    A step shows a number from $U(-1, 1)$ and a marker: 1 at two steps, −1 at the first and
    the last, else 0. The first marked number $X_1$ stands among the first ten, the second,
    $X_2$, elsewhere in the first half. After the last step $0.5 + (X_1 + X_2) / 4$ is asked
    for. The marker of the very first step is always −1; where $X_1$ would stand there, it
    counts as 0.

    Parameters
    ----------
    steps
        $T$, at least 24; a sequence has between $T$ and $1.1\,T$ steps.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997),
    experiment 4.
    """
    steps = at_least("steps", steps, 24, "the first marker stands within ten steps")

    def make(count: int, generator: np.random.Generator) -> TaskData:
        x, first, second = marked_pairs(count, steps, -1.0, 0.0, generator)
        return TaskData(x, (0.5 + (first + second) / 4)[:, None])

    return Task(
        name=f"adding_1997(steps={steps})",
        question="the sum of the two numbers that are marked, brought into 0 to 1",
        source="Hochreiter and Schmidhuber 1997, experiment 4",
        target="number",
        features=2,
        outputs=1,
        steps=steps + steps // 10,
        # The variance of (X1 + X2) / 4; X1 counts as 0 in one sequence of ten.
        baseline=(1 / 3 * 0.9 + 1 / 3) / 16,
        criterion=Criterion(
            "the paper stops when 2,000 sequences in a row are right (within 0.04) and their mean "
            "error is below 0.01, and finds 1 wrong in 2,560",
            {"wrong": 1 / 2560, "loss": 0.01},
        ),
        measure=numbers_within(0.04),
        make=make,
    )
