"""A stack of cells, one step at a time: packed once, then a single call a step."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cellwright.backends.cpu.engine import Engine, array_name
from cellwright.backends.cpu.library import Batch, Schedule, StreamFunctions
from cellwright.errors import BackendError

__all__ = ["Chain"]


class _Layer:
    """One cell of a chain: its buffers, twice, because they change roles at every step."""

    def __init__(
        self, engine: Engine, weights: Sequence[Tensor], batch: int, dtype: torch.dtype
    ) -> None:
        self.engine = engine
        # The kernel packs what it is given here; nothing of it is read again.
        self.weights = [weight.detach().contiguous() for weight in weights]
        self.panel = self.engine.code.stream.panel
        self.program = self.engine.code.use.program
        self.batch, self.dtype = batch, dtype
        self.states = {
            name: [self._buffer(before.size, before.place == "carried") for _ in range(2)]
            for name, (before, _) in self.program.states.items()
        }
        self.inputs = {
            (leaf.op, leaf.name): self._buffer(leaf.size, False) for leaf in self.engine.inputs
        }

    def _buffer(self, size: object, filled_up: bool) -> Tensor:
        units = self.engine.spec.units(size)
        wide = -(-units // self.panel) * self.panel if filled_up else units
        return torch.zeros(self.batch, wide, dtype=self.dtype)

    def state(self, name: str, turn: int) -> Tensor:
        """A state before the steps of one turn, (B, n), to read and to write."""
        units = self.engine.spec.units(self.engine.spec.graph.state_sizes[name])
        return self.states[name][turn][:, :units]

    def open(self, start: Tensor, below: _Layer | None) -> int:
        """Pack the weights; returns the native stream."""
        code = self.engine.code
        arrays = [self._arrays(turn, below) for turn in range(2)]
        places = self.engine.places(self.weights)
        vectors = {f"vector {name}": address for name, (address, _) in places.items()}
        given, odd = ({**a, **vectors} for a in arrays)
        function = code.use
        arguments = function.arguments(
            Batch(1, self.batch, start=start), Schedule(), self.engine.spec.bound, given, places
        )
        arguments += [0] * len(self.states)
        others = [odd.get(array.name, 0) for array in self.program.arrays]
        # A state of the layer below may be filled up to whole panels there.
        apart = self._buffers(0, below)
        others += [
            apart[array.name].stride(0) if array.name in apart else 0
            for array in self.program.arrays
        ]
        stream = code.stream.open(_numbers(arguments), len(arguments), _numbers(others))
        if not stream:
            raise BackendError(f"{self.program.name}: not enough memory for a stream")
        return int(stream)

    def _arrays(self, turn: int, below: _Layer | None) -> dict[str, int]:
        """Where every array lies at the steps of one turn."""
        found = {name: table.data_ptr() for name, table in self.engine.tables.items()}
        for name, (before, after) in self.program.states.items():
            found[before.name] = self.states[name][turn].data_ptr()
            found[after.name] = self.states[name][1 - turn].data_ptr()
        return found | {name: b.data_ptr() for name, b in self._buffers(turn, below).items()}

    def _buffers(self, turn: int, below: _Layer | None) -> dict[str, Tensor]:
        """Where the inputs lie at the steps of one turn: here, or as states of the layer below."""
        found = {}
        for leaf in self.engine.inputs:
            buffer = self.inputs[leaf.op, leaf.name]
            if below is not None and leaf.op == "below":
                buffer = below.states[leaf.name][1 - turn]
            elif below is not None and leaf.name == "x":
                buffer = below.states[below.engine.states[0]][1 - turn]
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
    output
        What the last layer gave at the last step, (B, n); the next step overwrites it.
    """

    def __init__(
        self, layers: Sequence[tuple[Engine, Sequence[Tensor]]], batch: int, dtype: torch.dtype
    ) -> None:
        self.layers = [_Layer(engine, weights, batch, dtype) for engine, weights in layers]
        self.start = torch.zeros(batch, 1, dtype=torch.int64)
        pairs = zip(self.layers, [None, *self.layers[:-1]], strict=True)
        self._streams = [layer.open(self.start, below) for layer, below in pairs]
        functions = [layer.engine.code.stream for layer in self.layers]
        self._finalizer = weakref.finalize(self, _close, functions, self._streams)
        last = self.layers[-1]
        last_states = last.states[last.engine.states[0]]
        self.output = torch.empty(batch, last_states[0].shape[1], dtype=dtype)
        self.extras = [leaf.name for leaf in self.layers[0].engine.inputs if leaf.op == "input"]
        copies: list[int] = []
        for name in self.extras:
            for number, layer in enumerate(self.layers):
                if number == 0 or name != "x":
                    target = layer.inputs["input", name]
                    copies += [0, target.data_ptr(), target.numel() * target.element_size()]
        self._copies = len(copies) // 3
        numbers = [len(self.layers), 0, self._copies]
        for function, stream in zip(functions, self._streams, strict=True):
            numbers += [function.step or 0, stream]
        self._first_copy = len(numbers)
        self._places = self._places_of()
        self._to = len(numbers) + len(copies) + 2
        numbers += [
            *copies,
            last_states[1].data_ptr(),
            last_states[0].data_ptr(),
            self.output.data_ptr(),
            self.output.numel() * self.output.element_size(),
        ]
        self.numbers = _numbers(numbers)
        self._run = functions[0].chain
        self._address = ctypes.addressof(self.numbers)

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
        """States of each layer, (B, n): what lies there now, not copies of it."""
        turn = self.numbers[1] & 1
        return [{n: layer.state(n, turn) for n in layer.states} for layer in self.layers]

    def count(self) -> Tensor:
        """How many steps each row has behind it, (B, 1)."""
        return self.start + self.numbers[1]

    def reset(self, states: Sequence[Mapping[str, Tensor]], count: Tensor) -> None:
        """Start from these states, with so many steps behind, (B, 1)."""
        self.numbers[1] = 0
        self.start.copy_(count)
        for layer, given in zip(self.layers, states, strict=True):
            for name in layer.states:
                layer.state(name, 0).copy_(given[name])


def _numbers(values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * len(values))(*values)


def _close(functions: Sequence[StreamFunctions], streams: Sequence[int]) -> None:
    for function, stream in zip(functions, streams, strict=True):
        function.close(stream)
