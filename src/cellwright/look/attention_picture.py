"""A picture of attention: which tokens of the source each told token looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from matplotlib.figure import Figure
from torch import Tensor

from cellwright.errors import DataError

__all__ = ["Attending", "draw_attention"]

_LEAST, _INCHES_A_TOKEN = 2.0, 0.27


class Attending(Protocol):
    """A translation as far as it is drawn."""

    @property
    def source_tokens(self) -> Sequence[str]:
        """What was read."""

    @property
    def target_tokens(self) -> Sequence[str]:
        """What was told."""

    @property
    def weights(self) -> Tensor | None:
        """(target tokens, source tokens)."""


def draw_attention(translations: Sequence[Attending]) -> Figure:
    """A map for each translation: the source to the right, what was told downwards, from the top.

    Parameters
    ----------
    translations
        Those to be drawn, one below the other; dark is a weight of one.

    Raises
    ------
    DataError
        One has no weights, because its decoder has no attention.
    """
    if not translations:
        raise DataError("there is no translation to draw")
    if any(each.weights is None for each in translations):
        raise DataError("a translation has no attention to draw: its decoder has none")
    tall = [max(_LEAST, _INCHES_A_TOKEN * len(each.target_tokens)) + 1.2 for each in translations]
    wide = max(_INCHES_A_TOKEN * len(each.source_tokens) for each in translations)
    figure = Figure(figsize=(max(_LEAST, wide) + 2.2, sum(tall)), layout="constrained")
    panels = figure.subplots(len(translations), 1, squeeze=False, height_ratios=tall)[:, 0]
    for axes, each in zip(panels, translations, strict=True):
        assert each.weights is not None
        rows, columns = len(each.target_tokens), len(each.source_tokens)
        weights = each.weights.detach().float().cpu().numpy().reshape(rows, columns)
        if rows:
            axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, interpolation="none")
        axes.set_xticks(range(columns), map(_shown, each.source_tokens), rotation=90)
        axes.set_yticks(range(rows), map(_shown, each.target_tokens))
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
    return figure


def _shown(token: str) -> str:
    return token.strip() or "␣"
