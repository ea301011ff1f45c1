"""Strings of a grammar inside a frame that must be remembered."""

from __future__ import annotations

import numpy as np

from cellwright.data.tasks.drawing import one_hot
from cellwright.data.tasks.measures import possible_classes
from cellwright.data.tasks.task import Criterion, Task, TaskData

__all__ = ["ALPHABET", "embedded_reber"]

ALPHABET = "BTPSXVE"
"""The symbols, in the order of features and outputs."""

# Reber's grammar: in each place, what may be written, and the place that it leads to.
_REBER = (
    (("B", 1),),
    (("T", 2), ("P", 3)),
    (("S", 2), ("X", 4)),
    (("T", 3), ("V", 5)),
    (("X", 3), ("S", 6)),
    (("P", 4), ("V", 6)),
    (("E", 7),),
)


def _embedded() -> list[list[tuple[int, int]]]:
    """The grammar in its frame: place -> [(symbol, next place)], the end being the last place."""
    size = len(_REBER) + 1  # with the place behind the grammar, where the frame closes
    closing, end = 2 + 2 * size, 3 + 2 * size
    places: list[list[tuple[str, int]]] = [[("B", 1)], [("T", 2), ("P", 2 + size)]]
    for frame, start in (("T", 2), ("P", 2 + size)):
        places += [[(symbol, start + place) for symbol, place in choices] for choices in _REBER]
        places.append([(frame, closing)])
    places.append([("E", end)])
    return [[(ALPHABET.index(symbol), place) for symbol, place in choices] for choices in places]


_PLACES = _embedded()
_END = len(_PLACES)
# Two choices everywhere, equal where there is but one; at the end nothing moves any more.
_SYMBOLS = np.array([[c[0][0], c[-1][0]] for c in _PLACES] + [[0, 0]])
_NEXT = np.array([[c[0][1], c[-1][1]] for c in _PLACES] + [[_END, _END]])
_POSSIBLE = np.zeros((_END + 1, len(ALPHABET)), bool)
for _place, _choices in enumerate(_PLACES):
    _POSSIBLE[_place, [symbol for symbol, _ in _choices]] = True


def embedded_reber() -> Task:
    """Predict the next symbol of the embedded Reber grammar.

    A string is B, then T or P, then a string of Reber's grammar, then the same T or P again,
    then E: what closes the frame depends on the second symbol alone, six steps before it or
    more. Wherever the grammar leaves a choice, both symbols are equally likely. A sequence
    is a string without its last symbol; the answer at each step is the symbol that follows,
    and right is who gives every symbol that may follow a higher score than any that may not.

    References
    ----------
    Fahlman, "The recurrent cascade-correlation architecture", NIPS 3 (1991); Smith and Zipser
    (1989); Cleeremans, Servan-Schreiber and McClelland (1989); Hochreiter and Schmidhuber,
    "Long short-term memory", Neural Computation 9 (1997), experiment 1, with a training and a
    test set of 256 strings; here strings are drawn anew.
    """
    return Task(
        name="embedded_reber",
        question="which symbols may come next",
        source="Fahlman 1991; Hochreiter and Schmidhuber 1997, experiment 1",
        target="class a step",
        features=len(ALPHABET),
        outputs=len(ALPHABET),
        steps=None,
        baseline=_entropy_of_steps(),
        criterion=Criterion(
            "as in the paper, at every step of every string all symbols that may come next are "
            "more active than all that may not",
            {"wrong": 0.0},
        ),
        measure=possible_classes,
        make=_make,
        predicts_next=True,
    )


def _make(count: int, generator: np.random.Generator) -> TaskData:
    place, columns, visited = np.zeros(count, np.int64), [], []
    while (place != _END).any():
        choice = generator.integers(0, 2, count)
        columns.append(np.where(place == _END, -1, _SYMBOLS[place, choice]))
        place = _NEXT[place, choice]
        visited.append(place)
    strings = np.stack(columns, 1)
    counted = strings[:, 1:] >= 0
    possible = _POSSIBLE[np.stack(visited, 1)[:, :-1]]
    x = one_hot(np.maximum(strings[:, :-1], 0), len(ALPHABET), counted.sum(1))
    return TaskData(x, np.where(counted, strings[:, 1:], 0), counted, possible)


def _entropy_of_steps() -> float:
    """Cross entropy of who says at every step how frequent each symbol is there."""
    moves, written = np.zeros((_END, _END + 1)), np.zeros((_END, len(ALPHABET)))
    for choice in (0, 1):
        np.add.at(moves, (np.arange(_END), _NEXT[:_END, choice]), 0.5)
        np.add.at(written, (np.arange(_END), _SYMBOLS[:_END, choice]), 0.5)
    entropy = steps = 0.0
    place = moves[0, :_END]  # how likely each place is; the first symbol is given
    while (going_on := place.sum()) > 1e-15:
        counts = place @ written
        counts = counts[counts > 0]
        entropy -= (counts * np.log(counts / going_on)).sum()
        steps += going_on
        place = place @ moves[:, :_END]
    return float(entropy / steps)
