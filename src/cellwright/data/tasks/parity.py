"""Is the number of ones odd? Every step changes the answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellwright.arguments import as_real
from cellwright.data.tasks.drawing import cut, unless_usual, whole_range
from cellwright.data.tasks.measures import chosen_classes
from cellwright.data.tasks.task import Criterion, Task, TaskData
from cellwright.errors import SettingError

__all__ = ["parity"]


def parity(
    steps: int | Sequence[int] = (25, 50), *, noise: float = 0.0, every_step: bool = False
) -> Task:
    """Tell whether the number of ones among ones and minus ones is odd.

    Parameters
    ----------
    steps
        Steps of a sequence, or the least and greatest number of them.
    noise
        Greatest number that is added to an input or taken away, uniformly; below 1.
    every_step
        Ask at every step for the parity so far, which is far easier to learn; else once,
        after the last step.

    References
    ----------
    Bengio, Simard and Frasconi, "Learning long-term dependencies with gradient descent is
    difficult", IEEE Transactions on Neural Networks 5 (1994), with 25 to 50 steps, and noise
    of 0.2 in some runs.
    """
    least, most = whole_range("steps", steps, 1)
    span = as_real(noise)
    if span is None or not 0 <= span < 1:
        raise SettingError(f"noise={noise!r}: must be from 0 to below 1, or signs would change")

    def make(count: int, generator: np.random.Generator) -> TaskData:
        lengths = generator.integers(least, most, count, endpoint=True)
        ones = generator.integers(0, 2, (count, int(lengths.max())))
        so_far = ones.cumsum(1) % 2
        values = (2 * ones - 1 + generator.uniform(-span, span, ones.shape)).astype(np.float32)
        x = cut(values[..., None], lengths)
        if not every_step:
            return TaskData(x, so_far[np.arange(count), lengths - 1])
        counted = np.arange(ones.shape[1]) < lengths[:, None]
        return TaskData(x, np.where(counted, so_far, 0), counted)

    shown = f"{least} to {most}" if least < most else f"{most}"
    options = unless_usual("noise", span, 0.0) + unless_usual("every_step", bool(every_step), False)
    return Task(
        name=f"parity(steps={shown}{options})",
        question="whether the number of ones is odd" + (", at every step" if every_step else ""),
        source="Bengio, Simard and Frasconi 1994",
        target="class a step" if every_step else "class",
        features=1,
        outputs=2,
        steps=most,
        baseline=float(np.log(2)),
        criterion=Criterion("every answer is right, on sequences drawn anew", {"wrong": 0.0}),
        measure=chosen_classes,
        make=make,
    )
