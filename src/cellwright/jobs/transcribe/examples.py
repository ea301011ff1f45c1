"""What a transcriber learns from: sequences and the symbols of their texts, and its loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss

from cellwright.data import Sequences, batches
from cellwright.jobs.transcribe.error_rates import character_errors
from cellwright.models.ctc import BLANK, collapse

__all__ = ["CtcLoss", "TranscriptBatch", "Transcripts"]


@dataclass(frozen=True)
class TranscriptBatch:
    """Some sequences, padded with zeros, and the symbols that they say.

    Attributes
    ----------
    x
        (batch, time, features).
    lengths
        Steps of each row, (batch,).
    rows
        Which samples these are, (batch,).
    targets
        Symbols from 1 of each row, (batch, symbols), zeros behind.
    target_lengths
        Symbols of each row, (batch,).
    """

    x: Tensor
    lengths: Tensor
    rows: npt.NDArray[np.int64]
    targets: Tensor
    target_lengths: Tensor

    @property
    def answers(self) -> int:
        """Symbols in the whole batch."""
        return int(self.target_lengths.sum())


@dataclass(frozen=True)
class Transcripts:
    """Sequences and the symbols, from 1, that each says."""

    x: Sequences
    targets: Sequence[Sequence[int]]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Steps of each sample."""
        return self.x.lengths

    def in_epoch(self, number: int) -> Transcripts:
        """What that epoch learns from: the same, always."""
        return self

    def take(self, rows: npt.NDArray[np.int64]) -> Transcripts:
        """The samples of these rows."""
        return Transcripts(self.x.take(rows), [self.targets[row] for row in rows])

    def batches(
        self, size: int, order: npt.NDArray[np.int64] | None = None
    ) -> Iterator[TranscriptBatch]:
        """Batches of at most `size` samples."""
        for batch in batches(self.x, size, order=order):
            chosen = [self.targets[row] for row in batch.rows]
            targets = torch.zeros(len(chosen), max(map(len, chosen)), dtype=torch.long)
            for row, symbols in enumerate(chosen):
                targets[row, : len(symbols)] = torch.tensor(symbols)
            yield TranscriptBatch(
                x=batch.x,
                lengths=batch.lengths,
                rows=batch.rows,
                targets=targets,
                target_lengths=torch.tensor([len(symbols) for symbols in chosen]),
            )


class CtcLoss:
    r"""\(-\log p(y \mid x)\), summed over all alignments, for each symbol of the texts.

    In evaluation also the character error rate of the best path, which costs little beside the
    network, yet too much for every training step.
    """

    def __call__(
        self, network: nn.Module, batch: TranscriptBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of a symbol, and sums over the batch."""
        scores: Tensor = network(batch.x, batch.lengths)
        # CTC's kernels differ by device in the lengths they take; those on the CPU suit all.
        lengths = network.output_lengths(batch.lengths).cpu()  # type: ignore[operator]
        total = ctc_loss(
            scores.transpose(0, 1),
            batch.targets,
            lengths,
            batch.target_lengths.cpu(),
            blank=BLANK,
            reduction="sum",
        )
        measured = {"loss": total.detach()}
        if not network.training:
            paths = zip(scores.argmax(2).cpu().numpy(), lengths.tolist(), strict=True)
            said = [collapse(path[:length]) for path, length in paths]
            true = zip(batch.targets.tolist(), batch.target_lengths.tolist(), strict=True)
            wrong = character_errors(
                [_text(symbols[:length]) for symbols, length in true], [_text(s) for s in said]
            )
            measured["character_error_rate"] = torch.tensor(float(wrong))
        return total / batch.answers, measured


def _text(symbols: Sequence[int]) -> str:
    """Any characters, one a symbol, none of them a space, which would not count at an end."""
    return "".join(chr(0x4E00 + symbol) for symbol in symbols)
