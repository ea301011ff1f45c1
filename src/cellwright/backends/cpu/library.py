"""A plan, compiled: its functions, and how their arguments are laid out."""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cellwright.backends.cpu.render import (
    gradients_of,
    matrices_of,
    render,
    runner,
    sizes_of,
    tiles,
)
from cellwright.backends.cpu.threads import openmp
from cellwright.errors import BackendError
from cellwright.ir import units_of
from cellwright.plan import Program
from cellwright.settings import settings
from cellwright.toolchain import beside, load

__all__ = ["REAL", "Batch", "Function", "Schedule", "StreamFunctions", "compiled"]

_OF_THE_RUNNER = (
    "run_program",
    "take_tiles",
    "open_stream",
    "close_stream",
    "step_stream",
    "step_chain",
    "panel_width",
    "tile_rows",
    "order_steps",
    "move_rows",
)

REAL = {torch.float32: "float", torch.float64: "double"}


@dataclass(frozen=True)
class Schedule:
    """How a call is spread over threads and steps.

    Attributes
    ----------
    threads
        How many work on it.
    hoist
        Whether products of the input are done for many steps at once, before the loop.
    share_units
        Whether threads share the units, and meet at every step; else they share the rows.
    chunk
        Steps between two sums of gradients; 0 lets the kernel choose.
    """

    threads: int = 1
    hoist: bool = False
    share_units: bool = False
    chunk: int = 0


class Batch(NamedTuple):
    """What a batch of sequences looks like; lengths sorted, longest first, or None."""

    steps: int
    rows: int
    reverse: bool = False
    lengths: Tensor | None = None
    start: Tensor | None = None


class Function:
    """One program, compiled."""

    def __init__(self, program: Program, call: Callable[..., int], tile_rows: int) -> None:
        self.program = program
        self.call = call
        self.tile_rows = tile_rows
        self.sizes = sizes_of(program)
        self.matrices = [matrix.name for matrix in matrices_of(program)]
        self.gradients = [matrix.name for matrix in gradients_of(program)]
        self.sums = [each.vector.name for each in program.sums]

    def run(self, arguments: Sequence[int]) -> None:
        """Run it on `head`, `arguments` and `targets`, which `Call` in run.hpp takes apart."""
        # Packed in a tenth of the time that an array of ctypes takes.
        if self.call(struct.pack(f"{len(arguments)}q", *arguments)):
            raise BackendError(f"{self.program.name}: not enough memory")

    @staticmethod
    def head(batch: Batch, schedule: Schedule) -> list[int]:
        """What changes with the batch."""
        return [
            *openmp(),
            schedule.threads,
            batch.steps,
            batch.rows,
            int(batch.reverse),
            int(schedule.hoist),
            int(schedule.share_units),
            schedule.chunk,
            _address(batch.lengths),
            _address(batch.start),
        ]

    def arguments(
        self,
        sizes: Mapping[str, int],
        arrays: Mapping[str, int],
        matrices: Mapping[str, tuple[int, int]],
    ) -> list[int]:
        """Sizes, arrays and matrices, as the kernel reads them behind the head."""
        found = [
            *(units_of(size, sizes) for size in self.sizes),
            *(arrays.get(array.name, 0) for array in self.program.arrays),
        ]
        for name in self.matrices:
            found += matrices[name]
        return found

    def targets(
        self,
        gradients: Mapping[str, tuple[int, int]],
        sums: Mapping[str, int],
        after: Mapping[str, int],
    ) -> list[int]:
        """Where gradients of weights and the last states go, as the kernel reads them last."""
        found: list[int] = []
        for name in self.gradients:
            found += gradients.get(name, (0, 0))
        found += [sums.get(name, 0) for name in self.sums]
        return found + [after.get(name, 0) for name in self.program.states]


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def compiled(
    programs: Sequence[Program], name: str, dtype: torch.dtype, narrow: bool
) -> tuple[list[Function], StreamFunctions, RaggedFunctions]:
    """Compile programs into a library, or find it in the cache."""
    # What runs them is compiled at the first cell ever, and then beside it.
    with beside() as start:
        running = start(_runner, dtype, narrow)
        library = _load(render(programs, REAL[dtype]), name, ("program",))
        run = running.result()
    library.program.restype = ctypes.c_void_p
    tables = [ctypes.c_void_p(library.program(number)) for number in range(len(programs))]
    functions = [
        Function(program, partial(run.run_program, table), run.tile_rows())
        for program, table in zip(programs, tables, strict=True)
    ]
    # Streams use the first program, which computes a cell without a thought of gradients.
    return functions, StreamFunctions(run, tables[0]), RaggedFunctions(run)


