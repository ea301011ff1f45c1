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

from cellwright.look.pictures import shortened

__all__ = ["draw_step_labels", "draw_step_numbers"]

_TRUTH, _PREDICTED, _WRONG = "#8a8a8a", "#1f6fb4", "#c0392b"
_MOST_STEPS, _MOST_WORDS, _MOST_IN_A_LEGEND = 400, 30, 20


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
    listed = len(classes) <= _MOST_IN_A_LEGEND
    tall = max(height * len(truth) + 0.9, 0.19 * len(classes) + 0.3 if listed else 0.0)
    figure = Figure(figsize=(10, tall), layout="constrained")
    panels = figure.subplots(len(truth), 1, squeeze=False)[:, 0]
    shades = mpl.colormaps["tab20"](np.arange(len(classes)) % 20)
    colours = ListedColormap(list(map(tuple, shades)))
    # Inches that the steps share: the names of the bands and the legend take the rest.
    wide = 8.8 - (0.09 * max(len(shortened(str(label))) for label in classes) if listed else 0)
    for number, axes in enumerate(panels):
        most = _MOST_WORDS if words is not None else _MOST_STEPS
        wanted, found = truth[number][:most], predicted[number][:most]
        bands = np.stack([np.searchsorted(classes, wanted), np.searchsorted(classes, found)])
        axes.imshow(
            bands, aspect="auto", cmap=colours, vmin=0, vmax=len(classes) - 1, interpolation="none"
        )
        if len(wanted) <= 40:
            _write_labels(axes, wanted, found, wide / len(wanted))
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
    if listed:
        handles = [
            mpl.patches.Patch(color=shade, label=shortened(str(label)))
            for shade, label in zip(shades, classes, strict=True)
        ]
        figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _write_labels(
    axes: Axes, truth: npt.NDArray[Any], predicted: npt.NDArray[Any], wide: float
) -> None:
    """Write each label where it stands; of what is wider than a step, beginning and end."""
    size = 7 if max(len(str(label)) for label in truth) < 3 else 5
    letters = max(2, int(72 * wide / (0.75 * size)))  # a letter is about 3/4 of its height wide
    for row, labels in enumerate((truth, predicted)):
        for step, label in enumerate(labels):
            shown = shortened(str(label), letters)
            axes.text(step, row, shown, ha="center", va="center", fontsize=size)


def draw_step_numbers(
    truth: Sequence[npt.NDArray[np.float64]],
    predicted: Sequence[npt.NDArray[np.float64]],
    *,
    names: Sequence[str],
) -> Figure:
    """One panel a sequence: the truth grey, the prediction blue, of long ones the first 400 steps.

    A number without neighbours is a dot.

    Parameters
    ----------
    truth, predicted
        Numbers of each sequence that is drawn, (time,); NaN where they are not known.
    names
        What each sequence is called.
    """
    figure = Figure(figsize=(10, 1.8 * len(truth) + 0.5), layout="constrained")
    for number, axes in enumerate(figure.subplots(len(truth), 1, squeeze=False)[:, 0]):
        for values, colour, label in (
            (truth[number][:_MOST_STEPS], _TRUTH, "truth"),
            (predicted[number][:_MOST_STEPS], _PREDICTED, "prediction"),
        ):
            axes.plot(values, color=colour, label=label)
            alone = _alone(values)
            axes.plot(alone, values[alone], ".", color=colour)
        axes.set_title(names[number], fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if not number:
            axes.legend(frameon=False)
    axes.set_xlabel("step")
    return figure


def _alone(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Steps with a number between steps without one, of which a line shows nothing."""
    known = np.pad(~np.isnan(values), 1)
    return np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])
