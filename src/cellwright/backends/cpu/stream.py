"""A stack of cells, one step at a time: packed once, then a single call a step."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cellwright.backends.cpu.engine import Engine, array_name
from cellwright.backends.cpu.library import Batch, StreamFunctions
from cellwright.backends.cpu.schedule import schedule_of_stream
from cellwright.backends.cpu.threads import openmp
from cellwright.errors import BackendError

__all__ = ["Chain"]

# Where these stand among the numbers of a chain, see stream.hpp.
_NUMBER, _THREADS = 1, 3


class _Layer:
    """One cell of a chain: its buffers, twice, because they change roles at every step."""

    def __init__(self, engine: Engine, batch: int, dtype: torch.dtype) -> None:
        self.engine = engine
        self.panel = engine.code.stream.panel
        self.program = engine.code.use.program
        self.batch, self.dtype = batch, dtype
        self.schedule = schedule_of_stream(engine.spec)
        self.start = torch.zeros(batch, 1, dtype=torch.int64, device="cpu")
        states = list(self.program.states.items())
        self.states = {
            name: [self._buffer(before.size, before.place == "carried") for _ in range(2)]
            for name, (before, _) in states
        }
        # States that become the same value are kept once, behind the first step.
        kept = {after: name for name, (_, after) in reversed(states)}
        self.home = {name: kept[after] for name, (_, after) in states}
        self.inputs = {
            (leaf.op, leaf.name): self._buffer(leaf.size, False) for leaf in engine.spec.inputs
        }

    def _buffer(self, size: object, filled_up: bool) -> Tensor:
        units = self.engine.spec.units(size)
        wide = -(-units // self.panel) * self.panel if filled_up else units
        return torch.zeros(self.batch, wide, dtype=self.dtype, device="cpu")

    def before(self, name: str, number: int) -> Tensor:
        """Where a state lies before a step, filled up."""
        return self.states[self.home[name] if number else name][number & 1]

    def after(self, name: str, number: int) -> Tensor:
        """Where a state lies after a step, filled up."""
        return self.before(self.home[name], number + 1)

    def state(self, name: str, number: int) -> Tensor:
        """A state before a step, (B, n), to read and to write."""
        units = self.engine.spec.units(self.engine.spec.graph.state_sizes[name])
        return self.before(name, number)[:, :units]

    def open(self, weights: Sequence[Tensor], below: _Layer | None) -> int:
        """Pack the weights; returns the native stream."""
        # Matrices are packed here and not read again; vectors are read at every step.
        plain = [w.detach().resolve_neg() for w in weights]
        weights = [w.clone() if w.dim() == 1 else w.contiguous() for w in plain]
        self.vectors = [weight for weight in weights if weight.dim() == 1]
        places = self.engine.places(weights)
        vectors = {f"vector {name}": address for name, (address, _) in places.items()}
        first, odd, even = (self._arrays(number, below) | vectors for number in range(3))
        function = self.engine.code.use
        batch = Batch(1, self.batch, start=self.start)
        arguments = function.head(batch, self.schedule)
        arguments += function.arguments(self.engine.spec.bound, first, places)
        arguments += [0] * len(self.states)
        later = [arrays.get(a.name, 0) for arrays in (odd, even) for a in self.program.arrays]
        # A state of the layer below may be filled up to whole panels there.
        apart = self._buffers(0, below)
        later += [apart[a.name].stride(0) if a.name in apart else 0 for a in self.program.arrays]
        stream = self.engine.code.stream.open(_numbers(arguments), len(arguments), _numbers(later))
        if not stream:
            raise BackendError(f"{self.program.name}: not enough memory for a stream")
        return int(stream)

    def _arrays(self, number: int, below: _Layer | None) -> dict[str, int]:
        """Where every array lies at a step."""
        found = {name: table.data_ptr() for name, table in self.engine.tables.items()}
        for name, (before, after) in self.program.states.items():
            found[before.name] = self.before(name, number).data_ptr()
            found[after.name] = self.after(name, number).data_ptr()
        return found | {n: b.data_ptr() for n, b in self._buffers(number, below).items()}

    def _buffers(self, number: int, below: _Layer | None) -> dict[str, Tensor]:
        """Where the inputs lie at a step: here, or as states of the layer below."""
        found = {}
        for leaf in self.engine.spec.inputs:
            buffer = self.inputs[leaf.op, leaf.name]
            if below is not None and leaf.op == "below":
                buffer = below.after(leaf.name, number)
            elif below is not None and leaf.name == "x":
                buffer = below.after(below.engine.spec.states[0], number)
            found[array_name(leaf)] = buffer
        return found


class Chain:
    """Cells on top of each other, run one step at a time.

    Parameters
    ----------
    layers
        For each layer its engine and weights.
    batch
        Rows.
    dtype
        float32 or float64.

    Attributes
    ----------
    extras
        Name -> units of what is given at every step.
    """

    def __init__(
        self, layers: Sequence[tuple[Engine, Sequence[Tensor]]], batch: int, dtype: torch.dtype
    ) -> None:
        self.layers = [_Layer(engine, batch, dtype) for engine, _ in layers]
        functions = [layer.engine.code.stream for layer in self.layers]
        self._streams: list[int] = []
        self._finalizer = weakref.finalize(self, _close, functions, self._streams)
        below = [None, *self.layers[:-1]]
        for layer, lower, (_, weights) in zip(self.layers, below, layers, strict=True):
            self._streams.append(layer.open(weights, lower))
        last = self.layers[-1]
        result = last.engine.spec.states[0]
        units = last.after(result, 0).shape[1]
        output = torch.zeros(batch, units, dtype=dtype, device="cpu")
        first = self.layers[0]
        leaves = [leaf for leaf in first.engine.spec.inputs if leaf.op == "input"]
        self.extras = {leaf.name: first.engine.spec.units(leaf.size) for leaf in leaves}
        copies: list[int] = []
        for name in self.extras:
            for layer in self.layers[: 1 if name == "x" else None]:
                target = layer.inputs["input", name]
                copies += [0, target.data_ptr(), target.numel() * target.element_size()]
        threads = max(layer.schedule.threads for layer in self.layers)
        numbers = [len(self.layers), 0, len(copies) // 3, threads, *openmp(), 0]
        for function, stream in zip(functions, self._streams, strict=True):
            numbers += [function.step or 0, stream]
        self._first_copy = len(numbers)
        self._places = self._places_of()
        self._to = len(numbers) + len(copies) + 2
        numbers += [
            *copies,
            last.after(result, 0).data_ptr(),
            last.after(result, 1).data_ptr(),
            0,
            output.numel() * output.element_size(),
        ]
        self.numbers = _numbers(numbers)
        self.output = output
        self._run = functions[0].chain
        self._address = ctypes.addressof(self.numbers)
        _chains.add(self)

    @property
    def output(self) -> Tensor:
        """What the last layer gave at the last step, (B, n); the next step overwrites it."""
        return self._output

    @output.setter
    def output(self, output: Tensor) -> None:
        self._output = output
        self.numbers[self._to] = output.data_ptr()

    def step(self, values: Sequence[Tensor]) -> None:
        """Run one step on contiguous values, (B, n), in the order of `extras`."""
        for places, value in zip(self._places, values, strict=True):
            for place in places:
                self.numbers[place] = value.data_ptr()
        self._run(self._address, 1)

    def step_alone(self, address: int) -> None:
        """Run one step where x is the only input; it lies at this address."""
        self.numbers[self._first_copy] = address
        self._run(self._address, 1)

    def steps(self, values: Sequence[Tensor], output: Tensor) -> None:
        """Run several steps, (T, B, n), and write what each gives."""
        for places, value in zip(self._places, values, strict=True):
            for place in places:
                self.numbers[place] = value.data_ptr()
        self.numbers[self._to] = output.data_ptr()
        self._run(self._address, len(output))
        self.numbers[self._to] = self.output.data_ptr()

    def _places_of(self) -> list[range]:
        """Where the addresses of each input stand among the numbers."""
        at, found = self._first_copy, []
        for name in self.extras:
            count = 1 if name == "x" else len(self.layers)
            found.append(range(at, at + 3 * count, 3))
            at += 3 * count
        return found

    def states(self) -> list[dict[str, Tensor]]:
        """For each layer its states, (B, n), and ``t``, the steps behind each row: copies."""
        number = self.numbers[_NUMBER]
        return [
            {name: layer.state(name, number).clone() for name in layer.states}
            | {"t": layer.start + number}
            for layer in self.layers
        ]

    def reset(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Start from these states; without ``t`` no step lies behind."""
        self.numbers[_NUMBER] = 0
        for layer, given in zip(self.layers, states, strict=True):
            layer.start.copy_(given["t"]) if "t" in given else layer.start.zero_()
            for name in layer.states:
                layer.state(name, 0).copy_(given[name])


# OpenMP's threads do not survive a fork, and a child must not wait for them.
_chains: weakref.WeakSet[Chain] = weakref.WeakSet()


def _alone() -> None:
    for chain in _chains:
        chain.numbers[_THREADS] = 1


os.register_at_fork(after_in_child=_alone)


def _numbers(values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * len(values))(*values)


def _close(functions: Sequence[StreamFunctions], streams: Sequence[int]) -> None:
    for function, stream in zip(functions, streams, strict=False):
        function.close(stream)
