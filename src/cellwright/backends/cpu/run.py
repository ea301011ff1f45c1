"""One run over a batch: what it is given, as a caller has it and as a kernel has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cellwright.backends.cpu.library import Batch
from cellwright.backends.cpu.memory import empty
from cellwright.backends.cpu.packing import Packing

__all__ = ["Run"]


class Run(NamedTuple):
    """What a run of a cell over a batch is given, both ways; all tensors contiguous.

    Attributes
    ----------
    inputs
        Values at every step, (T, B, n), in the order of `Spec.inputs`; draws that hold for
        a whole sequence (B, n).
    states
        States before the first step, (B, n).
    weights
        Blocks of weights, as the specification says.
    start
        How many steps each row has behind it, (B, 1), or None.
    reverse
        Whether the sequences are read from the end.
    packing
        Which steps exist; None if all do.
    """

    inputs: Sequence[Tensor]
    states: Sequence[Tensor]
    weights: Sequence[Tensor]
    start: Tensor | None = None
    reverse: bool = False
    packing: Packing | None = None

    @property
    def batch(self) -> Batch:
        """The shape of the batch, as a kernel wants to know it."""
        steps, rows = self.inputs[0].shape[:2]
        if self.packing is None:
            return Batch(steps, rows, self.reverse, None, self.start)
        # Packed, the steps already stand in the order in which they are read.
        return Batch(steps, rows, False, self.packing.lengths, self.rows(self.start))

    def rows(self, value: Any) -> Any:
        """A value with a row for each sequence, as the kernel has them."""
        return self.packing.sort(value) if self.packing and value is not None else value

    def inside(self, values: Sequence[Tensor | None]) -> Sequence[Any]:
        """Values as the kernel has them: with three axes for each step, with two for each row."""
        if self.packing is None:
            return values
        packed = self.packing.pack([None if v is None or v.dim() < 3 else v for v in values])
        pairs = zip(values, packed, strict=True)
        return [self.rows(v) if p is None else p for v, p in pairs]

    def room(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """An uninitialised value of some shape, as the kernel has it."""
        if self.packing is None or len(shape) < 3:
            return empty(*shape, dtype)
        return self.packing.empty(shape[2], dtype)

    def outside(self, values: Sequence[Tensor | None], axes: Iterable[int]) -> Sequence[Any]:
        """Values as the caller has them, of so many axes."""
        packing = self.packing
        if packing is None:
            return values
        pairs = list(zip(values, axes, strict=True))
        steps = self.inputs[0].shape[0]
        unpacked = packing.unpack([None if n < 3 else v for v, n in pairs], steps)
        return [
            p if v is None or n == 3 else packing.unsort(v)
            for p, (v, n) in zip(unpacked, pairs, strict=True)
        ]
