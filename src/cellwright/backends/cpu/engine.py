"""Runs compiled programs on tensors: what stands between torch and the kernels.

Shapes: T time, B batch, n the units of whatever is meant; time first throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cellwright.backends.cpu.library import Batch, Function, StreamFunctions, compiled
from cellwright.backends.cpu.memory import empty
from cellwright.backends.cpu.packing import Packing
from cellwright.backends.cpu.schedule import schedule
from cellwright.backends.cpu.spec import Spec
from cellwright.ir import Graph, Node, block_of_units
from cellwright.plan import Plan, plan

__all__ = ["Engine", "Run", "array_name", "engine"]


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


@lru_cache(maxsize=256)
def _compiled(graph: Graph, record: tuple[str, ...], dtype: torch.dtype) -> _Compiled:
    inference, training = (plan(graph, record, training=t) for t in (False, True))
    assert training.backward is not None
    programs = (inference.forward, training.forward, training.backward)
    (use, forward, backward), stream = compiled(programs, graph.name, dtype)
    return _Compiled(inference, training, use, forward, backward, stream)


@dataclass(frozen=True)
class Run:
    """What a run of a cell over a batch is given, both ways; all tensors contiguous.

    Attributes
    ----------
    inputs
        Values at every step, (T, B, n), in the order of `Engine.inputs`; draws that hold for
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

    def steps(self, value: Any) -> Any:
        """A value with a row for each step of each sequence, as the kernel has them."""
        return self.packing.pack(value) if self.packing and value is not None else value

    def back(self, value: Tensor | None) -> Tensor | None:
        """The other way round: a value as the caller has it."""
        if value is None or self.packing is None:
            return value
        if value.dim() == 3:
            return self.packing.unpack(value.flatten(0, 1), len(value))
        return self.packing.unsort(value)


