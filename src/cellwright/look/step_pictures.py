"""Truth and prediction over time, for answers at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

__all__ = ["draw_step_labels", "draw_step_numbers"]

_TRUTH, _PREDICTED, _WRONG = "#8a8a8a", "#1f6fb4", "#c0392b"
_MOST_STEPS, _MOST_WORDS = 400, 30


def draw_step_labels(
    truth: Sequence[npt.NDArray[Any]],
    predicted: Sequence[npt.NDArray[Any]],
    classes: npt.NDArray[Any],
    *,
    names: Sequence[str],
    words: Sequence[Sequence[str]] | None = None,
) -> Figure:
    """Two bands a sequence, the truth above the prediction, a colour a label; wrong steps ticked.

    Parameters
    ----------
    truth, predicted
        Labels of each sequence that is drawn, (time,); of long ones the first 400 steps.
    classes
        All labels.
    names
        What each sequence is called.
    words
        The words of each, written below it, where it has any.
    """
    height = 1.3 if words is None else 2.2
    figure = Figure(figsize=(10, height * len(truth) + 0.9), layout="constrained")
    panels = figure.subplots(len(truth), 1, squeeze=False)[:, 0]
    shades = mpl.colormaps["tab20"](np.arange(len(classes)) % 20)
    colours = ListedColormap(list(map(tuple, shades)))
    for number, axes in enumerate(panels):
        most = _MOST_WORDS if words is not None else _MOST_STEPS
        wanted, found = truth[number][:most], predicted[number][:most]
        bands = np.stack([np.searchsorted(classes, wanted), np.searchsorted(classes, found)])
        axes.imshow(
            bands, aspect="auto", cmap=colours, vmin=0, vmax=len(classes) - 1, interpolation="none"
        )
        if len(wanted) <= 40:
            _write_labels(axes, wanted, found)
        wrong = np.flatnonzero(wanted != found)
        if len(wrong):
            below = np.full(len(wrong), 1.62)
            axes.plot(wrong, below, "|", color=_WRONG, markersize=6, clip_on=False)
        axes.set_yticks([0, 1], ["truth", "prediction"])
        right = 1 - len(wrong) / len(wanted)
        axes.set_title(f"{names[number]}: {right:.1%} of {len(wanted)} steps right", fontsize=9)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if words is not None:
            shown = words[number][:most]
            axes.set_xticks(range(len(shown)), shown, rotation=60, ha="right", fontsize=7)
    if words is None:
        panels[-1].set_xlabel("step")
    if len(classes) <= 20:
        handles = [
            mpl.patches.Patch(color=shade, label=str(label))
            for shade, label in zip(shades, classes, strict=True)
        ]
        figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _write_labels(axes: Axes, truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> None:
    size = 7 if max(len(str(label)) for label in truth) < 3 else 5
    for row, labels in enumerate((truth, predicted)):
        for step, label in enumerate(labels):
            axes.text(step, row, str(label), ha="center", va="center", fontsize=size)


def draw_step_numbers(
    truth: Sequence[npt.NDArray[np.float64]],
    predicted: Sequence[npt.NDArray[np.float64]],
    *,
    names: Sequence[str],
) -> Figure:
    """One panel a sequence: the truth grey, the prediction blue, of long ones the first 400 steps.

    Parameters
    ----------
    truth, predicted
        Numbers of each sequence that is drawn, (time,); NaN where they are not known.
    names
        What each sequence is called.
    """
    figure = Figure(figsize=(10, 1.8 * len(truth) + 0.5), layout="constrained")
    for number, axes in enumerate(figure.subplots(len(truth), 1, squeeze=False)[:, 0]):
        axes.plot(truth[number][:_MOST_STEPS], color=_TRUTH, label="truth")
        axes.plot(predicted[number][:_MOST_STEPS], color=_PREDICTED, label="prediction")
        axes.set_title(names[number], fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if not number:
            axes.legend(frameon=False)
    axes.set_xlabel("step")
    return figure
