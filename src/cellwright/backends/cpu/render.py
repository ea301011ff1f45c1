"""From a plan to C++: tables for what is the same in every cell, code for its equations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files

from cellwright.backends.cpu.equations import Equations, clock_text, time_lines
from cellwright.ir import SCALAR, Node, Size
from cellwright.plan import Outer, Part, Program

__all__ = ["gradients_of", "matrices_of", "render", "runner", "sizes_of", "tiles"]

_MASKS = {"block_diagonal": 1, "block_lower": 2, "block_upper": 3}


def render(programs: Sequence[Program], real: str) -> str:
    """Return the C++ source of some programs: tables and equations, which `runner` walks over.

    Parameters
    ----------
    programs
        What to compute.
    real
        ``"float"`` or ``"double"``.
    """
    tables = [_Tables(program, n) for n, program in enumerate(programs)]
    names = ", ".join(f"&{t.name}" for t in tables)
    return "\n".join(
        [
            *_head(real, narrow=False),
            *(_native(name) for name in ("vectors", "program", "times")),
            *(t.text() for t in tables),
            f"static const Program* const programs[] = {{{names}}};",
            "PUBLIC const Program* program(Int number) { return programs[number]; }",
            "",
        ]
    )


def runner(real: str, narrow: bool) -> str:
    """Return the C++ source of what runs programs: the same for all cells.

    Parameters
    ----------
    real
        ``"float"`` or ``"double"``.
    narrow
        Whether products may be computed from numbers rounded to bfloat16.
    """
    tables = ("vectors", "tile", "program", "products", "team", "kept", "layout")
    walks = ("chunk", "lasting", "gradients", "run", "stream", "ragged")
    return "\n".join([*_head(real, narrow), *map(_native, (*tables, *walks))])


def tiles(real: str, narrow: bool) -> str:
    """Return the C++ source of the products that `runner` is made of, for every number of rows."""
    return "\n".join([*_head(real, narrow), *map(_native, ("vectors", "tile", "multiply"))])


def _head(real: str, narrow: bool) -> Iterable[str]:
    yield f"#define REAL_IS_DOUBLE {int(real == 'double')}"
    yield f"#define NARROW_PRODUCTS {int(narrow)}"


def sizes_of(program: Program) -> tuple[Size, ...]:
    """The sizes that a program is told, in this order."""
    found: dict[Size, None] = {SCALAR: None}
    for array in program.arrays:
        found[array.size] = None
    for part in program.parts:
        found[part.matrix.size] = None
        found[_columns(part.matrix)] = None
    for value in _values(program):
        if value.op == "count":
            found[value.attributes["of"]] = None  # type: ignore[index]
    return tuple(found)


def matrices_of(program: Program) -> tuple[Node, ...]:
    """The matrices that a program is told, in this order."""
    return tuple(dict.fromkeys(part.matrix for part in program.parts))


def gradients_of(program: Program) -> tuple[Node, ...]:
    """The matrices whose gradients a program computes, in this order."""
    return tuple(dict.fromkeys(outer.matrix for outer in program.outers))


def _values(program: Program) -> Iterable[Node]:
    """Every value that a program's equations speak of."""
    stack = [v for s in program.passes for v in s.nodes]
    stack += [v for s in program.passes for v, _ in s.stores]
    stack += [r.source for s in program.passes for r in s.reductions]
    seen: set[Node] = set()
    while stack:
        value = stack.pop()
        if value not in seen:
            seen.add(value)
            yield value
            stack.extend(value.inputs)


def _columns(matrix: Node) -> Size:
    columns = matrix.attributes["columns"]
    assert isinstance(columns, (str, int))
    return columns


def _most(counts: Iterable[int]) -> int:
    return max([1, *counts])


def _native(name: str) -> str:
    folder = files("cellwright.backends.cpu") / "native"
    return (folder / f"{name}.hpp").read_text("utf-8")


