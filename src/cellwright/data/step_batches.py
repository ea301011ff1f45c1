"""Samples with answers at every step, and how they are cut into pieces and batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.data.batches import Batch, batches
from cellwright.data.sequences import Sequences
from cellwright.data.words import NumberedWords, WordBatch

__all__ = ["StepBatch", "StepExamples", "StepInputs", "cut", "step_batches"]

StepInputs: TypeAlias = Sequences | NumberedWords
StepBatch: TypeAlias = Batch | WordBatch


def step_batches(
    inputs: StepInputs, size: int, order: npt.NDArray[np.int64] | None = None
) -> Iterator[StepBatch]:
    """Batches of at most `size` samples, in `order` or as they come."""
    if isinstance(inputs, NumberedWords):
        yield from inputs.batches(size, order)
    else:
        yield from batches(inputs, size, order=order)


@dataclass(frozen=True, eq=False)
class StepExamples:
    """Samples and what is to be learned at each of their steps.

    Attributes
    ----------
    inputs
        The samples.
    targets
        What is to be learned, (steps of all samples, answers).
    counted
        Which of it is known, (steps of all samples, answers).
    """

    inputs: StepInputs
    targets: Tensor
    counted: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Steps of each sample."""
        return self.inputs.lengths

    @property
    def fingerprint(self) -> str:
        """A digest of what is to be learned, and where it is known."""
        digest = hashlib.blake2b(self.targets.numpy().tobytes(), digest_size=16)
        digest.update(self.counted.numpy().tobytes())
        return digest.hexdigest()

    def take(self, rows: npt.NDArray[np.int64]) -> StepExamples:
        """The samples of these rows."""
        steps = torch.from_numpy(self._steps(rows))
        return StepExamples(self.inputs.take(rows), self.targets[steps], self.counted[steps])

    def in_epoch(self, number: int) -> StepExamples:
        """What that epoch learns from: the same, always."""
        return self

    def batches(self, size: int, order: npt.NDArray[np.int64] | None = None) -> Iterator[StepBatch]:
        """Batches of at most `size` samples, with targets (batch, time, answers)."""
        for batch in step_batches(self.inputs, size, order):
            steps = torch.from_numpy(self._steps(batch.rows))
            exists = torch.arange(int(batch.lengths.max())) < batch.lengths[:, None]
            targets = self.targets.new_zeros(*exists.shape, self.targets.shape[1])
            counted = torch.zeros(targets.shape, dtype=torch.bool)
            targets[exists], counted[exists] = self.targets[steps], self.counted[steps]
            yield replace(batch, targets=targets, counted=counted)

    def _steps(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Which of all steps are those of these samples."""
        starts, lengths = self.lengths.cumsum() - self.lengths, self.lengths[rows]
        within = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
        return np.asarray(np.repeat(starts[rows], lengths) + within)


def cut(inputs: StepInputs, window: int | None) -> tuple[StepInputs, npt.NDArray[np.int64]]:
    """Cut sequences into pieces of at most `window` steps, as even as can be.

    Returns
    -------
    pieces, counts
        The pieces in order, so that all steps stand where they stood, and how many there are
        of each sequence.
    """
    lengths = inputs.lengths
    if window is None or (lengths <= window).all():
        return inputs, np.ones(len(lengths), dtype=np.int64)
    counts = -(-lengths // window)
    if isinstance(inputs, NumberedWords):
        return inputs.cut(counts), counts
    pieces = [
        piece
        for value, count in zip(inputs.values, counts, strict=True)
        for piece in np.array_split(value, count)
    ]
    return Sequences(pieces, inputs.names), counts
