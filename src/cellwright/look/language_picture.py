"""Pictures of a language model: how well it foresees text, and what it expects next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ["draw_bits", "draw_next_tokens"]

_TRAIN, _VALIDATION, _TEST = "#8a8a8a", "#1f6fb4", "#c0504d"
_CANDIDATES = 5


def draw_bits(
    history: Sequence[Mapping[str, Any]], bits: float, test: Mapping[str, float]
) -> Figure:
    """Loss by epoch in bits per character, and that of the test as a line.

    Parameters
    ----------
    history
        A row of measures for each epoch, losses in nats a token.
    bits
        Bits per character that a nat per token amounts to.
    test
        Measures of the test, ``"bits_per_character"`` among them.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    epochs = [row["epoch"] for row in history]
    for part, colour, label in (
        ("train_loss", _TRAIN, "training"),
        ("validation_loss", _VALIDATION, "validation"),
    ):
        if history and part in history[0]:
            values = [bits * row[part] for row in history]
            axes.plot(epochs, values, color=colour, marker="o", markersize=3, label=label)
    reached = test["bits_per_character"]
    axes.axhline(reached, color=_TEST, linewidth=1, linestyle="--", label=f"test {reached:.3f}")
    axes.set_xlabel("epoch")
    axes.set_ylabel("bits per character")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def draw_next_tokens(
    names: Sequence[str], tokens: Sequence[int], chances: npt.NDArray[np.float64]
) -> Figure:
    """A text, and below each token what was expected in its place, the likeliest on top.

    Parameters
    ----------
    names
        What each token of the vocabulary looks like.
    tokens
        What really came, (step,).
    chances
        Of every token at each of these steps, (step, vocabulary).
    """
    count = min(_CANDIDATES, chances.shape[1])
    best = np.argsort(-chances, axis=1, kind="stable")[:, :count]
    widest = max(len(_shown(names[token])) for token in tokens) if len(tokens) else 1
    cell = 0.2 + 0.07 * min(widest, 8)
    figure = Figure(figsize=(max(4.0, cell * len(tokens) + 1.6), 2.8), layout="constrained")
    axes = figure.subplots()
    grid = np.take_along_axis(chances, best, axis=1).T
    image = axes.imshow(grid, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="none")
    for step, token in enumerate(tokens):
        for rank, candidate in enumerate(best[step]):
            right = candidate == token
            axes.text(
                step,
                rank,
                _shown(names[candidate]),
                ha="center",
                va="center",
                fontsize=7,
                fontweight="bold" if right else "normal",
                color="white" if grid[rank, step] > 0.55 else ("#c0504d" if right else "#404040"),
            )
    axes.set_xticks(range(len(tokens)), [_shown(names[token]) for token in tokens], fontsize=8)
    axes.xaxis.tick_top()
    axes.set_yticks(range(count), [f"{rank}." for rank in range(1, count + 1)], fontsize=8)
    axes.tick_params(length=0)
    axes.set_title("what came, and what was expected in its place", fontsize=9)
    figure.colorbar(image, ax=axes, pad=0.01, label="probability")
    return figure


def _shown(name: str) -> str:
    """A token as it can be seen, cut where it is long."""
    visible = name.replace("\n", "⏎").replace(" ", "␣").replace("\t", "⇥")
    visible = "".join(letter if letter.isprintable() else "·" for letter in visible)
    return visible if len(visible) <= 8 else visible[:7] + "…"
