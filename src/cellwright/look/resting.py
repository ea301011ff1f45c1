"""How much of a matrix is multiplied at a step where units rest at some."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cellwright.backends import Call
from cellwright.backends.reference import ReferenceKernel, kept_by_mask
from cellwright.ir import Graph, Node, units_of

__all__ = ["entries_that_tick"]


def entries_that_tick(
    rows: tuple[int, Node | None],
    columns: tuple[int, Node | None],
    mask: object,
    cell: Graph,
    sizes: Mapping[str, int],
    steps: int,
) -> float:
    """Entries of a matrix that its mask keeps, in rows and columns that tick: their mean.

    Parameters
    ----------
    rows, columns
        How many there are, and the clock by which they rest, or None.
    mask
        Of the matrix, or None.
    cell, sizes
        Whose clocks these are, and its symbols -> number of units.
    steps
        The first so many are looked at.
    """
    left, right = (_ticking(clock, n, cell, sizes, steps) for n, clock in (rows, columns))
    if isinstance(mask, tuple):
        seen = left @ kept_by_mask(mask, rows[0], columns[0]).double()
    else:
        seen = left.sum(1, keepdim=True)
    return (seen * right).sum(1).mean().item()


def _ticking(
    clock: Node | None, units: int, cell: Graph, sizes: Mapping[str, int], steps: int
) -> Tensor:
    """Which units tick at each step, (steps, units), as ones and zeros."""
    if clock is None:
        return torch.ones(steps, units, dtype=torch.float64)
    x, state = cell.inputs[0], cell.states[0]
    seen = Graph("clock", (x,), (state,), (state,), signals=(("ticks", clock),))
    call = Call(
        inputs={"x": torch.zeros(1, steps, units_of(x.size, sizes))},
        states={state.name: torch.zeros(steps, units_of(state.size, sizes))},
        weights={},
        start=torch.arange(steps).unsqueeze(1),  # all steps at once, as rows
        record=("ticks",),
    )
    return ReferenceKernel(seen, sizes)(call).signals["ticks"][0].double()
