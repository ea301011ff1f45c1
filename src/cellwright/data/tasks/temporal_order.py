"""A few symbols matter among many, and it matters which came first."""

from __future__ import annotations

from functools import partial

import numpy as np

from cellwright.arguments import as_whole
from cellwright.data.tasks.drawing import at_least, one_hot
from cellwright.data.tasks.measures import sure_classes
from cellwright.data.tasks.task import Criterion, Task, TaskData
from cellwright.errors import SettingError

__all__ = ["temporal_order"]

ALPHABET = "EBabcdXY"
"""The symbols, in the order of the features: start, end, distractors, and what matters."""

# Where each symbol that matters may stand, in hundredths of the steps, both ends included.
_WINDOWS = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}


def temporal_order(relevant: int = 2, *, steps: int = 100) -> Task:
    """Tell in which order the symbols X and Y appeared, among a hundred others.

    A sequence starts with E and ends with B; between them stand a, b, c and d at random, but
    for two or three places that hold X or Y: of 100 steps, counted from 0, one of 10 to 20
    and one of 50 to 60; or one of 10 to 20, of 33 to 43 and of 66 to 76. The class is the
    order: XX, XY, YX, YY, or XXX to YYY in the order of the alphabet. A symbol is a vector
    with a single 1, for E, B, a, b, c, d, X and Y.

    Parameters
    ----------
    relevant
        Symbols that matter: 2 (experiment 6a, 4 classes) or 3 (6b, 8 classes).
    steps
        A sequence has between `steps` and 1.1 times as many, at least 10; the places move in
        proportion.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997),
    experiment 6.
    """
    number = as_whole(relevant)
    if number not in _WINDOWS:
        raise SettingError(f"relevant={relevant!r}: must be 2 (experiment 6a) or 3 (6b)")
    relevant = number
    steps = at_least("steps", steps, 10)
    experiment = "6a" if relevant == 2 else "6b"
    return Task(
        name=f"temporal_order_{experiment}" + (f"(steps={steps})" if steps != 100 else ""),
        question=f"the order of the {relevant} symbols X or Y among distractors",
        source=f"Hochreiter and Schmidhuber 1997, experiment {experiment}",
        target="class",
        features=len(ALPHABET),
        outputs=2**relevant,
        steps=steps + steps // 10,
        baseline=relevant * float(np.log(2)),
        criterion=Criterion(
            "the paper stops when 2,000 sequences in a row are right (every output within 0.3) "
            f"and their mean error is below 0.1, and finds {relevant - 1} wrong in 2,560; here "
            "at most 2",
            {"wrong": 2 / 2560, "loss": 0.1},
        ),
        measure=sure_classes(0.3),
        make=partial(_make, relevant, steps),
    )


def _make(relevant: int, steps: int, count: int, generator: np.random.Generator) -> TaskData:
    rows = np.arange(count)
    lengths = generator.integers(steps, steps + steps // 10, count, endpoint=True)
    first = ALPHABET.index("a")
    symbols = generator.integers(first, ALPHABET.index("X"), (count, int(lengths.max())))
    symbols[:, 0] = ALPHABET.index("E")
    symbols[rows, lengths - 1] = ALPHABET.index("B")
    classes = np.zeros(count, np.int64)
    for low, high in _WINDOWS[relevant]:
        places = generator.integers(low * steps // 100, high * steps // 100, count, endpoint=True)
        second = generator.integers(0, 2, count)
        symbols[rows, places] = ALPHABET.index("X") + second
        classes = 2 * classes + second
    return TaskData(one_hot(symbols, len(ALPHABET), lengths), classes)
