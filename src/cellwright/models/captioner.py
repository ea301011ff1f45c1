"""One to many: a picture in, a caption out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from cellwright.models.beam import Hypothesis, beam_search
from cellwright.models.decoder import Decoder, DecoderAttention, DecoderState, Feeding
from cellwright.models.image_encoder import ImageEncoder
from cellwright.nn.attention import Memory

__all__ = ["CaptionerNetwork", "Seen"]

# Rows and columns of the summary; more would be many weights, fewer would lose what is where.
_SUMMARY = 4


class Seen(NamedTuple):
    """What a picture leaves to the decoder: what it attends to, and where it starts."""

    memory: Memory | None
    state: DecoderState


class CaptionerNetwork(nn.Module):
    r"""An image encoder, the place of each feature, and a decoder with or without attention.

    $$m_{rc} = \mathrm{norm}(W\,\mathrm{encoder}(x)_{rc} + b) + \rho_r + \gamma_c, \quad
    s_0 = \tanh(V\,\mathrm{pool}(m) + d)$$

    The decoder starts from a summary of the picture (Vinyals et al. 2015), the means of the
    parts of a grid of at most 4 by 4, and attends to the places $m_{rc}$ at every word (Xu et
    al. 2015). Features of a place are normalised (Ba et al. 2016), so that places differ enough
    for the attention to tell them apart from the start. What stands where can be said because
    rows $\rho_r$ and columns $\gamma_c$ are learned beside what is seen there.

    Parameters
    ----------
    encoder
        What turns pictures into a grid of features.
    height, width
        Pixels of a picture.
    vocabulary
        Number of tokens.
    features
        Features of a place, as the decoder sees it.
    embedding, attention, feeding, tied, dropout, recurrent
        As for `Decoder`; dropout also of what is seen.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        height: int,
        width: int,
        vocabulary: int,
        *,
        features: int,
        embedding: int,
        attention: DecoderAttention = "general",
        feeding: Feeding = "none",
        tied: bool = True,
        dropout: float = 0.0,
        **recurrent: Any,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.grid = encoder.grid(height, width)
        self.project = nn.Linear(encoder.features, features)
        self.norm = nn.LayerNorm(features)
        self.rows = nn.Parameter(torch.empty(self.grid[0], 1, features))
        self.columns = nn.Parameter(torch.empty(1, self.grid[1], features))
        for places in (self.rows, self.columns):
            nn.init.normal_(places, std=0.1)
        self.pooled = min(self.grid[0], _SUMMARY), min(self.grid[1], _SUMMARY)
        self.drop = nn.Dropout(dropout)
        self.decoder = Decoder(
            vocabulary,
            embedding,
            memory_size=None if attention == "none" else features,
            summary_size=features * self.pooled[0] * self.pooled[1],
            attention=attention,
            feeding=feeding,
            tied=tied,
            dropout=dropout,
            **recurrent,
        )

    def see(self, pixels: Tensor) -> Seen:
        """What pictures leave to the decoder.

        Parameters
        ----------
        pixels
            (batch, height, width, channels), 0 to 255.
        """
        found = self.norm(self.project(self.encoder(pixels).permute(0, 2, 3, 1)))
        places: Tensor = self.drop((found + self.rows + self.columns).to(self.rows.dtype))
        summary = adaptive_avg_pool2d(places.permute(0, 3, 1, 2), self.pooled).flatten(1)
        memory = self.decoder.remember(places.flatten(1, 2))
        return Seen(memory, self.decoder.start(len(pixels), summary))

    def forward(
        self,
        pixels: Tensor,
        tokens: Tensor,
        counted: Tensor | None = None,
        scheduled_sampling: float = 0.0,
    ) -> Tensor:
        """Scores of every token at every step.

        Parameters
        ----------
        pixels
            (batch, height, width, channels), 0 to 255.
        tokens
            What goes in at each step, (batch, time): the caption behind a token that means
            its beginning.
        counted, scheduled_sampling
            As for `Decoder`.

        Returns
        -------
        Tensor
            (batch, time, vocabulary), or (wanted steps, vocabulary).
        """
        memory, state = self.see(pixels)
        scores: Tensor = self.decoder(tokens, state, memory, counted, scheduled_sampling)
        return scores

    def describe(self, pixels: Tensor, **search: Any) -> list[Hypothesis]:
        """The best caption of each picture that a beam search finds.

        Parameters
        ----------
        pixels
            (batch, height, width, channels), 0 to 255.
        **search
            As for `beam_search`; weights of the attention come as (tokens, rows, columns).
        """
        seen = self.see(pixels)
        found = beam_search(self.decoder, seen.state, seen.memory, **search)
        return [
            one if one.weights is None else replace(one, weights=one.weights.view(-1, *self.grid))
            for one in found
        ]
