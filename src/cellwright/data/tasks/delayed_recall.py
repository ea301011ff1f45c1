"""One symbol is shown at the start and asked for at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellwright.data.tasks.drawing import at_least, one_hot, unless_usual, whole_range
from cellwright.data.tasks.measures import sure_classes
from cellwright.data.tasks.task import Criterion, Task, TaskData

__all__ = ["delayed_recall"]


def delayed_recall(
    steps: int | Sequence[int] = (100, 110), *, symbols: int = 2, distractors: int = 4
) -> Task:
    """Recall the first symbol after many others.

    The first step shows one of `symbols`, the last a sign that asks for it, and those between
    any of the distractors. A symbol is a vector with a single 1: what is to be kept first,
    then the distractors, then the sign.

    Parameters
    ----------
    steps
        Steps of a sequence, at least 2, or the least and greatest number of them.
    symbols
        Kinds that are to be kept apart, at least 2.
    distractors
        Kinds of distractors, at least 1.

    References
    ----------
    After experiment 2c of Hochreiter and Schmidhuber, "Long short-term memory", Neural
    Computation 9 (1997): long lags, random distractors, no local regularity.
    """
    least, most = whole_range("steps", steps, 2, "the first step shows, the last asks")
    symbols = at_least("symbols", symbols, 2, "with one there is nothing to remember")
    distractors = at_least("distractors", distractors, 1)
    kinds = symbols + distractors + 1

    def make(count: int, generator: np.random.Generator) -> TaskData:
        lengths = generator.integers(least, most, count, endpoint=True)
        shown = generator.integers(symbols, kinds - 1, (count, int(lengths.max())))
        first = generator.integers(0, symbols, count)
        shown[:, 0] = first
        shown[np.arange(count), lengths - 1] = kinds - 1
        return TaskData(one_hot(shown, kinds, lengths), first)

    lag = f"{least} to {most}" if least < most else f"{most}"
    options = unless_usual("distractors", distractors, 4)
    return Task(
        name=f"delayed_recall(steps={lag}, symbols={symbols}{options})",
        question=f"which of {symbols} symbols stood at the first step",
        source="after Hochreiter and Schmidhuber 1997, experiment 2c",
        target="class",
        features=kinds,
        outputs=symbols,
        steps=most,
        baseline=float(np.log(symbols)),
        criterion=Criterion(
            "as in the paper no output is off by 0.25 or more, in any sequence", {"wrong": 0.0}
        ),
        measure=sure_classes(0.25),
        make=make,
    )
