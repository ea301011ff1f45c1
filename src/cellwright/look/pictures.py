"""Pictures of a training and of what a cell remembers. No global state, no screen."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter, ScalarFormatter
from sklearn.metrics import ConfusionMatrixDisplay
from torch import Tensor

from cellwright.errors import ArgumentError, ShapeError, did_you_mean
from cellwright.look.fonts import give_fonts
from cellwright.storage import replace_file

__all__ = ["draw_confusion", "draw_learning_curve", "draw_signals", "save_picture", "shortened"]

_TRAIN, _VALIDATION = "#8a8a8a", "#1f6fb4"
_NO_NUMBER = "#000000"
_LETTERS = 24  # of a label
_POINTS = 7.0  # of room for each label beside a matrix
_LETTERS_IN_A_ROW = 100  # of words below a map


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
    """How often each label was predicted as each, counts, the truth downwards.

    Of a long label its beginning and end; of very many labels every second, third … is written.
    """
    shown = [shortened(str(label)) for label in classes]
    beside = 0.085 * max(map(len, shown))  # inches that labels take
    side = min(12.0, 3 + 0.42 * len(classes) + beside)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    display = ConfusionMatrixDisplay.from_predictions(
        truth,
        predicted,
        labels=classes,
        display_labels=shown,
        cmap="Blues",
        colorbar=False,
        ax=axes,
        include_values=len(classes) <= 30,
        xticks_rotation="vertical" if max(map(len, shown)) > 2 else "horizontal",
    )
    room = 72 * (side - 1 - beside) / len(classes)  # points
    every = math.ceil(_POINTS / room)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(range(0, len(shown), every), shown[::every])
        axis.set_tick_params(labelsize=min(10.0, room * every))
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

    Black is what is no finite number.

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

    Raises
    ------
    ArgumentError
        No signal is named, or one that is not there.
    ShapeError
        A signal is not that of one sample.
    """
    values = [_of_signal(signals, name) for name in names]
    if not values:
        raise ArgumentError(f"names: there is nothing to draw; known: {', '.join(signals)}")
    rows = len(names) + (sequence is not None)
    figure = Figure(figsize=(9, 1.25 * rows + 0.6), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(rows, 1, sharex=True)))
    if sequence is not None:
        axes[0].imshow(np.asarray(sequence).T, aspect="auto", cmap="Greys", interpolation="none")
        axes[0].set_ylabel("x", rotation=0, labelpad=12)
    for panel, name, value in zip(axes[rows - len(names) :], names, values, strict=True):
        known = value[np.isfinite(value)]
        gate = not np.isinf(value).any() and bool(((known >= 0) & (known <= 1)).all())
        greatest = 1.0 if gate else float(abs(known).max(initial=0.0)) or 1.0
        image = panel.imshow(
            value.T,
            aspect="auto",
            cmap=mpl.colormaps["viridis" if gate else "RdBu_r"].with_extremes(bad=_NO_NUMBER),
            vmin=0.0 if gate else -greatest,
            vmax=greatest,
            interpolation="none",
        )
        panel.set_ylabel(name, rotation=0, labelpad=12)
        figure.colorbar(image, ax=panel, pad=0.01)
    for panel in axes:
        panel.set_yticks([])
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    if ticks is not None:
        long = sum(len(word) + 1 for word in ticks) > _LETTERS_IN_A_ROW
        axes[-1].set_xticks(range(len(ticks)), ticks, rotation="vertical" if long else "horizontal")
    return figure


def _of_signal(signals: Mapping[str, Tensor], name: str) -> npt.NDArray[np.float64]:
    """The numbers of a signal, (time, units)."""
    if name not in signals:
        raise ArgumentError(
            f"names: there is no signal {name!r}.{did_you_mean(name, signals)} Known: "
            f"{', '.join(signals)}"
        )
    signal = signals[name]
    if signal.dim() != 2:
        raise ShapeError(
            f"signal {name!r}: expected (time, units) of one sample, got {tuple(signal.shape)}"
        )
    values: npt.NDArray[np.float64] = signal.detach().double().cpu().numpy()
    return values


def shortened(label: str, letters: int = _LETTERS) -> str:
    """A label of at most so many letters; of a longer one its beginning and its end.

    >>> shortened("a label that is rather long", 11)
    'a lab… long'
    """
    if len(label) <= letters:
        return label
    end = (letters - 1) // 2
    return f"{label[: letters - 1 - end]}…{label[len(label) - end :]}"


def save_picture(figure: Figure, path: Path) -> None:
    """Write a picture as PNG, whole or not at all; no text of it is a formula.

    Texts in scripts that matplotlib's own font lacks are written in fonts of the machine.
    """
    _write_plainly(figure)
    texts = set(figure.findobj(Text))
    for axes in figure.axes:
        texts.update(axes.get_xticklabels(), axes.get_yticklabels())
    give_fonts(texts)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)  # said already
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
