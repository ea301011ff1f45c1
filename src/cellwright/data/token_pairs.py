"""Pairs of token sequences, numbered and cut into batches for an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["TokenBatch", "TokenPairs", "decoder_steps", "padded_tokens"]


@dataclass(frozen=True)
class TokenBatch:
    """Some pairs, each side padded to its longest.

    Attributes
    ----------
    source
        What is read, (batch, S).
    lengths
        Tokens of each source, (batch,).
    rows
        Which pairs these are, (batch,).
    given
        What goes into the decoder: begin and the target, (batch, T); None if unknown.
    wanted
        What should come out: the target and end, (batch, T).
    counted
        Which steps exist, (batch, T).
    """

    source: Tensor
    lengths: Tensor
    rows: npt.NDArray[np.int64]
    given: Tensor | None = None
    wanted: Tensor | None = None
    counted: Tensor | None = None

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the encoder reads."""
        return self.source, self.lengths

    @property
    def answers(self) -> int:
        """How many tokens are told, ends among them."""
        return len(self.rows) if self.counted is None else int(self.counted.sum())


@dataclass(frozen=True, eq=False)
class TokenPairs:
    """Sources and targets as numbers, to learn from or to be told.

    Attributes
    ----------
    source
        Numbers of each source.
    target
        Of each target; None if they are to be told.
    padding, begin, end
        What fills up, goes in first, and comes out last.
    """

    source: Sequence[Sequence[int]]
    target: Sequence[Sequence[int]] | None
    padding: int
    begin: int
    end: int

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """By what similar pairs are found: first the target's length, then the source's."""
        sources = np.array([len(numbers) for numbers in self.source], dtype=np.int64)
        if self.target is None:
            return sources
        targets = np.array([len(numbers) for numbers in self.target], dtype=np.int64)
        return np.asarray(targets * (sources.max(initial=0) + 1) + sources)

    def in_epoch(self, number: int) -> TokenPairs:
        """What that epoch learns from: the same, always."""
        return self

    def batches(
        self, size: int, order: npt.NDArray[np.int64] | None = None
    ) -> Iterator[TokenBatch]:
        """Batches of at most `size` pairs, in the order given or by length.

        By length where no order is given, because that wastes least on padding; `rows` says
        where each belongs.
        """
        order = np.argsort(self.lengths, kind="stable") if order is None else order
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            source, lengths = padded_tokens([self.source[row] for row in rows], self.padding)
            if self.target is None:
                yield TokenBatch(source, lengths, rows)
                continue
            targets = [self.target[row] for row in rows]
            steps = decoder_steps(targets, begin=self.begin, end=self.end, padding=self.padding)
            yield TokenBatch(source, lengths, rows, *steps)


def padded_tokens(sequences: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Numbers as one array (sequence, longest), and how many each has."""
    lengths = torch.tensor([len(numbers) for numbers in sequences])
    array = torch.full((len(sequences), int(lengths.max())), padding)
    for row, numbers in enumerate(sequences):
        array[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
    return array, lengths


def decoder_steps(
    targets: Sequence[Sequence[int]], *, begin: int, end: int, padding: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What a decoder is given at each step, what is wanted of it, and which steps count.

    Parameters
    ----------
    targets
        Tokens of each target, without beginning and end.
    begin, end, padding
        What goes in first, comes out last, and fills up.

    Returns
    -------
    Tensor, Tensor, Tensor
        (target, T) each: `begin` and the target, the target and `end`, and what is no padding.
    """
    given, steps = padded_tokens([[begin, *target] for target in targets], padding)
    wanted, _ = padded_tokens([[*target, end] for target in targets], padding)
    return given, wanted, torch.arange(given.shape[1]) < steps.unsqueeze(1)
