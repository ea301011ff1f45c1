"""How answers are measured, for each kind of target; plain numpy, whoever gave the answers.

Each function takes answers as `Task.score` does, and returns means over the answers that
count. An answer that holds NaN is wrong: comparisons ask what is right, which NaN never is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cellwright.data.tasks.task import TaskData

__all__ = ["chosen_classes", "label_sets", "numbers_within", "possible_classes", "sure_classes"]

Floats: TypeAlias = npt.NDArray[np.float64]
Measure: TypeAlias = Callable[[npt.NDArray[Any], TaskData], dict[str, float]]


def numbers_within(tolerance: float) -> Measure:
    """Squared error; an answer is wrong if it is off by `tolerance` or more."""

    def measure(answers: Floats, data: TaskData) -> dict[str, float]:
        off = np.abs(answers - data.targets)
        wrong = ~(off < tolerance).all(-1)
        return {"loss": float(np.square(off).mean()), "wrong": float(wrong.mean())}

    return measure


def sure_classes(tolerance: float) -> Measure:
    """Cross entropy; wrong if the probability of any class is off by `tolerance` or more."""

    def measure(answers: Floats, data: TaskData) -> dict[str, float]:
        scores, targets = _counted(answers, data)
        off = np.abs(np.exp(_log_softmax(scores)) - np.eye(scores.shape[-1])[targets])
        return {
            "loss": _cross_entropy(scores, targets),
            "wrong": float((~(off < tolerance).all(-1)).mean()),
        }

    return measure


def chosen_classes(answers: Floats, data: TaskData) -> dict[str, float]:
    """Cross entropy; wrong if another class has a higher score."""
    scores, targets = _counted(answers, data)
    # argmax takes NaN for the greatest of all, which would be right now and then.
    wrong = (scores.argmax(-1) != targets) | np.isnan(scores).any(-1)
    return {"loss": _cross_entropy(scores, targets), "wrong": float(wrong.mean())}


def possible_classes(answers: Floats, data: TaskData) -> dict[str, float]:
    """Cross entropy; wrong if a class that is not possible scores as high as one that is."""
    assert data.counted is not None
    assert data.possible is not None
    scores, targets = _counted(answers, data)
    possible = data.possible[data.counted]
    least = np.where(possible, scores, np.inf).min(-1)
    most = np.where(possible, -np.inf, scores).max(-1)
    wrong = ~(least > most)
    in_sequence = np.zeros(data.counted.shape, bool)
    in_sequence[data.counted] = wrong
    return {
        "loss": _cross_entropy(scores, targets),
        "wrong": float(wrong.mean()),
        "wrong_sequences": float(in_sequence.any(1).mean()),
    }


def label_sets(answers: Floats, data: TaskData) -> dict[str, float]:
    """Binary cross entropy, summed over the labels of a step."""
    scores, targets = _counted(answers, data)
    # log(1 + exp(m)) of a score m for what is not so, in a form that never overflows.
    mistaken = np.where(targets > 0, -scores, scores)
    entropy = np.maximum(mistaken, 0) + np.log1p(np.exp(-np.abs(mistaken)))
    return {"loss": float(entropy.sum(-1).mean())}


def _counted(answers: Floats, data: TaskData) -> tuple[Floats, npt.NDArray[Any]]:
    if data.counted is None:
        return answers, data.targets
    return answers[data.counted], data.targets[data.counted]


def _log_softmax(scores: Floats) -> Floats:
    greatest = scores.max(-1, keepdims=True)
    # The greatest less itself is 0, also where it is infinite and subtracting would give NaN.
    shifted = np.zeros_like(scores)
    np.subtract(scores, greatest, out=shifted, where=scores != greatest)
    total: Floats = np.exp(shifted).sum(-1, keepdims=True)
    logs: Floats = shifted - np.log(total)
    return logs


def _cross_entropy(scores: Floats, targets: npt.NDArray[np.int64]) -> float:
    picked = np.take_along_axis(_log_softmax(scores), targets[..., None], -1)
    return float(-picked.mean())
