"""Pictures and the tokens of their captions, in batches, and what is learned from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cellwright.data.pictures import Pictures
from cellwright.models.captioner import CaptionerNetwork
from cellwright.text import Vocabulary

__all__ = ["CaptionBatch", "CaptionExamples", "CaptionLoss", "PictureBatch", "picture_batches"]


@dataclass(frozen=True)
class PictureBatch:
    """Some pictures to be described.

    Attributes
    ----------
    pixels
        (batch, height, width, channels), 0 to 255.
    """

    pixels: Tensor


@dataclass(frozen=True)
class CaptionBatch:
    """Some captions with their pictures.

    Attributes
    ----------
    pixels
        (batch, height, width, channels), 0 to 255.
    given
        Tokens that go in at each step, (batch, time): the beginning, then the caption.
    wanted
        Tokens that are to come out: the caption, then the end.
    counted
        Where there is a token to come out, (batch, time).
    rows
        Which captions these are, (batch,).
    """

    pixels: Tensor
    given: Tensor
    wanted: Tensor
    counted: Tensor
    rows: npt.NDArray[np.int64]

    @property
    def answers(self) -> int:
        """How many tokens are to come out."""
        return int(self.counted.sum())


@dataclass(frozen=True, eq=False)
class CaptionExamples:
    """Captions to learn from, each with its picture; a picture may have several.

    Attributes
    ----------
    pictures
        The pictures.
    tokens
        Of each caption, without beginning and end.
    picture_of
        Which picture each caption belongs to, (caption,).
    """

    pictures: Pictures
    tokens: list[list[int]]
    picture_of: npt.NDArray[np.int64]

    @staticmethod
    def of(
        pictures: Pictures, captions: list[list[str]], vocabulary: Vocabulary
    ) -> CaptionExamples:
        """Every caption of every picture."""
        texts = [text for several in captions for text in several]
        counts = [len(several) for several in captions]
        return CaptionExamples(
            pictures,
            [vocabulary.encode(text) for text in texts],
            np.repeat(np.arange(len(captions)), counts),
        )

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Steps of each caption, the end counted."""
        return np.array([len(tokens) + 1 for tokens in self.tokens], np.int64)

    def in_epoch(self, number: int) -> CaptionExamples:
        """What that epoch learns from: the same, always."""
        return self

    def batches(
        self, size: int, order: npt.NDArray[np.int64] | None = None
    ) -> Iterator[CaptionBatch]:
        """Batches of at most `size` captions."""
        order = np.arange(len(self)) if order is None else order
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            lengths = self.lengths[rows]
            shape = (len(rows), int(lengths.max()))
            given = torch.full(shape, Vocabulary.padding)
            wanted = torch.full(shape, Vocabulary.padding)
            for position, row in enumerate(rows):
                tokens = torch.tensor(self.tokens[row], dtype=torch.int64)
                given[position, 0] = Vocabulary.begin
                given[position, 1 : 1 + len(tokens)] = tokens
                wanted[position, : len(tokens)] = tokens
                wanted[position, len(tokens)] = Vocabulary.end
            steps = torch.arange(shape[1])
            yield CaptionBatch(
                pixels=torch.from_numpy(self.pictures.pixels(self.picture_of[rows])),
                given=given,
                wanted=wanted,
                counted=steps < torch.from_numpy(lengths).unsqueeze(1),
                rows=rows,
            )


def picture_batches(pictures: Pictures, size: int) -> Iterator[PictureBatch]:
    """Batches of at most `size` pictures, as they come."""
    for start in range(0, len(pictures), size):
        rows = np.arange(start, min(start + size, len(pictures)))
        yield PictureBatch(torch.from_numpy(pictures.pixels(rows)))


class CaptionLoss:
    """Mean cross entropy of the tokens that are to come out, and how many come out right.

    Parameters
    ----------
    label_smoothing
        Probability spread over all tokens.
    scheduled_sampling
        Chance that in training a token goes in that the decoder said itself.
    """

    def __init__(self, label_smoothing: float, scheduled_sampling: float) -> None:
        self.label_smoothing = label_smoothing
        self.scheduled_sampling = scheduled_sampling

    def __call__(self, network: nn.Module, batch: CaptionBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss, and sums over the tokens."""
        assert isinstance(network, CaptionerNetwork)
        seen, given = network.see(batch.pixels), batch.given
        decoder = network.decoder
        if network.training:
            given = decoder.mixed(given, seen.state, seen.memory, self.scheduled_sampling)
        decoded = decoder.decode(given, seen.state, seen.memory)
        # Only where a token is to come out is the readout paid for.
        scores = decoder.read_out(decoded.hidden[batch.counted])
        wanted = batch.wanted[batch.counted]
        loss = cross_entropy(scores, wanted, label_smoothing=self.label_smoothing)
        right = (scores.argmax(1) == wanted).sum()
        return loss, {"loss": loss.detach() * len(wanted), "accuracy": right}
