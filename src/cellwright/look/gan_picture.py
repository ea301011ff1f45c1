"""Made sequences beside real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["draw_made_and_real"]

_REAL, _MADE = "#8a8a8a", "#1f6fb4"
_SHOWN, _MOST_FEATURES = 12, 6
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def draw_made_and_real(
    real: Sequence[npt.NDArray[np.floating]],
    made: Sequence[npt.NDArray[np.floating]],
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Real sequences grey, made ones blue: some of each, their spread by step, their changes.

    A row a feature, of the first six. From the left: the first twelve real sequences; as many
    made ones; the quantiles 5, 25, 50, 75 and 95 % of all at each step; and how often a step
    changes by how much.

    Parameters
    ----------
    real, made
        Arrays (time, features); steps of NaN at the end are left out.
    names
        What the features are called.
    """
    features = min(real[0].shape[1], _MOST_FEATURES)
    figure = Figure(figsize=(13, 0.6 + 2.4 * features), layout="constrained")
    panels = figure.subplots(features, 4, squeeze=False)
    for feature, row in enumerate(panels):
        truth = [np.asarray(value)[:, feature] for value in real]
        found = [np.asarray(value)[:, feature] for value in made]
        _draw_some(row[0], truth, _REAL)
        _draw_some(row[1], found, _MADE)
        row[1].sharey(row[0])
        for values, colour, label in ((truth, _REAL, "real"), (found, _MADE, "made")):
            _draw_quantiles(row[2], values, colour, label)
        row[2].sharey(row[0])
        _draw_changes(row[3], truth, found)
        row[0].set_ylabel(names[feature] if names else f"feature {feature}")
        for axes in row:
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.25)
    for axes, title in zip(panels[0], ("real", "made", "quantiles", "changes"), strict=True):
        axes.set_title(title, fontsize=10)
    for axes in panels[-1][:3]:
        axes.set_xlabel("step")
    panels[-1][3].set_xlabel("change from step to step")
    panels[0][2].legend(frameon=False, fontsize=9)
    return figure


def _draw_some(axes: Axes, values: Sequence[npt.NDArray[np.floating]], colour: str) -> None:
    for value in values[:_SHOWN]:
        axes.plot(value, color=colour, linewidth=0.9, alpha=0.75)


def _draw_quantiles(
    axes: Axes, values: Sequence[npt.NDArray[np.floating]], colour: str, label: str
) -> None:
    steps = max(map(len, values))
    table = np.full((len(values), steps), np.nan)
    for row, value in zip(table, values, strict=True):
        row[: len(value)] = value
    lasts = np.flatnonzero((~np.isnan(table)).any(0))
    low, lower, middle, upper, high = np.nanquantile(table[:, lasts], _QUANTILES, axis=0)
    axes.fill_between(lasts, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.fill_between(lasts, lower, upper, color=colour, alpha=0.25, linewidth=0)
    axes.plot(lasts, middle, color=colour, linewidth=1.6, label=label)


def _draw_changes(
    axes: Axes,
    real: Sequence[npt.NDArray[np.floating]],
    made: Sequence[npt.NDArray[np.floating]],
) -> None:
    changes = [np.concatenate([np.diff(value) for value in part]) for part in (real, made)]
    changes = [each[np.isfinite(each)] for each in changes]
    if not all(map(len, changes)):
        axes.set_axis_off()  # sequences of a single step
        return
    least, greatest = np.quantile(np.concatenate(changes), (0.001, 0.999))
    if least == greatest:
        least, greatest = least - 0.5, greatest + 0.5
    for each, colour, style in zip(changes, (_REAL, _MADE), ("stepfilled", "step"), strict=True):
        weights = np.full(len(each), 1 / len(each))
        axes.hist(
            each,
            bins=np.linspace(least, greatest, 41).tolist(),
            weights=weights,
            color=colour,
            histtype="bar" if style == "stepfilled" else "step",
            alpha=0.5 if style == "stepfilled" else 1.0,
            linewidth=1.4,
        )
    axes.set_yticks([])
