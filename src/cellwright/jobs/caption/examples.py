"""Pictures and the tokens of their captions, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.data.pictures import Pictures
from cellwright.data.token_pairs import decoder_steps
from cellwright.text import Vocabulary

__all__ = ["CaptionBatch", "CaptionExamples", "PictureBatch", "picture_batches"]


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
    def inputs(self) -> tuple[Tensor, ...]:
        """What the encoder sees."""
        return (self.pixels,)

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
            given, wanted, counted = decoder_steps(
                [self.tokens[row] for row in rows],
                begin=Vocabulary.begin,
                end=Vocabulary.end,
                padding=Vocabulary.padding,
            )
            yield CaptionBatch(
                pixels=torch.from_numpy(self.pictures.pixels(self.picture_of[rows])),
                given=given,
                wanted=wanted,
                counted=counted,
                rows=rows,
            )


def picture_batches(pictures: Pictures, size: int) -> Iterator[PictureBatch]:
    """Batches of at most `size` pictures, as they come."""
    for start in range(0, len(pictures), size):
        rows = np.arange(start, min(start + size, len(pictures)))
        yield PictureBatch(torch.from_numpy(pictures.pixels(rows)))