@lru_cache
def _runner(dtype: torch.dtype, narrow: bool) -> ctypes.CDLL:
    """What runs programs in this precision."""
    real, name = REAL[dtype], "bfloat16" if narrow else REAL[dtype]
    with beside() as start:
        multiplying = start(_load, tiles(real, narrow), f"tiles_{name}", ("tiles",))
        run = _load(runner(real, narrow), f"runner_{name}", _OF_THE_RUNNER)
        multiply = multiplying.result()
    multiply.tiles.restype = run.take_tiles.restype = ctypes.c_void_p
    run.take_tiles(ctypes.c_void_p(multiply.tiles()))
    run.open_stream.argtypes = (*[ctypes.c_void_p] * 2, ctypes.c_int64, ctypes.c_void_p)
    run.open_stream.restype = ctypes.c_void_p
    run.close_stream.argtypes = (ctypes.c_void_p,)
    run.close_stream.restype = None
    run.step_chain.argtypes = (ctypes.c_void_p, ctypes.c_int64)
    run.step_chain.restype = None
    run.order_steps.argtypes = (ctypes.c_void_p, *[ctypes.c_int64] * 3, *[ctypes.c_void_p] * 3)
    run.order_steps.restype = ctypes.c_int64
    run.move_rows.restype = None
    return run


def _load(source: str, name: str, functions: tuple[str, ...]) -> ctypes.CDLL:
    # Hardly slower than -O3, because the kernels are written as vectors, and compiled in 2/3 of
    # the time.
    library = load(source, name=name, flags=("-O2",), functions=functions)
    if settings().debug >= 3:
        print(f"# {name}: {Path(library._name).with_suffix('.cpp')}", file=sys.stderr)
    return library


class StreamFunctions:
    """How a compiled cell is run one step at a time; see stream.hpp."""

    def __init__(self, run: ctypes.CDLL, table: ctypes.c_void_p) -> None:
        self.open = partial(run.open_stream, table)
        self.close = run.close_stream
        self.step = ctypes.cast(run.step_stream, ctypes.c_void_p).value
        self.chain = run.step_chain
        self.panel = int(run.panel_width())


class RaggedFunctions:
    """How rows of ragged batches are put in order; see ragged.hpp."""

    def __init__(self, run: ctypes.CDLL) -> None:
        self._order, self._move = run.order_steps, run.move_rows

    def order(self, active: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Places, order and lengths of a `Packing` for steps that exist, (T, B)."""
        steps, batch = active.shape
        new = active.new_empty
        found = tuple(new(n, dtype=torch.int64) for n in (steps * batch, batch, batch))
        active = active.contiguous()
        self._order(active.data_ptr(), steps, batch, reverse, *map(_address, found))
        return found  # type: ignore[return-value]

    def move(
        self, places: Tensor, there: int, pairs: Sequence[tuple[Tensor, Tensor]], *, back: bool
    ) -> None:
        """Bring the rows of each first tensor to where they lie packed in the second, or back."""
        head = [*openmp(), torch.get_num_threads(), places.data_ptr(), there, len(places), back]
        arrays = [n for a, b in pairs for n in (a.data_ptr(), b.data_ptr(), a.shape[-1])]
        numbers = [*head, len(pairs), *arrays]
        self._move(struct.pack(f"{len(numbers)}q", *numbers))
