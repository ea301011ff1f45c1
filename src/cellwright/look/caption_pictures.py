"""Pictures with what was said of them, and where a decoder looked for each word."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["draw_caption_attention", "draw_captions"]

_COLUMNS = 4
_MOST_WORDS = 35
_RIGHT, _WRONG = "#20603a", "#a02c2c"


def draw_captions(
    pixels: npt.NDArray[np.uint8],
    said: Sequence[str],
    references: Sequence[Sequence[str]] | None = None,
    right: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
) -> Figure:
    """Pictures with their captions below: green where one is right, else red.

    Parameters
    ----------
    pixels
        (sample, height, width, channels), 0 to 255.
    said
        A caption for each.
    references
        Captions given for each, of which the first is shown below one that is not right.
    right
        Which captions are right; None, with `references`, where that is not known.
    """
    rows = -(-len(said) // _COLUMNS)
    figure = Figure(figsize=(2.6 * _COLUMNS, 3.1 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for number, (panel, text) in enumerate(zip(panels, said, strict=False)):
        _show(panel, pixels[number])
        lines, colour = [textwrap.fill(text, 30)], "black"
        if right is not None and references is not None:
            colour = _RIGHT if right[number] else _WRONG
            if not right[number]:
                lines.append(textwrap.fill(f"({references[number][0]})", 30))
        panel.set_title("\n".join(lines), fontsize=8, color=colour, y=-0.04, va="top")
    return figure


def draw_caption_attention(
    pixels: npt.NDArray[np.uint8], words: Sequence[str], weights: npt.NDArray[Any]
) -> Figure:
    """A picture, and for each word of its caption the same with what was looked at lit up.

    Of a long caption, such as one of characters, the first 35.

    Parameters
    ----------
    pixels
        (height, width, channels), 0 to 255.
    words
        Of the caption.
    weights
        Of the attention at each word, (word, row, column).
    """
    total = min(len(words), _MOST_WORDS) + 1
    columns = min(total, 6)
    rows = -(-total // columns)
    figure = Figure(figsize=(1.7 * columns, 2.0 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    _show(panels[0], pixels)
    height, width = pixels.shape[:2]
    for panel, word, weight in zip(panels[1:], words, weights, strict=False):
        _show(panel, pixels)
        panel.imshow(
            weight,
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            cmap="magma",
            alpha=0.6,
            interpolation="bilinear",
            vmin=0,
            vmax=max(float(weight.max()), 1e-9),
        )
        panel.set_title(word, fontsize=9)
    return figure


def _show(panel: Axes, pixels: npt.NDArray[np.uint8]) -> None:
    grey = pixels.shape[-1] == 1
    panel.imshow(pixels[..., 0] if grey else pixels, cmap="gray", vmin=0, vmax=255)