class _Tables:
    """The tables of one program."""

    def __init__(self, program: Program, number: int) -> None:
        self.program, self.number = program, number
        self.name = f"program{number}"
        self.index = {array: n for n, array in enumerate(program.arrays)}
        self.size = {size: n for n, size in enumerate(sizes_of(program))}
        self.matrices: dict[tuple[Node, bool], int] = {}
        for part in program.parts:
            self.matrices.setdefault((part.matrix, part.transposed), len(self.matrices))
        self.clock = {clock: n for n, clock in enumerate(program.clocks)}
        self.given = {matrix: n for n, matrix in enumerate(matrices_of(program))}
        self.wanted = {matrix: n for n, matrix in enumerate(gradients_of(program))}
        groups = [g.parts for s in program.passes for g in s.groups]
        self.most_parts = _most(len(parts) for parts in (*groups, *(s.parts for s in program.sunk)))

    def text(self) -> str:
        """All tables and equations."""
        program, name = self.program, self.name
        # Beside products there is time to fetch what the next step reads; alone it would not help.
        fetched = program.only_read if any(sweep.groups for sweep in program.sweeps) else ()
        places = self.index, self.size, fetched, program.only_written
        loads = [program.ahead_loads] * len(program.ahead) + [program.loads] * len(program.sweeps)
        self.equations = [
            Equations(sweep, f"{name}_sweep{n}", known, *places)
            for n, (sweep, known) in enumerate(zip(program.passes, loads, strict=True))
        ]
        sweeps = [equations.text() for equations in self.equations]
        clocks = [
            clock_text(
                f"{name}_clock{n}", time_lines(c, c.size, program.loads, self.index, self.size)
            )
            for n, c in enumerate(program.clocks)
        ]
        return "\n".join([f"// {program.name}", *sweeps, *clocks, *self._tables()])

    def _tables(self) -> Iterable[str]:
        program = self.program
        index, size, only_written = self.index, self.size, program.only_written
        yield self._table(
            "Array",
            "arrays",
            (
                f"{a.place.upper()}, {size[a.size]}, {index[a.other] if a.other else -1}, "
                f"{int(a in only_written)}"
                for a in program.arrays
            ),
        )
        yield from self._of_products()
        yield self._table(
            "Matrix",
            "matrices",
            (
                f"{size[m.size]}, {size[_columns(m)]}, {int(t)}, {_mask(m)}, {self.given[m]}"
                for m, t in self.matrices
            ),
        )
        yield self._table(
            "Outer",
            "outers",
            (
                f"{index[o.left]}, {index[o.right]}, {self.wanted[o.matrix]}, {_mask(o.matrix)}, "
                f"{self._clock(o.clock)}, {self._lasting(o)}"
                for o in program.outers
            ),
        )
        yield self._table("Int", "sums", (str(index[s.array]) for s in program.sums))
        states = [f"{index[b]}, {index[a]}" for b, a in program.states.values()]
        yield self._table("State", "states", states)
        clocks = [f"{size[clock.size]}, {self.name}_clock{n}" for clock, n in self.clock.items()]
        yield self._table("Clock", "clocks", clocks)
        yield self._program()

    def _of_products(self) -> Iterable[str]:
        """What is multiplied: sweeps with their groups, and what is sunk behind the loop."""
        program, index, size = self.program, self.index, self.size
        parts: list[str] = []
        groups: list[str] = []
        sweeps: list[str] = []
        reductions: list[str] = []
        for sweep, equations in zip(program.passes, self.equations, strict=True):
            sweeps.append(
                f"{size[sweep.size]}, {len(groups)}, {len(sweep.groups)}, {len(reductions)}, "
                f"{len(sweep.reductions)}, {self._clock(sweep.clock)}, "
                f"{int(program.only_carries(sweep))}, {equations.functions()}"
            )
            for group in sweep.groups:
                hoisted = index[group.hoisted] if group.hoisted else -1
                clock = self._clock(group.clock)
                groups.append(f"{len(parts)}, {len(group.parts)}, {hoisted}, {clock}")
                parts.extend(map(self._part, group.parts))
            reductions.extend(
                f"{int(r.value.op == 'max')}, {index[r.lanes] if r.lanes else -1}, "
                f"{index[r.result]}"
                for r in sweep.reductions
            )
        sunk = []
        for behind in program.sunk:
            target = index[behind.target]
            sunk.append(f"{target}, {len(parts)}, {len(behind.parts)}, {int(behind.adds)}")
            parts.extend(map(self._part, behind.parts))
        yield self._table("Part", "parts", parts)
        yield self._table("Group", "groups", groups)
        yield self._table("Reduction", "reductions", reductions)
        yield self._table("Sweep", "sweeps", sweeps)
        yield self._table("Sunk", "sunk", sunk)

    def _program(self) -> str:
        p, n = self.program, self.name
        groups = sum(len(sweep.groups) for sweep in p.passes)
        fields = [
            f"{n}_arrays, {len(p.arrays)}, {n}_parts, {n}_groups, {groups}, "
            f"{self.most_parts}, {n}_reductions",
            f"{n}_sweeps, {len(p.ahead)}, {len(p.passes)}, {n}_matrices, {len(self.matrices)}",
            f"{n}_sunk, {len(p.sunk)}, {n}_outers, {len(p.outers)}, {n}_sums, {len(p.sums)}",
            f"{n}_states, {len(p.states)}, {n}_clocks, {len(self.clock)}",
            f"{len(self.size)}, {int(p.backward)}",
            # The first program is the one without gradients: weights last for many calls.
            f"{int(self.number == 0)}, {{{self._products_that_last()}}}",
        ]
        return f"static constexpr Program {n} = {{{', '.join(fields)}}};"

    def _products_that_last(self) -> str:
        lasting = self.program.lasting
        if lasting is None:
            return "0, -1, 1, -1"
        blocks = lasting.parts[0].matrix.attributes["mask"][1]  # type: ignore[index]
        sweep = len(self.program.ahead) + lasting.sweep
        return f"{len(lasting.parts)}, {self._clock(lasting.clock)}, {blocks}, {sweep}"

    def _table(self, kind: str, name: str, rows: Iterable[str]) -> str:
        lines = [f"    {{{row}}}," for row in rows] or ["    {},"]
        return "\n".join([f"static constexpr {kind} {self.name}_{name}[] = {{", *lines, "};"])

    def _part(self, part: Part) -> str:
        matrix = self.matrices[part.matrix, part.transposed]
        hoistable, clock = int(part.hoistable), self._clock(part.clock)
        last = self._lasting(part)
        return f"{self.index[part.source]}, {matrix}, {hoistable}, {clock}, {last}"

    def _lasting(self, of: Part | Outer) -> int:
        return self.program.lasting.number(of) if self.program.lasting else -1

    def _clock(self, clock: Node | None) -> int:
        return self.clock[clock] if clock else -1


def _mask(matrix: Node) -> str:
    mask = matrix.attributes["mask"]
    return f"{_MASKS[mask[0]]}, {mask[1]}" if isinstance(mask, tuple) else "0, 1"
