"""Symbols are to be said again, much later."""

from __future__ import annotations

import numpy as np

from cellwright.data.tasks.drawing import at_least, one_hot
from cellwright.data.tasks.measures import chosen_classes
from cellwright.data.tasks.task import Criterion, Task, TaskData

__all__ = ["copy_memory"]


def copy_memory(delay: int = 100, *, length: int = 10, symbols: int = 8) -> Task:
    r"""Copy a sequence of symbols after a delay.

    The input is `length` symbols, then ``delay - 1`` blanks, a sign to begin, and `length`
    blanks; the answer is blanks until the sign, and behind it the symbols in their order.
    Input and output are classes: the symbols, the blank, and for the input the sign. Who
    remembers nothing but knows the time has a cross entropy of
    $\text{length} \cdot \ln(\text{symbols}) / (\text{delay} + 2\,\text{length})$.

    Parameters
    ----------
    delay
        $T$ of the paper, at least 1.
    length
        Symbols to copy, at least 1.
    symbols
        Kinds of symbols, at least 2.

    References
    ----------
    Arjovsky, Shah and Bengio, "Unitary evolution recurrent neural networks", ICML (2016),
    after experiment 2 of Hochreiter and Schmidhuber (1997).
    """
    delay = at_least("delay", delay, 1)
    length = at_least("length", length, 1)
    symbols = at_least("symbols", symbols, 2, "with one kind there is nothing to remember")
    steps, lag = delay + 2 * length, delay + length

    def make(count: int, generator: np.random.Generator) -> TaskData:
        shown = generator.integers(0, symbols, (count, length))
        inputs = np.full((count, steps), symbols)
        inputs[:, :length] = shown
        inputs[:, length + delay - 1] = symbols + 1
        targets = np.full((count, steps), symbols)
        targets[:, -length:] = shown
        return TaskData(one_hot(inputs, symbols + 2), targets, np.ones((count, steps), bool))

    return Task(
        name=f"copy_memory(delay={delay}, length={length}, symbols={symbols})",
        question=f"the first {length} symbols again, each {lag} steps after it stood there",
        source="Arjovsky et al. 2016",
        target="class a step",
        features=symbols + 2,
        outputs=symbols + 1,
        steps=steps,
        baseline=length * float(np.log(symbols)) / steps,
        criterion=Criterion(
            "the paper shows the cross entropy falling to zero; here at most one in a hundred of "
            "the symbols to copy is wrong",
            {"wrong": 0.01 * length / steps},
        ),
        measure=chosen_classes,
        make=make,
    )