class Engine:
    """One cell of given sizes, forward and backward.

    Attributes
    ----------
    inputs
        The leaves that are given a value at every step: inputs, the layer below, draws.
    states
        Names of the states.
    seen
        Names of what is handed out at every step, the output first.
    """

    def __init__(self, spec: Spec, dtype: torch.dtype) -> None:
        self.spec, self.dtype = spec, dtype
        graph = spec.graph
        self.code = _compiled(graph, spec.record, dtype)
        self.inputs = tuple(v for v in graph.nodes if v.op in ("input", "below", "bernoulli"))
        self.states = tuple(graph.state_sizes)
        self.seen = tuple(dict.fromkeys((self.states[0], *spec.record)))
        programs = (self.code.training.forward, self.code.backward.program)
        self.tables = {
            array.name: self._table(value)
            for program in programs
            for value, array in program.loads.items()
            if value.op == "per_unit"
        }

    def _table(self, value: Node) -> Tensor:
        numbers: Any = value.attributes["values"]
        blocks = block_of_units(self.spec.units(value.size), len(numbers))
        return torch.tensor([numbers[block] for block in blocks], dtype=self.dtype)

    def run(
        self, tensors: Sequence[Tensor], active: Tensor | None, start: Tensor | None, reverse: bool
    ) -> Run:
        """A run on inputs, states and weights, one after the other."""
        first, second = len(self.inputs), len(self.inputs) + len(self.states)
        packing = None if active is None else Packing.of(active, reverse)
        inputs, states = tensors[:first], tensors[first:second]
        return Run(inputs, states, tensors[second:], start, reverse, packing)

    def units_of_seen(self) -> list[int]:
        """Units of everything that is handed out at every step."""
        graph = self.spec.graph
        sizes = (graph.state_sizes.get(n, graph.observable[n].size) for n in self.seen)
        return [self.spec.units(size) for size in sizes]

    def units_of_states(self) -> list[int]:
        """Units of each state."""
        return [self.spec.units(size) for size in self.spec.graph.state_sizes.values()]

    def units_of_saved(self) -> list[int]:
        """Units of everything that a training forward leaves for the backward."""
        return [self.spec.units(array.size) for array in self.code.training.saved]

    def forward(self, run: Run, training: bool) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What is seen, (T, B, n); the states after, (B, n); and what is saved."""
        steps, rows = run.inputs[0].shape[:2]
        new = run.inputs[0].new_empty
        seen = [new(steps, rows, units) for units in self.units_of_seen()]
        after = [new(rows, units) for units in self.units_of_states()]
        saved = [empty(steps * rows, n, self.dtype) for n in self.units_of_saved() if training]
        given = self._given(run) | _named("seen {}", self.seen, seen)
        given |= {a.name: s for a, s in zip(self.code.training.saved, saved, strict=False)}
        function = self.code.forward if training else self.code.use
        self._call(function, run, given, after=dict(zip(self.states, after, strict=True)))
        return [_there(run.back(v)) for v in seen], [_there(run.back(v)) for v in after], saved

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
        given = self._given(run) | _named("seen {}", self.seen, map(run.steps, seen))
        of_seen, of_states = gradients[: len(seen)], gradients[len(seen) :]
        given |= _named("gradient of seen {}", self.seen, map(run.steps, of_seen))
        given |= _named("gradient of {} after", self.states, map(run.rows, of_states))
        given |= {a.name: s for a, s in zip(self.code.training.saved, saved, strict=True)}
        tensors = [*run.inputs, *run.states, *run.weights]
        found = [torch.empty_like(t) if w else None for t, w in zip(tensors, wanted, strict=True)]
        of_inputs, of_start, of_weights = _cut(found, len(run.inputs), len(run.states))
        targets = _named("gradient of {}", map(array_name, self.inputs), of_inputs)
        for target in targets.keys() - {array.name for array in self.code.backward.program.arrays}:
            targets.pop(target).zero_()
        self._call(
            self.code.backward,
            run,
            given | targets,
            gradients=of_weights,
            after=_named("{}", self.states, of_start),
        )
        rows = [run.back(g) for g in (*of_inputs, *of_start)]
        return [*rows, *of_weights]

    def _given(self, run: Run) -> dict[str, Tensor]:
        """What both directions read alike."""
        inputs = (run.rows(v) if v.dim() == 2 else run.steps(v) for v in run.inputs)
        given = _named("{}", map(array_name, self.inputs), inputs)
        return given | _named("before {}", self.states, map(run.rows, run.states)) | self.tables

    def _call(
        self,
        function: Function,
        run: Run,
        given: Mapping[str, Tensor],
        gradients: Sequence[Tensor | None] = (),
        after: Mapping[str, Tensor] | None = None,
    ) -> None:
        weights = self.places(run.weights)
        arrays = {name: tensor.data_ptr() for name, tensor in given.items()}
        arrays |= {f"vector {name}": address for name, (address, _) in weights.items()}
        targets = self.places(gradients) if gradients else {}
        reached = {*function.gradients, *function.sums}
        for names, gradient in zip(self.spec.blocks, gradients, strict=False):
            if gradient is not None and not reached.issuperset(names):
                gradient.zero_()
        batch = run.batch
        function(
            batch,
            schedule(self.spec, batch),
            self.spec.bound,
            arrays,
            weights,
            targets,
            {name: address for name, (address, _) in targets.items()},
            {name: tensor.data_ptr() for name, tensor in (after or {}).items()},
        )

    def places(self, blocks: Sequence[Tensor | None]) -> dict[str, tuple[int, int]]:
        """Name -> address and row stride of each weight within its block."""
        found = {}
        for names, block in zip(self.spec.blocks, blocks, strict=True):
            if block is None:
                continue
            row = block.shape[1] if block.dim() == 2 else 1
            address = block.data_ptr()
            for name in names:
                found[name] = address, row
                units = self.spec.units(self.spec.graph.weights[name].size)
                address += units * row * block.element_size()
        return found


def array_name(leaf: Node) -> str:
    """The name under which plans know an input."""
    if leaf.op == "bernoulli":
        return f"draw {leaf.name}"
    return f"input below {leaf.name}" if leaf.op == "below" else f"input {leaf.name}"


def _named(pattern: str, names: Any, values: Any) -> dict[str, Tensor]:
    pairs = zip(names, values, strict=True)
    return {pattern.format(name): value for name, value in pairs if value is not None}


def _cut(values: list[Any], first: int, second: int) -> tuple[list[Any], list[Any], list[Any]]:
    return values[:first], values[first : first + second], values[first + second :]


def _there(value: Tensor | None) -> Tensor:
    assert value is not None
    return value
