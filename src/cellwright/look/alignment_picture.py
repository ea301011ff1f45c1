"""Pictures of what was heard or read where: texts aligned to a waveform, strokes or features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["AlignedSpan", "draw_aligned_features", "draw_aligned_strokes", "draw_aligned_wave"]

AlignedSpan = tuple[str, float, float]
"""A symbol, where it begins, and where it ends: seconds of a wave, or steps."""

_COLOURS = ("#1f6fb4", "#c8553d")
_INK = "#3a3a3a"


def draw_aligned_wave(
    wave: npt.NDArray[Any], rate: int, spans: Sequence[AlignedSpan], title: str = ""
) -> Figure:
    """A waveform, and above it each symbol where it is heard.

    Parameters
    ----------
    wave
        (samples,).
    rate
        Samples a second.
    spans
        Symbols with their begin and end in seconds.
    title
        Stands above all.
    """
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.arange(len(wave)) / rate, wave, color=_INK, linewidth=0.5)
    axes.set_xlim(0, len(wave) / rate)
    axes.set_yticks([])
    axes.set_xlabel("seconds")
    _mark(axes, spans)
    axes.set_title(title, loc="left", pad=18)
    return figure


def draw_aligned_features(
    values: npt.NDArray[Any], spans: Sequence[AlignedSpan], title: str = ""
) -> Figure:
    """Features (time, features) as a map, and above it each symbol at its steps."""
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes = figure.subplots()
    extent = (0.0, float(len(values)), float(values.shape[1]), 0.0)
    axes.imshow(values.T, aspect="auto", cmap="Greys", interpolation="none", extent=extent)
    axes.set_yticks([])
    axes.set_xlabel("step")
    _mark(axes, spans)
    axes.set_title(title, loc="left", pad=18)
    return figure


def draw_aligned_strokes(
    moves: npt.NDArray[Any], spans: Sequence[AlignedSpan], title: str = ""
) -> Figure:
    """A pen's path, each symbol's part of it in colour and named where it begins.

    Parameters
    ----------
    moves
        (time, 2 or more): steps in x and y, added up to the path.
    spans
        Symbols with their first step and the one behind their last.
    title
        Stands above all.
    """
    path = np.asarray(moves, np.float64)[:, :2].cumsum(axis=0)
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(*path.T, color="#c9c9c9", linewidth=1)
    for number, (symbol, start, end) in enumerate(spans):
        # One point more on either side, so that a span of a single step is seen.
        part = path[max(0, int(start) - 1) : int(end) + 1]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(*part.T, color=colour, linewidth=2.2)
        axes.annotate(
            symbol, part[0], (0, 8), textcoords="offset points", color=colour, weight="bold"
        )
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_axis_off()
    axes.set_title(title, loc="left")
    return figure


def _mark(axes: Axes, spans: Sequence[AlignedSpan]) -> None:
    for number, (symbol, start, end) in enumerate(spans):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.axvspan(start, end, color=colour, alpha=0.25, linewidth=0)
        axes.annotate(
            symbol,
            ((start + end) / 2, 1.02),
            xycoords=("data", "axes fraction"),
            ha="center",
            color=colour,
            weight="bold",
        )
    axes.spines[["top", "right", "left"]].set_visible(False)
