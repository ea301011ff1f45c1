"""Pictures of numbers that were told: against the truth, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import r2_score, root_mean_squared_error

__all__ = ["draw_predicted"]

_INSIDE, _OUTSIDE, _LINE = "#1f6fb4", "#c4472b", "#8a8a8a"
_MOST_BARS = 400
_MOST_TARGETS = 6


def draw_predicted(
    truth: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    interval: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
    *,
    level: float = 0.9,
    names: Sequence[str] = ("target",),
) -> Figure:
    """What was predicted against what was true, and all samples in the order of their truth.

    Samples whose interval holds the truth are blue, the others red.

    Parameters
    ----------
    truth, predicted
        (sample, target); of more than six targets the first six are drawn.
    interval
        Lower and upper ends, each (sample, target); None draws no bars.
    level
        How often the interval should hold the truth.
    names
        What the targets are called.
    """
    shown = min(len(names), _MOST_TARGETS)
    figure = Figure(figsize=(10, 4 * shown), layout="constrained")
    rows = figure.subplots(shown, 2, squeeze=False)
    for target in range(shown):
        ends = None
        if interval is not None:
            ends = interval[0][:, target], interval[1][:, target]
        given = truth[:, target], predicted[:, target]
        _draw_scatter(rows[target][0], *given, ends, names[target])
        _draw_sorted(rows[target][1], *given, ends, names[target], level)
    return figure


def _draw_scatter(
    axes: Axes,
    truth: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    ends: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
    name: str,
) -> None:
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    axes.plot([low, high], [low, high], color=_LINE, linewidth=1)
    inside = _inside(truth, ends)
    if ends is not None and len(truth) <= _MOST_BARS:
        for where, colour in ((inside, _INSIDE), (~inside, _OUTSIDE)):
            lower, upper = ends[0][where], ends[1][where]
            axes.vlines(truth[where], lower, upper, color=colour, alpha=0.25, linewidth=1)
    axes.scatter(truth[inside], predicted[inside], s=9, color=_INSIDE, zorder=3)
    axes.scatter(truth[~inside], predicted[~inside], s=9, color=_OUTSIDE, zorder=3)
    measures = f"RMSE {root_mean_squared_error(truth, predicted):.4g}"
    if len(truth) > 1:
        measures += f", R² {r2_score(truth, predicted):.4f}"
    axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", title=measures)
    _tidy(axes)


def _draw_sorted(
    axes: Axes,
    truth: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    ends: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
    name: str,
    level: float,
) -> None:
    order = np.argsort(truth, kind="stable")
    places = np.arange(len(order))
    if ends is not None:
        axes.fill_between(
            places,
            ends[0][order],
            ends[1][order],
            color=_INSIDE,
            alpha=0.2,
            linewidth=0,
            label=f"{level:.0%} interval",
        )
        share = float(np.mean(_inside(truth, ends)))
        axes.set_title(f"{share:.1%} of {len(truth)} in the {level:.0%} interval")
    axes.plot(places, predicted[order], ".", color=_INSIDE, markersize=4, label="predicted")
    axes.plot(places, truth[order], color="black", linewidth=1.4, label="true")
    axes.set(xlabel="samples, by their truth", ylabel=name)
    axes.legend(frameon=False)
    _tidy(axes)


def _inside(
    truth: npt.NDArray[np.float64],
    ends: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
) -> npt.NDArray[np.bool_]:
    if ends is None:
        return np.ones(len(truth), dtype=bool)
    return np.asarray((ends[0] <= truth) & (truth <= ends[1]))


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
