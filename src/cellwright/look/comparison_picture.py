"""Cells beside each other: what every seed reached, and how it got there."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["Series", "draw_comparison"]

# Okabe and Ito (2008): told apart by people who see few colours, too.
_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"),
    *("#7A5195", "#8A8A8A", "#A0522D"),
)
_DASHES = ("-", "--", ":", "-.")
_MOST_IN_A_LEGEND = 12  # more are listed beside the curves, not on them
_LETTERS, _LINES = 30, 3  # of a label


class _Interval(Protocol):
    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclass(frozen=True)
class Series:
    """What is drawn of one cell.

    Attributes
    ----------
    label
        Its name.
    values
        The measure of each seed.
    interval
        Their mean, and between what it lies.
    curves
        For each seed (samples seen, measure) after each epoch.
    """

    label: str
    values: Sequence[float]
    interval: _Interval
    curves: Sequence[Sequence[tuple[int, float]]]


def draw_comparison(
    series: Sequence[Series], *, title: str, measure: str, curve_name: str
) -> Figure:
    """The measure by cell, seeds as dots with mean and interval; learning curves beside it.

    Parameters
    ----------
    series
        The cells, from the top.
    title
        What was learned.
    measure
        Name of the measure.
    curve_name
        What the learning curves show.
    """
    series = [replace(one, label=_wrapped(one.label)) for one in series]
    lines = max((one.label.count("\n") + 1 for one in series), default=1)
    height = max(3.6, 1.4 + max(0.42, 0.18 * lines) * len(series))
    beside = len(series) > _MOST_IN_A_LEGEND or lines > 1
    width = 14 if beside else 11
    figure = Figure(figsize=(width, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    _draw_values(left, series, measure)
    _draw_curves(right, series, curve_name)
    if right.get_legend_handles_labels()[0]:
        _add_legend(figure, right, beside=beside)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    return figure


def _draw_values(axes: Axes, series: Sequence[Series], measure: str) -> None:
    for place, one in enumerate(series):
        colour, _ = _style(place)
        # Seeds with the same value stand beside each other, not on one another.
        spread = 0.22 * np.linspace(-1, 1, len(one.values)) if len(one.values) > 1 else [0.0]
        axes.plot(
            one.values, place + np.asarray(spread), "o", color=colour, alpha=0.45, markersize=5
        )
        if not math.isnan(one.interval.low):
            axes.plot(
                [one.interval.low, one.interval.high], [place, place], color=colour, linewidth=2
            )
        axes.plot(one.interval.mean, place, "D", color=colour, markersize=6)
    axes.set_yticks(range(len(series)), [one.label for one in series])
    axes.set_ylim(len(series) - 0.4, -0.6)
    axes.set_xlabel(f"{measure} on the test part")
    several = any(len(one.values) > 1 for one in series)
    axes.set_title("each seed, mean and 95 % interval" if several else "one seed", fontsize=10)


def _draw_curves(axes: Axes, series: Sequence[Series], curve_name: str) -> None:
    for place, one in enumerate(series):
        colour, dashes = _style(place)
        samples, values = _aligned(one.curves)
        if not len(samples):
            continue
        marker = "o" if len(samples) <= 40 else ""
        axes.plot(
            samples,
            values.mean(0),
            color=colour,
            linestyle=dashes,
            marker=marker,
            markersize=3,
            label=one.label,
        )
        if len(values) > 1:
            axes.fill_between(
                samples, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0
            )
    axes.set_xlabel("sequences learned from")
    several = any(len(one.curves) > 1 for one in series)
    band = ": mean, and band from lowest to highest seed" if several else ""
    axes.set_title(f"{curve_name}{band}", fontsize=10)
    _choose_scale(axes, [value for one in series for c in one.curves for _, value in c])


def _add_legend(figure: Figure, axes: Axes, *, beside: bool) -> None:
    if beside:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside right upper", frameon=False, fontsize=8, handlelength=3.5
        )
    else:
        axes.legend(frameon=False, fontsize=9)


def _wrapped(label: str) -> str:
    """A long label on lines of its own, broken between options where that is possible."""
    if len(label) <= _LETTERS:
        return label
    words = label.replace(":", ": ")
    return textwrap.fill(words, _LETTERS, max_lines=_LINES, placeholder="…")


def _choose_scale(axes: Axes, values: Sequence[float]) -> None:
    """A loss that falls to a hundredth shows nothing on a scale that starts at 0."""
    if values and min(values) > 0 and max(values) > 30 * min(values):
        axes.set_yscale("log")


def _aligned(
    curves: Sequence[Sequence[tuple[int, float]]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Samples seen, (epoch,), and the measure, (seed, epoch).

    A seed that stopped early keeps its last value: the mean of those that went on alone
    would be that of the slow ones.
    """
    curves = [curve for curve in curves if curve]
    if not curves:
        return np.empty(0), np.empty((0, 0))
    longest = max(curves, key=len)
    values = [
        [value for _, value in curve] + [curve[-1][1]] * (len(longest) - len(curve))
        for curve in curves
    ]
    return np.array([samples for samples, _ in longest], float), np.array(values, float)


def _style(place: int) -> tuple[str, str]:
    """Colour and line of a cell; colours come back with other lines."""
    return _COLOURS[place % len(_COLOURS)], _DASHES[place // len(_COLOURS) % len(_DASHES)]
