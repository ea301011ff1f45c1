"""Pictures of a training and of what a cell remembers. No global state, no screen."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter, ScalarFormatter
from sklearn.metrics import ConfusionMatrixDisplay
from torch import Tensor

from cellwright.storage import replace_file

__all__ = ["draw_confusion", "draw_learning_curve", "draw_signals", "save_picture"]

_TRAIN, _VALIDATION = "#8a8a8a", "#1f6fb4"


def draw_learning_curve(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Every measure by epoch, training grey and validation blue, the loss first.

    Parameters
    ----------
    history
        A row of measures for each epoch.
    """
    first = history[0] if history else {}
    parts = (("train", _TRAIN), ("validation", _VALIDATION))
    named = [
        name.removeprefix(f"{part}_")
        for part, _ in parts
        for name in first
        if name.startswith(part)
    ]
    measures = list(dict.fromkeys(["loss", *named]))[:3]
    figure = Figure(figsize=(4.5 * max(2, len(measures)), 3.4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        for part, colour in parts:
            name = f"{part}_{measure}"
            if name in first:
                label = "training" if part == "train" else part
                values = [row[name] for row in history]
                axes.plot(epochs, values, color=colour, marker="o", markersize=3, label=label)
        axes.set_xlabel("epoch")
        axes.set_title(measure.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if axes.lines:
            axes.legend(frameon=False)
    return figure


def draw_confusion(
    truth: npt.NDArray[Any], predicted: npt.NDArray[Any], classes: npt.NDArray[Any]
) -> Figure:
    """How often each label was predicted as each, counts, the truth downwards."""
    side = min(12.0, 3 + 0.42 * len(classes))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    display = ConfusionMatrixDisplay.from_predictions(
        truth,
        predicted,
        labels=classes,
        cmap="Blues",
        colorbar=False,
        ax=axes,
        include_values=len(classes) <= 30,
        xticks_rotation="vertical" if max(len(str(c)) for c in classes) > 2 else "horizontal",
    )
    right = float(np.mean(np.asarray(truth) == np.asarray(predicted)))
    display.ax_.set_title(f"{right:.2%} of {len(truth)} right")
    return figure


def draw_signals(
    signals: Mapping[str, Tensor],
    names: Sequence[str],
    *,
    sequence: npt.NDArray[Any] | None = None,
    ticks: Sequence[str] | None = None,
) -> Figure:
    """What a layer does while it reads one sequence: a heat map a signal, time to the right.

    Parameters
    ----------
    signals
        Name -> (time, units), one sample of a tape.
    names
        Which signals to draw, from the top.
    sequence
        The input, (time, features), drawn on top.
    ticks
        A word for each step, below the last map.
    """
    rows = len(names) + (sequence is not None)
    figure = Figure(figsize=(9, 1.25 * rows + 0.6), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(rows, 1, sharex=True)))
    if sequence is not None:
        axes[0].imshow(np.asarray(sequence).T, aspect="auto", cmap="Greys", interpolation="none")
        axes[0].set_ylabel("x", rotation=0, labelpad=12)
    for panel, name in zip(axes[rows - len(names) :], names, strict=True):
        values = signals[name].detach().cpu().numpy().T
        gate = values.min() >= 0 and values.max() <= 1
        limits = (0, 1) if gate else (-abs(values).max(), abs(values).max())
        image = panel.imshow(
            values,
            aspect="auto",
            cmap="viridis" if gate else "RdBu_r",
            vmin=limits[0],
            vmax=limits[1],
            interpolation="none",
        )
        panel.set_ylabel(name, rotation=0, labelpad=12)
        figure.colorbar(image, ax=panel, pad=0.01)
    for panel in axes:
        panel.set_yticks([])
    axes[-1].set_xlabel("step")
    if ticks is not None:
        axes[-1].set_xticks(range(len(ticks)), ticks)
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write a picture as PNG, whole or not at all; no text of it is a formula."""
    _write_plainly(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    replace_file(path, buffer.getvalue())


def _write_plainly(figure: Figure) -> None:
    """Let "$" be a dollar: words, labels and names are the user's, and few are formulas."""
    formulas: set[Artist] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), (LogFormatter, ScalarFormatter)):
                # Matplotlib's own: powers of ten.
                formulas |= set(axis.findobj(Text)) - {axis.label}
    for text in set(figure.findobj(Text)) - formulas:
        text.set_parse_math(False)
