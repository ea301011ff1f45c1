"""The reference: interprets the graph node by node with torch operations.

This is the definition of what a cell computes. It runs on every device and in every
floating dtype, and can be differentiated any number of times. Every other backend is
tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from cellwright.backends.contract import (
    Answer,
    Call,
    Kernel,
    Result,
    Weights,
    are_autocast,
    check_weights,
)
from cellwright.ir import Graph, Node, Size, block_of_units, units_of, weight_shapes

__all__ = ["MEANING", "ReferenceBackend", "ReferenceKernel", "kept_by_mask"]

# What each operation means, on tensors whose last axis runs over the units.
MEANING: dict[str, Callable[..., Tensor]] = {
    "neg": torch.neg,
    "abs": torch.abs,
    "sign": torch.sign,
    "floor": torch.floor,
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "where": torch.where,
    "less": torch.lt,
    "less_equal": torch.le,
    "equal": torch.eq,
    "matmul": lambda matrix, value: value @ matrix.mT,
    "matmul_transposed": lambda matrix, value: value @ matrix,
    "sum": lambda value: value.sum(-1, keepdim=True),
    "max": lambda value: value.amax(-1, keepdim=True),
}

# Values that depend on neither data nor weights. They are computed in double precision,
# because a step's index is not exact in half precision, and cast where they meet the rest.
_CLOCK = frozenset({"step", "constant", "per_unit", "count"})


class ReferenceBackend:
    """Runs every cell everywhere, by interpretation."""

    name = "reference"

    def answer(self, graph: Graph, device: torch.device, dtype: torch.dtype) -> Answer:
        """Yes, whatever the cell."""
        return Answer(True)

    def build(
        self, graph: Graph, sizes: Mapping[str, int], otherwise: Kernel | None = None
    ) -> ReferenceKernel:
        """Make the cell ready to run; the work is all done while running."""
        return ReferenceKernel(graph, sizes)


class ReferenceKernel:
    """One cell of given sizes; `meaning` is another one of its operations, if there is."""

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        meaning: Mapping[str, Callable[..., Tensor]] = MEANING,
    ) -> None:
        self.graph = graph
        self.sizes = dict(sizes)
        self.meaning = meaning
        self._shapes = weight_shapes(graph, sizes)
        clock: set[Node] = set()
        for value in graph.nodes:
            if value.op in _CLOCK or (value.inputs and clock.issuperset(value.inputs)):
                clock.add(value)
        self.clock = frozenset(clock)
        constant = clock - graph.depends_on("step")
        self.once = [v for v in graph.nodes if v.kind == "weight" or v in constant]
        self.each_step = [v for v in graph.nodes if v.kind != "weight" and v not in constant]

    def __call__(self, call: Call) -> Result:
        """Run the cell over a batch of sequences; see `Call` and `Result`.

        In the precision of the weights, as compiled kernels are: autocast changes nothing.
        """
        x = call.inputs["x"]
        check_weights(Weights.of(call.weights), self._shapes, x.dtype, x.device)
        if are_autocast(x.device):
            with torch.autocast(x.device.type, enabled=False):
                return self._run(call)
        return self._run(call)

    def _run(self, call: Call) -> Result:
        steps, batch = call.inputs["x"].shape[:2]
        run = _Run(self, call)
        output = self.graph.states[0].name
        states = {name: call.states[name] for name in self.graph.state_sizes}
        seen: dict[str, list[Tensor]] = {name: [] for name in (output, *call.record)}
        count = torch.zeros(batch, 1, dtype=torch.int64, device=run.device)
        count = count if call.start is None else call.start
        for step in reversed(range(steps)) if call.reverse else range(steps):
            # Rows that do not exist are left out altogether: what padding holds, or what a
            # cell makes of it, such as log(0), must reach neither values nor gradients.
            rows = _existing(call, step)
            values = run.step(step, rows, states, count)
            for name, so_far in seen.items():
                so_far.append(_put(run.nothing(name), rows, run.full(values, name, rows)))
            for name, before in states.items():
                states[name] = _put(before, rows, run.full(values, name, rows))
            count = _put(count, rows, _take(count, rows) + 1)
        if call.reverse:
            seen = {name: values[::-1] for name, values in seen.items()}
        signals = {
            name: torch.stack(values) if values else run.nothing(name).expand(0, -1, -1)
            for name, values in seen.items()
        }
        for name, value in self.graph.after.items():
            if not steps or not value.inputs:
                # What was given is not handed out: whoever writes to it would change that too.
                states[name] = states[name].clone()
        recorded = {name: signals[name] for name in call.record}
        return Result(output=signals[output], states=states, signals=recorded, call=call)

    def units(self, size: Size) -> int:
        """The number of units of a size."""
        return units_of(size, self.sizes)


class _Run:
    """The values of one call: those of the weights once, the others step by step."""

    def __init__(self, kernel: ReferenceKernel, call: Call) -> None:
        self.kernel = kernel
        self.call = call
        x = call.inputs["x"]
        self.dtype, self.device, self.batch = x.dtype, x.device, x.shape[1]
        # Apple's GPUs have no double precision.
        self.clock_dtype = torch.float32 if x.device.type == "mps" else torch.float64
        self.constant: dict[Node, Tensor] = {}
        for value in kernel.once:
            self.constant[value] = self._evaluate(value, self.constant)

    def step(
        self, step: int, rows: Tensor | None, states: Mapping[str, Tensor], count: Tensor
    ) -> dict[Node, Tensor]:
        """The value of every node at one step, for the rows that exist."""
        values = dict(self.constant)
        for value in self.kernel.each_step:
            match value.op:
                case "state":
                    values[value] = _take(states[value.name], rows)
                case "input":
                    values[value] = _take(self.call.inputs[value.name][step], rows)
                case "below":
                    values[value] = _take(self.call.below[value.name][step], rows)
                case "bernoulli":
                    values[value] = self._draw(value, step, rows)
                case "step":
                    values[value] = _take(count, rows).to(self.clock_dtype)
                case _:
                    values[value] = self._evaluate(value, values)
        return values

    def full(self, values: Mapping[Node, Tensor], name: str, rows: Tensor | None) -> Tensor:
        """A state or signal as (rows, n), also where it is a constant or one number a row."""
        value = values[self.kernel.graph.observable[name]]
        return value.to(self.dtype).expand(
            self.batch if rows is None else len(rows), self._units_of(name)
        )

    def nothing(self, name: str) -> Tensor:
        """What is seen of a state or signal where no step exists, (B, n)."""
        shape = (self.batch, self._units_of(name))
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def _units_of(self, name: str) -> int:
        graph = self.kernel.graph
        return self.kernel.units(graph.state_sizes.get(name, graph.observable[name].size))

    def _draw(self, value: Node, step: int, rows: Tensor | None) -> Tensor:
        if value.name not in self.call.draws:
            expected = self._number(value.attributes["probability"]).to(self.dtype)
            return expected.expand(self.kernel.units(value.size))
        draw = self.call.draws[value.name]
        return _take(draw[step] if value.attributes["per"] == "step" else draw, rows)

    def _evaluate(self, value: Node, values: Mapping[Node, Tensor]) -> Tensor:
        if value.kind == "weight":
            return self._weight(value)
        if not value.inputs:
            return self._constant(value)
        inputs = [values[source] for source in value.inputs]
        if value not in self.kernel.clock:
            inputs = [
                tensor.to(self.dtype) if tensor.dtype == self.clock_dtype else tensor
                for tensor in inputs
            ]
        return self.kernel.meaning[value.op](*inputs)

    def _constant(self, value: Node) -> Tensor:
        if value.op == "count":
            return self._number(units_of(value.attributes["of"], self.kernel.sizes))
        if value.op == "constant":
            return self._number(value.attributes["value"])
        table: Any = value.attributes["values"]
        blocks = block_of_units(self.kernel.units(value.size), len(table))
        spread = [table[block] for block in blocks]
        return torch.tensor(spread, dtype=self.clock_dtype, device=self.device)

    def _number(self, number: Any) -> Tensor:
        return torch.tensor([number], dtype=self.clock_dtype, device=self.device)

    def _weight(self, value: Node) -> Tensor:
        weight = self.call.weights[value.name]
        mask: Any = value.attributes.get("mask")
        if mask is None:
            return weight
        rows, columns = weight.shape
        return weight.where(kept_by_mask(mask, rows, columns, self.device), 0)


def kept_by_mask(
    mask: tuple[str, int], rows: int, columns: int, device: torch.device | None = None
) -> Tensor:
    """Which entries of a matrix a mask keeps, (rows, columns)."""
    kind, blocks = mask
    row, column = (
        torch.tensor(block_of_units(units, blocks), device=device) for units in (rows, columns)
    )
    difference = row.unsqueeze(1) - column
    return {
        "block_diagonal": difference == 0,
        "block_lower": difference >= 0,
        "block_upper": difference <= 0,
    }[kind]


def _existing(call: Call, step: int) -> Tensor | None:
    """Which rows have this step; None where all do, or only shapes are known."""
    if call.active is None or call.active.is_meta:
        return None
    (rows,) = torch.nonzero(call.active[step], as_tuple=True)
    return rows if len(rows) < call.active.shape[1] else None


def _take(tensor: Tensor, rows: Tensor | None) -> Tensor:
    return tensor if rows is None else tensor.index_select(0, rows)


def _put(before: Tensor, rows: Tensor | None, new: Tensor) -> Tensor:
    return new if rows is None else before.index_copy(0, rows, new)
