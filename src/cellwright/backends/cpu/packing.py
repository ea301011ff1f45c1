"""Ragged batches without padding: rows sorted by length, steps that exist packed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cellwright.backends.cpu.library import RaggedFunctions
from cellwright.backends.cpu.memory import empty

__all__ = ["Packing", "active_of"]


@dataclass(frozen=True)
class Packing:
    """Where the steps of a ragged batch lie when they are packed.

    Packed, all first steps come first, then all second steps, and so on; within a step the
    longest sequences come first, so that the rows that exist are always the first ones.

    Attributes
    ----------
    places
        Index into the flat (time times batch) rows of each packed row, and behind these of
        each that does not exist, (T · B,).
    order
        Row of the batch -> place among the sorted rows, (B,).
    lengths
        Number of steps of each sorted row, longest first, (B,).
    functions
        What orders and moves rows.
    """

    places: Tensor
    order: Tensor
    lengths: Tensor
    functions: RaggedFunctions

    @staticmethod
    def of(active: Tensor, reverse: bool, functions: RaggedFunctions) -> Packing:
        """Pack the steps that exist, (T, B), in the order in which a sequence is read."""
        return Packing(*functions.order(active, reverse=reverse), functions)

    @staticmethod
    def again(tensors: Sequence[Tensor], functions: RaggedFunctions) -> Packing:
        """What `tensors` were kept of."""
        places, order, lengths = tensors
        return Packing(places, order, lengths, functions)

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """All of it, to be kept for the gradient."""
        return self.places, self.order, self.lengths

    @cached_property
    def there(self) -> int:
        """How many packed rows there are."""
        return int(self.lengths.sum())

    def empty(self, units: int, dtype: torch.dtype) -> Tensor:
        """Room for packed rows; not nothing where there are none, for it has an address."""
        return empty(max(self.there, 1), units, dtype)

    def pack(self, padded: Sequence[Tensor | None]) -> list[Tensor | None]:
        """(T, B, n) -> packed rows, of each."""
        packed = [None if v is None else self.empty(v.shape[2], v.dtype) for v in padded]
        self._move(padded, packed, back=False)
        return packed

    def unpack(self, packed: Sequence[Tensor | None], steps: int) -> list[Tensor | None]:
        """Packed rows -> (T, B, n), zero where no step exists, of each."""
        batch = len(self.order)
        padded = [None if v is None else empty(steps, batch, v.shape[1], v.dtype) for v in packed]
        self._move(packed, padded, back=True)
        return padded

    def _move(
        self, given: Sequence[Tensor | None], found: Sequence[Tensor | None], *, back: bool
    ) -> None:
        pairs = [
            (a, b) for a, b in zip(given, found, strict=True) if a is not None and b is not None
        ]
        if pairs and len(self.places):
            self.functions.move(self.places, self.there, pairs, back=back)

    def sort(self, rows: Tensor) -> Tensor:
        """Rows of the batch, longest sequence first."""
        return rows.index_select(0, self.order)

    def unsort(self, rows: Tensor) -> Tensor:
        """Rows, longest sequence first, in the order of the batch again."""
        return torch.empty_like(rows).index_copy_(0, self.order, rows)


def active_of(places: Tensor, order: Tensor, lengths: Tensor) -> Tensor:
    """Which steps exist, (T, B), from the tensors of a packing."""
    exists = places.new_zeros(len(places), dtype=torch.bool)
    exists.index_fill_(0, places[: int(lengths.sum())], True)
    return exists.view(-1, len(order))
