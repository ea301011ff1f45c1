"""Two numbers of a long sequence are marked, and their product is asked for."""

from __future__ import annotations

import numpy as np

from cellwright.data.tasks.drawing import at_least, unless_usual
from cellwright.data.tasks.marked import marked_pairs
from cellwright.data.tasks.measures import numbers_within
from cellwright.data.tasks.task import Criterion, Task, TaskData

__all__ = ["multiplication"]


def multiplication(steps: int = 100, *, wrong_of_2000: int = 140) -> Task:
    r"""The multiplication problem: not to be solved by adding up.

    As `adding_1997`, but with numbers from $U(0, 1)$, and the product of the marked two is
    asked for. Where the first would stand at the very first step, it counts as 1.

    Parameters
    ----------
    steps
        $T$, at least 24; a sequence has between $T$ and $1.1\,T$ steps.
    wrong_of_2000
        Of 2,000 answers, fewer than so many may be wrong; the paper has runs with 140 and 13.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997),
    experiment 5.
    """
    steps = at_least("steps", steps, 24, "the first marker stands within ten steps")
    allowed = at_least("wrong_of_2000", wrong_of_2000, 1) - 1

    def make(count: int, generator: np.random.Generator) -> TaskData:
        x, first, second = marked_pairs(count, steps, 0.0, 1.0, generator)
        return TaskData(x, (first * second)[:, None])

    return Task(
        name=f"multiplication(steps={steps}{unless_usual('wrong_of_2000', allowed + 1, 140)})",
        question="the product of the two numbers that are marked",
        source="Hochreiter and Schmidhuber 1997, experiment 5",
        target="number",
        features=2,
        outputs=1,
        steps=steps + steps // 10,
        # E[X1²] E[X2²] − (E[X1] E[X2])², where X1 counts as 1 in one sequence of ten.
        baseline=(0.9 / 3 + 0.1) / 3 - ((0.9 / 2 + 0.1) / 2) ** 2,
        criterion=Criterion(
            f"the paper stops when fewer than {wrong_of_2000} of 2,000 sequences are wrong, that "
            f"is, off by 0.04 or more",
            {"wrong": allowed / 2000},
        ),
        measure=numbers_within(0.04),
        make=make,
    )
