"""What a step of a cell costs for given sizes: work, and memory, read off its plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cellwright.ir import Graph, Node, kept_entries, simplify, units_of
from cellwright.plan import Array, Group, Part, Program, plan

__all__ = ["Memory", "Work", "memory", "work"]

# What a layer calls the index of the step, which no state may be called.
_COUNT, _COUNT_BYTES = "t", 8


@dataclass(frozen=True)
class Work:
    """Work of one step, for each sequence of a batch.

    Where units rest at some steps, as in a clockwork network, only those products count that
    somebody looks at: an average over steps. For few rows, whose products with inputs are done
    before the loop, a backend does them for units that rest, too; and it may do fewer, because
    what is multiplied with units that rest stays the same.

    Attributes
    ----------
    multiply_adds
        Multiplications with an addition, in the products with matrices of the forward step;
        only those entries of a matrix count that its mask keeps.
    hoisted_multiply_adds
        How many of them are done for many steps at once, outside the loop over time.
    pointwise
        Operations unit by unit and sums over units, of the forward step.
    hoisted_pointwise
        How many of them are done outside the loop.
    training_multiply_adds
        Multiply-adds of a training step: forward, backward and the gradients of the matrices. That
        of x is among them, whether or not somebody asks for it.
    averaged
        Whether steps differ.
    """

    multiply_adds: int
    hoisted_multiply_adds: int
    pointwise: int
    hoisted_pointwise: int
    training_multiply_adds: int
    averaged: bool = False


@dataclass(frozen=True)
class Memory:
    """Numbers kept, for each sequence of a batch.

    Attributes
    ----------
    carried
        State -> numbers that go from step to step. A cell that asks for the step carries its
        index ``t`` too, a whole number of 8 bytes.
    kept
        What the forward pass of a training leaves at every step for the backward pass, beside
        the output: value -> numbers. A value without a name has a number instead.
    output
        Numbers handed out at every step.
    bytes_per_number
        4 for float32.
    """

    carried: dict[str, int]
    kept: dict[str, int]
    output: int
    bytes_per_number: int

    @property
    def carried_bytes(self) -> int:
        """Bytes that go from step to step."""
        widths = {_COUNT: _COUNT_BYTES}
        carried = self.carried.items()
        return sum(number * widths.get(name, self.bytes_per_number) for name, number in carried)

    @property
    def kept_bytes(self) -> int:
        """Bytes that training keeps at every step, beside the output."""
        return sum(self.kept.values()) * self.bytes_per_number


def work(graph: Graph, sizes: Mapping[str, int], steps: int = 1000) -> Work:
    """Count the work of a step.

    Parameters
    ----------
    graph
        The cell's equations.
    sizes
        Symbol -> number of units, all of them.
    steps
        How many of them to average over, where not all are alike.
    """
    graph = simplify(graph)
    used = plan(graph).forward
    learning = plan(graph, training=True)
    assert learning.backward is not None
    products = _Products(graph, sizes, steps)
    return Work(
        multiply_adds=round(products.of(used)),
        hoisted_multiply_adds=round(products.hoisted(used)),
        pointwise=_pointwise(used, sizes),
        hoisted_pointwise=_pointwise(used, sizes, only_ahead=True),
        training_multiply_adds=round(
            products.of(learning.forward) + products.of(learning.backward)
        ),
        averaged=bool(used.clocks),
    )


def memory(graph: Graph, sizes: Mapping[str, int], bytes_per_number: int = 4) -> Memory:
    """Count what a step carries on and what training keeps of it.

    Parameters
    ----------
    graph
        The cell's equations.
    sizes
        Symbol -> number of units, all of them.
    bytes_per_number
        4 for float32.
    """
    graph = simplify(graph)
    saved: tuple[Array, ...] = plan(graph, training=True).saved
    carried = graph.state_sizes | ({_COUNT: 1} if graph.leaves("step") else {})
    return Memory(
        carried={name: units_of(size, sizes) for name, size in carried.items()},
        kept={array.name.removeprefix("saved "): units_of(array.size, sizes) for array in saved},
        output=units_of(graph.states[0].size, sizes),
        bytes_per_number=bytes_per_number,
    )


class _Products:
    """Counts multiply-adds, of what ticks where a clock says which units do."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], steps: int) -> None:
        self.graph, self.sizes, self.steps = graph, sizes, steps

    def of(self, program: Program) -> float:
        """All products of a program, a step."""
        sweeps = (*program.ahead, *program.sweeps)
        total = sum(self._group(group, group.parts) for sweep in sweeps for group in sweep.groups)
        total += sum(self._part(part) for sunk in program.sunk for part in sunk.parts)
        return total + sum(self._entries(outer.matrix, outer.clock) for outer in program.outers)

    def hoisted(self, program: Program) -> float:
        """Those that can be done for many steps at once."""
        total = sum(self._group(group, group.parts) for s in program.ahead for group in s.groups)
        groups = [group for sweep in program.sweeps for group in sweep.groups]
        return total + sum(self._group(g, [p for p in g.parts if p.hoistable]) for g in groups)

    def _group(self, group: Group, parts: Iterable[Part]) -> float:
        return sum(self._part(part, group.clock) for part in parts)

    def _part(self, part: Part, clock: Node | None = None) -> float:
        clocks = (part.clock, clock) if part.transposed else (clock, part.clock)
        return self._entries(part.matrix, *clocks)

    def _entries(
        self, matrix: Node, rows_clock: Node | None = None, columns_clock: Node | None = None
    ) -> float:
        """Entries of a matrix that its mask keeps, in rows and columns that tick."""
        columns_of, mask = matrix.attributes["columns"], matrix.attributes["mask"]
        assert isinstance(columns_of, (str, int))
        rows, columns = units_of(matrix.size, self.sizes), units_of(columns_of, self.sizes)
        if rows_clock is columns_clock is None:
            return kept_entries(rows, columns, mask)
        # Few cells rest, and torch, which only they need, takes seconds to load.
        from cellwright.look.resting import entries_that_tick  # noqa: PLC0415

        axes = (rows, rows_clock), (columns, columns_clock)
        return entries_that_tick(*axes, mask, self.graph, self.sizes, self.steps)


def _pointwise(program: Program, sizes: Mapping[str, int], *, only_ahead: bool = False) -> int:
    sweeps = program.ahead if only_ahead else (*program.ahead, *program.sweeps)
    total = 0
    for sweep in sweeps:
        total += sum(units_of(value.size, sizes) for value in sweep.nodes)
        total += sum(units_of(each.source.size, sizes) for each in sweep.reductions)
        for group in sweep.groups:
            # Its sum stands among the nodes as one operation; products are summed for nothing.
            listed = group.value in sweep.nodes
            total += (len(group.others) - listed) * units_of(group.value.size, sizes)
    return total
