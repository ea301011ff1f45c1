"""The shortest way to a kernel: a forward pass without a gradient that nobody looks at.

A kernel that has run has driven the interpreter out of the processor's caches, and every line
of Python behind it takes ten times as long as it would alone. So what does not change from
call to call is worked out at the first one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cellwright.backends.cpu.engine import Engine
from cellwright.backends.cpu.memory import empty

__all__ = ["Direct"]


class Direct:
    """A compiled cell for batches of one shape that start from zero states.

    Parameters
    ----------
    engine
        The cell.
    steps, rows
        The shape, T and B.
    reverse
        Whether the sequences are read from the end.
    weights
        Blocks of weights like those that will be given.
    """

    def __init__(
        self, engine: Engine, steps: int, rows: int, reverse: bool, weights: Sequence[Tensor]
    ) -> None:
        self._run = engine.direct(steps, rows, reverse)
        self._dtype = engine.dtype
        self._seen = [(steps, rows, units) for units in engine.units_of_seen()]
        self._states = [(1, rows, units) for units in engine.units_of_states()]
        # Kernels read the first states, and never write them.
        self._zeros = [torch.zeros(shape, dtype=engine.dtype) for shape in self._states]
        self._first = [zero.data_ptr() for zero in self._zeros]
        self._shapes = [weight.shape for weight in weights]

    def __call__(self, x: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]] | None:
        """The output, (T, B, n), and each state after the last step, (1, B, n).

        None if the weights are not what they were when this was made: of another shape or
        type, or on another device.
        """
        dtype = self._dtype
        for weight, shape in zip(weights, self._shapes, strict=True):
            if weight.shape != shape or weight.dtype is not dtype or not weight.is_cpu:
                return None
        # Held until the end: a copy must not be let go while the kernel reads it.
        given = [x.contiguous(), *[weight.contiguous() for weight in weights]]
        found = [empty(*shape, dtype) for shape in self._seen + self._states]
        source, *blocks = [tensor.data_ptr() for tensor in given]
        self._run(source, *self._first, *blocks, *[tensor.data_ptr() for tensor in found])
        return found[0], found[len(self._seen) :]
