"""Ragged batches without padding: rows sorted by length, steps that exist packed together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Packing"]


@dataclass(frozen=True)
class Packing:
    """Where the steps of a ragged batch lie when they are packed.

    Packed, all first steps come first, then all second steps, and so on; within a step the
    longest sequences come first, so that the rows that exist are always the first ones.

    Attributes
    ----------
    places
        Index into the flat (time times batch) rows of each packed row; only the first
        ``lengths.sum()`` entries count.
    order
        Row of the batch -> place among the sorted rows, (B,).
    lengths
        Number of steps of each sorted row, longest first, (B,).
    """

    places: Tensor
    order: Tensor
    lengths: Tensor

    @staticmethod
    def of(active: Tensor, reverse: bool) -> Packing:
        """Pack the steps that exist, (T, B), in the order in which a sequence is read."""
        steps, batch = active.shape
        exists = active.T.flip(1) if reverse else active.T
        counts = exists.sum(1)
        order = torch.argsort(counts, descending=True, stable=True)
        lengths = counts[order]
        # The n-th step that exists, of each sorted row.
        nth = torch.argsort(exists[order].to(torch.uint8), dim=1, descending=True, stable=True)
        step = (steps - 1 - nth if reverse else nth).T
        there = torch.arange(steps).unsqueeze(1) < lengths
        packed = (step * batch + order)[there]
        places = torch.zeros(steps * batch, dtype=torch.int64)
        places[: len(packed)] = packed
        return Packing(places, order, lengths)

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """All of it, to be kept for the gradient."""
        return self.places, self.order, self.lengths

    @property
    def flat(self) -> Tensor:
        """The places of the packed rows, no more."""
        return self.places[: int(self.lengths.sum())]

    def active(self, steps: int) -> Tensor:
        """Which steps exist, (T, B)."""
        exists = torch.zeros(steps * len(self.order), dtype=torch.bool)
        return exists.index_fill_(0, self.flat, True).view(steps, -1)

    def pack(self, padded: Tensor) -> Tensor:
        """(T, B, n) -> packed rows."""
        return padded.reshape(-1, padded.shape[2]).index_select(0, self.flat)

    def unpack(self, packed: Tensor, steps: int) -> Tensor:
        """Packed rows -> (T, B, n), zero where no step exists."""
        flat = self.flat
        padded = packed.new_zeros(steps * len(self.order), packed.shape[-1])
        padded.index_copy_(0, flat, packed[: len(flat)])
        return padded.view(steps, len(self.order), packed.shape[-1])

    def sort(self, rows: Tensor) -> Tensor:
        """Rows of the batch, longest sequence first."""
        return rows.index_select(0, self.order)

    def unsort(self, rows: Tensor) -> Tensor:
        """Rows, longest sequence first, in the order of the batch again."""
        return torch.empty_like(rows).index_copy_(0, self.order, rows)
