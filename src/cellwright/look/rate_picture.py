"""What the loss did while the learning rate grew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

__all__ = ["draw_rates"]


def draw_rates(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float,
) -> Figure:
    """The loss over the learning rate: each step grey, smoothed blue, the suggestion marked.

    Parameters
    ----------
    rates, losses, smoothed
        Learning rate, loss and smoothed loss of each step.
    suggestion
        The rate to mark.
    """
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, color="#8a8a8a", linewidth=0.7, alpha=0.7, label="each step")
    axes.plot(rates, smoothed, color="#1f6fb4", linewidth=1.8, label="smoothed")
    axes.axvline(suggestion, color="#D55E00", linestyle="--", label=f"suggestion {suggestion:.2g}")
    low = min(float(np.quantile(losses, 0.05)), *smoothed)
    high = max(smoothed[: max(2, len(smoothed) // 2)])
    room = 0.15 * (high - low) or 0.5
    axes.set_ylim(low - room, high + 3 * room)  # where it explodes, there is nothing to see
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure
