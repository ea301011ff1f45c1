"""Pictures of forecasts: what was known, what was said, what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["draw_forecasts"]

_KNOWN, _FORECAST, _TRUTH = "#8a8a8a", "#1f6fb4", "#222222"
_SHOWN_HISTORY = 4


def draw_forecasts(
    known: pd.DataFrame,
    forecasts: pd.DataFrame,
    truth: pd.DataFrame | None = None,
    *,
    levels: Sequence[float] = (),
    most: int = 6,
) -> Figure:
    """Series with their forecasts and intervals, a panel a series.

    What was known is grey, what came black, the forecast blue in its intervals.

    Parameters
    ----------
    known
        ``unique_id, ds, y`` up to the forecast.
    forecasts
        ``unique_id, ds, yhat`` and the ends of intervals.
    truth
        ``unique_id, ds, y`` of the steps ahead, if it is known.
    levels
        Of the intervals, in percent.
    most
        How many series are drawn: evenly from the first to the last.
    """
    labels = list(pd.unique(forecasts["unique_id"]))
    places = np.unique(np.linspace(0, len(labels) - 1, min(most, len(labels))).astype(int))
    columns = min(2, len(places))
    rows = -(-len(places) // columns)
    figure = Figure(figsize=(5.5 * columns, 2.5 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, place in zip(panels, places, strict=False):
        label = labels[place]
        own = [
            None if table is None else table[table["unique_id"] == label]
            for table in (known, forecasts, truth)
        ]
        _draw_one(axes, own, levels)
        axes.set_title(str(label), fontsize=10)
    for axes in panels[len(places) :]:
        axes.set_visible(False)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), frameon=False)
    return figure


def _draw_one(axes: Axes, own: Sequence[Any], levels: Sequence[float]) -> None:
    known, forecasts, truth = own
    shown = known.iloc[-_SHOWN_HISTORY * len(forecasts) :]
    axes.plot(shown["ds"], shown["y"], color=_KNOWN, linewidth=1, label="known")
    # Of a single step there is neither a line nor an area.
    single = len(forecasts) == 1
    band, width = (axes.vlines, 8) if single else (axes.fill_between, 0)
    marker = "o" if single else ""
    for place, level in enumerate(sorted(levels, reverse=True)):
        band(
            forecasts["ds"],
            forecasts[f"yhat-lo-{level:g}"],
            forecasts[f"yhat-hi-{level:g}"],
            color=_FORECAST,
            alpha=min(0.15 + 0.15 * place, 0.6),
            linewidth=width,
            label=f"{level:g} %",
        )
    points: dict[str, Any] = {"marker": marker, "markersize": 4}
    if truth is not None:
        axes.plot(truth["ds"], truth["y"], color=_TRUTH, linewidth=1, label="came", **points)
    axes.plot(
        forecasts["ds"],
        forecasts["yhat"],
        color=_FORECAST,
        linewidth=1.5,
        label="forecast",
        **points,
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.tick_params(labelsize=8)
    if pd.api.types.is_datetime64_any_dtype(shown["ds"].dtype):
        for tick in axes.get_xticklabels():
            tick.set_rotation(20)
