"""Runs compiled programs on tensors: what stands between torch and the kernels.

Shapes: T time, B batch, n the units of whatever is meant; time first throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from cellwright.backends.cpu.arguments import Arguments, Given
from cellwright.backends.cpu.library import (
    Batch,
    Function,
    RaggedFunctions,
    Schedule,
    StreamFunctions,
    compiled,
)
from cellwright.backends.cpu.memory import empty
from cellwright.backends.cpu.packing import Packing
from cellwright.backends.cpu.run import Run
from cellwright.backends.cpu.schedule import schedule
from cellwright.backends.cpu.spec import Spec
from cellwright.ir import Graph, Node, Size, block_of_units
from cellwright.plan import Plan, plan

__all__ = ["Engine", "array_name", "engine"]

# Numbers: of a cache line at most, and between two arrays that lie in one block.
_LINE, _APART = 16, 80


@lru_cache(maxsize=256)
def engine(spec: Spec, dtype: torch.dtype) -> Engine:
    """The engine of a cell; engines that differ in sizes only share their compiled code."""
    return Engine(spec, dtype)


@dataclass(frozen=True)
class _Compiled:
    inference: Plan
    training: Plan
    use: Function
    forward: Function
    backward: Function
    stream: StreamFunctions
    ragged: RaggedFunctions


@lru_cache(maxsize=256)
def _compiled(graph: Graph, record: tuple[str, ...], dtype: torch.dtype, narrow: bool) -> _Compiled:
    inference, training = (plan(graph, record, training=t) for t in (False, True))
    assert training.backward is not None
    programs = (inference.forward, training.forward, training.backward)
    (use, forward, backward), stream, ragged = compiled(programs, graph.name, dtype, narrow)
    return _Compiled(inference, training, use, forward, backward, stream, ragged)


class Engine:
    """One cell of given sizes, forward and backward."""

    def __init__(self, spec: Spec, dtype: torch.dtype) -> None:
        self.spec, self.dtype = spec, dtype
        graph = spec.graph
        self.code = _compiled(graph, spec.record, dtype, spec.narrow)
        programs = (self.code.training.forward, self.code.backward.program)
        self.tables = {
            array.name: self._table(value)
            for program in programs
            for value, array in (*program.loads.items(), *program.ahead_loads.items())
            if value.op == "per_unit"
        }
        self._units = (
            self._units_of(graph.state_sizes.get(n, graph.observable[n].size) for n in spec.seen),
            self._units_of(graph.state_sizes.values()),
            self._units_of(array.size for array in self.code.training.saved),
        )
        self._cuts = len(spec.inputs), len(spec.inputs) + len(spec.states)
        self._offsets = [self._offsets_in(names) for names in spec.blocks]
        self._prepare_arguments()

    def _offsets_in(self, names: tuple[str, ...]) -> list[int]:
        """How many bytes of a block stand before each of its weights."""
        found, total = [], 0
        for name in names:
            weight = self.spec.graph.weights[name]
            found.append(total)
            total += self.spec.units(weight.size) * self._stride(weight) * self.dtype.itemsize
        return found

    def _stride(self, weight: Node) -> int:
        return self.spec.units(weight.attributes.get("columns", 1))

    def _units_of(self, sizes: Iterable[Size]) -> list[int]:
        return [self.spec.units(size) for size in sizes]

    def _prepare_arguments(self) -> None:
        code, spec = self.code, self.spec
        weights = [name for names in spec.blocks for name in names]
        given: list[Given] = [("array", array_name(leaf)) for leaf in spec.inputs]
        given += [("array", f"before {name}") for name in spec.states]
        given += [("weight", name) for name in weights]
        given += [("array", f"seen {name}") for name in spec.seen]
        after: list[Given] = [("after", name) for name in spec.states]
        saved: list[Given] = [("array", array.name) for array in code.training.saved]
        coming: list[Given] = [("array", f"gradient of seen {name}") for name in spec.seen]
        coming += [("array", f"gradient of {name} after") for name in spec.states]
        targets: list[Given] = [("array", f"gradient of {array_name(v)}") for v in spec.inputs]
        targets += [*after, *(("gradient", name) for name in weights)]
        self._use = self._arguments(code.use, [*given, *after])
        self._train = self._arguments(code.forward, [*given, *saved, *after])
        self._learn = self._arguments(code.backward, [*given, *saved, *coming, *targets])
        there = {array.name for array in code.backward.program.arrays}
        reached = {*code.backward.gradients, *code.backward.sums}
        # Inputs and blocks of weights (counted behind inputs and states) that nothing flows to,
        # or not to all of.
        wide = len(spec.inputs)
        self._unreached = [n for n, (_, name) in enumerate(targets[:wide]) if name not in there]
        self._unreached += [
            wide + len(spec.states) + number
            for number, names in enumerate(spec.blocks)
            if not reached.issuperset(names)
        ]

    def _arguments(self, function: Function, given: list[Given]) -> Arguments:
        weights = self.spec.graph.weights
        strides = {n: self._stride(weights[n]) for names in self.spec.blocks for n in names}
        fixed = {name: table.data_ptr() for name, table in self.tables.items()}
        return Arguments(function, self.spec.bound, strides, fixed, given)

    def _table(self, value: Node) -> Tensor:
        numbers: Any = value.attributes["values"]
        blocks = block_of_units(self.spec.units(value.size), len(numbers))
        found = [numbers[block] for block in blocks]
        # Whoever looks on now, as fake tensors do, is gone when the kernel reads the numbers.
        with _disable_current_modes():
            return torch.tensor(found, dtype=self.dtype, device="cpu")

    def run(
        self, tensors: Sequence[Tensor], active: Tensor | None, start: Tensor | None, reverse: bool
    ) -> Run:
        """A run on inputs, states and weights, one after the other."""
        first, second = self._cuts
        packing = None if active is None else Packing.of(active, reverse, self.code.ragged)
        inputs, states = tensors[:first], tensors[first:second]
        return Run(inputs, states, tensors[second:], start, reverse, packing)

    def units_of_seen(self) -> list[int]:
        """Units of everything that is handed out at every step."""
        return self._units[0]

    def units_of_states(self) -> list[int]:
        """Units of each state."""
        return self._units[1]

    def places_of_saved(self, count: int) -> list[int]:
        """Where in one tensor everything lies that a training forward leaves for the backward.

        The number that each array begins with, for so many rows of all steps, and behind the
        last one how many there are altogether.
        """
        places = [0]
        for units in self._units[2]:
            # Rows of two arrays that are read side by side should not share cache places.
            places.append(places[-1] + -(-count * units // _LINE) * _LINE + _APART)
        return places

    def forward(self, run: Run, training: bool) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What is seen, (T, B, n); the states after, (B, n); what is saved, in one tensor."""
        steps, rows = run.inputs[0].shape[:2]
        new = run.inputs[0].new_empty
        # A network is called again and again: what it gave last time has often been let go.
        seen = [run.room(steps, rows, units, dtype=self.dtype) for units in self.units_of_seen()]
        after = [new(rows, units) for units in self.units_of_states()]
        places = self.places_of_saved(steps * rows) if training else [0]
        saved = [empty(places[-1], self.dtype)] if places[-1] else []
        given = run.inside([*run.inputs, *run.states])
        addresses = [*_addresses(given), *self._addresses_in(run.weights)]
        addresses += [*_addresses(seen), *self._addresses_of(saved, places), *_addresses(after)]
        batch = run.batch
        (self._train if training else self._use)(batch, self._schedule(batch), addresses)
        found = run.outside([*seen, *after], [3] * len(seen) + [2] * len(after))
        return list(found[: len(seen)]), list(found[len(seen) :]), saved

    def ready(self, way: Literal["use", "train", "learn"], batch: Batch) -> Callable[..., None]:
        """What runs batches of one shape that start at step 0, as fast as it can be called.

        Without a gradient ("use"), with what it needs saved ("train"), or that gradient itself
        ("learn"). It takes the address of each input, of each state before the first step, of
        each block of weights, of what is seen and, but for "use", of what is saved; then of
        each state after the last step, or the gradients of what is seen and of these states,
        and those of inputs, of first states and of blocks of weights, 0 for what is left out.
        """
        function = {"use": self._use, "train": self._train, "learn": self._learn}[way]
        run = function.ready(batch, self._schedule(batch))
        if all(offsets == [0] for offsets in self._offsets):
            return run
        wide, offsets = self._cuts[1], self._offsets
        end = wide + len(offsets)

        def inside(blocks: Sequence[int]) -> list[int]:
            pairs = zip(blocks, offsets, strict=True)
            return [a + n if a else 0 for a, numbers in pairs for n in numbers]

        def in_blocks(*addresses: int) -> None:
            run(*addresses[:wide], *inside(addresses[wide:end]), *addresses[end:])

        def with_gradients(*addresses: int) -> None:
            last = len(addresses) - len(offsets)
            in_blocks(*addresses[:last], *inside(addresses[last:]))

        return with_gradients if way == "learn" else in_blocks

    def backward(
        self,
        run: Run,
        gradients: Sequence[Tensor | None],
        seen: Sequence[Tensor],
        saved: Sequence[Tensor],
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Gradients of inputs, states and weights, in this order; None where not wanted.

        Parameters
        ----------
        run
            What the forward run was given.
        gradients
            Of everything seen and of the states after; None for zero.
        seen, saved
            What the forward run returned.
        wanted
            Whether each gradient is wanted.
        """
        tensors = [*run.inputs, *run.states, *run.weights]
        found = [
            run.room(*t.shape, dtype=t.dtype) if w else None
            for t, w in zip(tensors, wanted, strict=True)
        ]
        self.clear_unreached(found)
        rows = len(run.inputs) + len(run.states)
        inside = run.inside([*tensors[:rows], *seen, *gradients])
        addresses = [*_addresses(inside[:rows]), *self._addresses_in(run.weights)]
        places = self.places_of_saved(run.inputs[0].shape[0] * run.inputs[0].shape[1])
        outputs, coming = inside[rows : rows + len(seen)], inside[rows + len(seen) :]
        addresses += [*_addresses(outputs), *self._addresses_of(saved, places)]
        addresses += _addresses([*coming, *found[:rows]])
        addresses += self._addresses_in(found[rows:])
        batch = run.batch
        self._learn(batch, self._schedule(batch), addresses)
        return [*run.outside(found[:rows], [t.dim() for t in tensors[:rows]]), *found[rows:]]

    def _schedule(self, batch: Batch) -> Schedule:
        return schedule(self.spec, batch, self.code.use.tile_rows)

    def _addresses_in(self, blocks: Sequence[Tensor | None]) -> list[int]:
        """The address of each weight, or of its gradient, within its block."""
        found: list[int] = []
        for block, numbers in zip(blocks, self._offsets, strict=True):
            if block is None:
                found += [0] * len(numbers)
            elif len(numbers) == 1:
                found.append(block.data_ptr())
            else:
                start = block.data_ptr()
                found += [start + number for number in numbers]
        return found

    def clear_unreached(self, gradients: Sequence[Tensor | None]) -> None:
        """Write zeros where no gradient arrives: of inputs, states and weights, in this order."""
        for number in self._unreached:
            gradient = gradients[number]
            if gradient is not None:
                gradient.zero_()

    def clear_unwritten(self, saved: Tensor, run: Run) -> None:
        """Write zeros where a forward run has left what is saved as it was."""
        count = run.inputs[0].shape[0] * run.inputs[0].shape[1]
        there = run.packing.there if run.packing else count
        places = self.places_of_saved(count)
        for units, place, end in zip(self._units[2], places, places[1:], strict=False):
            saved[place + there * units : end] = 0

    def _addresses_of(self, saved: Sequence[Tensor], places: Sequence[int]) -> list[int]:
        start, size = (saved[0].data_ptr() if saved else 0), self.dtype.itemsize
        return [start + place * size for place in places[:-1]]

    def places(self, blocks: Sequence[Tensor]) -> dict[str, tuple[int, int]]:
        """Name -> address and row stride of each weight within its block."""
        names = [name for block in self.spec.blocks for name in block]
        strides = [self._stride(self.spec.graph.weights[name]) for name in names]
        return dict(zip(names, zip(self._addresses_in(blocks), strides, strict=True), strict=True))


def array_name(leaf: Node) -> str:
    """The name under which plans know an input."""
    if leaf.op == "bernoulli":
        return f"draw {leaf.name}"
    return f"input below {leaf.name}" if leaf.op == "below" else f"input {leaf.name}"


def _addresses(tensors: Iterable[Tensor | None]) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
