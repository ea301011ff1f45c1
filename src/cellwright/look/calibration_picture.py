"""Whether a probability means what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

__all__ = ["calibration_error", "draw_calibration"]

_BINS = 10
_BLUE, _GREY = "#1f6fb4", "#8a8a8a"


def calibration_error(
    right: npt.NDArray[np.bool_], confidence: npt.NDArray[np.float64], bins: int = _BINS
) -> float:
    r"""The expected calibration error of the most probable class.

    $$\sum_b \frac{n_b}{n}\,\bigl|\mathrm{right}_b - \mathrm{confidence}_b\bigr|$$

    over `bins` equal ranges of the confidence, the probability of what is predicted.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML (2017).
    """
    counts, shares, means = _binned(right, confidence, bins)
    return float((counts * np.abs(shares - means)).sum() / counts.sum())


def draw_calibration(
    truth: npt.NDArray[Any],
    chances: npt.NDArray[np.float64],
    classes: npt.NDArray[Any],
) -> Figure:
    """How often a prediction of some probability is right, and how many are so sure.

    Parameters
    ----------
    truth
        The label of each sample, (sample,).
    chances
        Probability of each class, (sample, class).
    classes
        The labels in the order of `chances`.
    """
    confidence = chances.max(1)
    right = classes[chances.argmax(1)] == truth
    _, shares, means = _binned(right, confidence, _BINS)
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=_GREY, linewidth=1)
    upper.plot(means, shares, "o-", color=_BLUE)
    error = calibration_error(right, confidence)
    upper.set(ylabel="share that is right", title=f"calibration error {error:.4f}")
    lower.hist(confidence, bins=np.linspace(0, 1, _BINS + 1), color=_BLUE)
    lower.set(xlabel="probability of what is predicted", ylabel="samples", xlim=(0, 1.02))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    return figure


def _binned(
    right: npt.NDArray[np.bool_], confidence: npt.NDArray[np.float64], bins: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each range that holds samples: how many, the share that is right, mean confidence."""
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    there = counts > 0
    shares = np.bincount(place, right, minlength=bins)[there] / counts[there]
    means = np.bincount(place, confidence, minlength=bins)[there] / counts[there]
    return counts[there], shares, means
