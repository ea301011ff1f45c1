"""The pointwise equations of a sweep as C++: a function for some rows and units.

Behind products the units are one panel, whose sums are there for a tile of rows: the function
goes from vector to vector of units, and for each through the rows. Without products a row is
passed over from end to end, as its numbers lie in memory; where they lie, and what is one number
for the row, is then found out once a row. Where units may rest, a second function is for them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

from cellwright.backends.cpu.spelling import SPELLING
from cellwright.ir import SCALAR, Node, Size, topological
from cellwright.plan import Array, Reduction, Sweep, follows_from_step

__all__ = ["Equations", "clock_text", "time_lines"]

# Arrays that the kernel itself lays out, each row filled up to whole panels.
_FILLED_UP = frozenset({"chunk", "carried", "next", "scratch"})


class Equations:
    """The pointwise equations of one sweep.

    Parameters
    ----------
    sweep
        What is rendered.
    name
        Of the function.
    loads
        Where values lie that are not computed in the loop.
    index, size
        The numbers of arrays and sizes in the tables of the program.
    fetched, only_written
        Arrays of all steps: what is read of them is asked for a step ahead; nothing reads them.
    """

    def __init__(
        self,
        sweep: Sweep,
        name: str,
        loads: Mapping[Node, Array],
        index: Mapping[Array, int],
        size: Mapping[Size, int],
        fetched: Collection[Array] = (),
        only_written: Collection[Array] = (),
    ) -> None:
        self.sweep, self.name = sweep, name
        self.fetched, self.only_written = fetched, only_written
        self.loads, self.index, self.size = loads, index, size
        self.here = set(sweep.nodes)
        roots = [*sweep.nodes, *(v for v, _ in sweep.stores), *(r.source for r in sweep.reductions)]
        self.timed = follows_from_step(topological(roots))
        self.group = {group.value: n for n, group in enumerate(sweep.groups)}
        self.names: dict[Node, str] = {}
        self.divisors: dict[Node, str] = {}
        self.same: set[Node] = set()  # for all units of a row
        self.arrays: dict[Array, str] = {}
        self.by_row = not sweep.groups
        self.is_time = False  # whether all that is computed is a time
        # What depends on nothing, on the units at hand, on the row, on both; and what is left
        # to do at the end of a row.
        self.fixed: list[str] = []
        self.of_units: list[str] = []
        self.of_row: list[str] = []
        self.inside: list[str] = []
        self.after: list[str] = []

    def text(self) -> str:
        """A function for whole vectors and for the last few units."""
        for value in self.sweep.nodes:
            if value not in self.timed:
                self.value(value)
        for value, array in self.sweep.stores:
            self._store(value, array)
        for reduction in self.sweep.reductions:
            self._reduce(reduction)
        self.inside.extend(self._fetches())
        return "\n".join(self._row_by_row() if self.by_row else self._unit_by_unit())

    @property
    def number(self) -> str:
        """The C++ type of numbers: late times are wider than vectors, see times.hpp."""
        return "Kind" if self.is_time else "Vector"

    def functions(self) -> str:
        """The functions for units that tick, and for those that rest or nullptr."""
        if self.sweep.clock is None:
            return f"{self.name}, nullptr"
        return f"{self.name}<false>, {self.name}<true>"

    def _unit_by_unit(self) -> list[str]:
        resting = bool(self.sweep.clock)
        return [
            f"template <{'bool RESTS, ' * resting}bool WHOLE>",
            f"INLINE void {self.name}_rows(const Frame& f, Int row, Int rows, Int unit,",
            "    Int left, const Real* products) {",
            *_indented(1, [*self.fixed, *self.of_units]),
            "  for (Int r = 0; r < rows; r++) {",
            *_indented(2, [*self.of_row, *self.inside]),
            "  }",
            "}",
            *["template <bool RESTS>"] * resting,
            f"static void {self.name}(const Frame& f, Int row, Int rows, Int unit, Int left,",
            "    const Real* products) {",
            "  for (Int v = 0; v < PANEL && v < left; v += LANES) {",
            "    if (left - v >= LANES)",
            f"      {self.name}_rows<{'RESTS, ' * resting}true>(",
            "          f, row, rows, unit + v, left - v, products + v);",
            "    else",
            f"      {self.name}_rows<{'RESTS, ' * resting}false>(",
            "          f, row, rows, unit + v, left - v, products + v);",
            "  }",
            "}",
        ]

    def _row_by_row(self) -> list[str]:
        return [
            *["template <bool RESTS>"] * bool(self.sweep.clock),
            f"static void {self.name}(const Frame& f, Int row, Int rows, Int unit, Int left,",
            "    const Real*) {",
            *_indented(1, self.fixed),
            "  for (Int r = 0; r < rows; r++) {",
            *_indented(2, self.of_row),
            "    each_vector(unit, left, [&](auto whole, Int unit, Int left) ALWAYS_INLINE {",
            "      constexpr bool WHOLE = decltype(whole)::value;",
            *_indented(3, [*self.of_units, *self.inside]),
            "    });",
            *_indented(2, self.after),
            "  }",
            "}",
        ]

    def value(self, value: Node) -> str:
        """The name of a value, which is computed at its first use."""
        if value in self.names:
            return self.names[value]
        loads = self.loads
        lines: list[str] | None = None
        if value in self.group:
            text = f"*(const Vector*)(products + ({self.group[value]} * BLOCK_ROWS + r) * PANEL)"
            for other in self.sweep.groups[self.group[value]].others:
                text += f" + {self.value(other)}"
        elif value in loads and value not in self.here:
            text = self._load(loads[value])
            if loads[value].place == "vector":
                lines = self.fixed if value.size == SCALAR else self.of_units
        elif value in self.timed and value.op != "step":
            text, lines = self._timed(value), self.inside
        elif value.op == "constant":
            text = f"fill_as<{self.number}>({_number(value.attributes['value'])})"
            lines = self.fixed
        elif value.op == "count":
            size = self.size[value.attributes["of"]]  # type: ignore[index]
            text, lines = f"fill_as<{self.number}>(f.sizes[{size}])", self.fixed
        else:
            text = self._computed(value)
        name = self.names[value] = f"v{len(self.names)}"
        if lines is None:
            lines = self.of_row if self._is_of_row(value) else self.inside
        if lines is self.of_row or lines is self.fixed:
            self.same.add(value)
        lines.append(self._line(value, name, text))
        return name

    def _computed(self, value: Node) -> str:
        one = value.op == "div" and value.inputs[1].size == SCALAR != self.sweep.size
        if one and not self.is_time:
            return f"over({self.value(value.inputs[0])}, {self._divisor(value.inputs[1])})"
        text = SPELLING[value.op].format(*(self.value(source) for source in value.inputs))
        # A time is compared: it must not depend on where a product meets a sum.
        return f"rounded({text})" if self.is_time and value.op == "mul" else text

    def _line(self, value: Node, name: str, text: str) -> str:
        kind = _kind(value)
        if self.is_time:
            kind = "auto" if value.kind == "truth" else self.number
        if value is self.sweep.clock or value in self.sweep.idle:
            text = f"RESTS ? {kind}{{}} : ({text})"
        return f"const {kind} {name} = {text};"

    def _is_of_row(self, value: Node) -> bool:
        """Whether a value is one number for all units of a row."""
        # In a sweep over single numbers, that number is the unit.
        if value.size != SCALAR or self.sweep.size == SCALAR:
            return False
        return value in self.loads or self.same.issuperset(value.inputs)

    def _divisor(self, number: Node) -> str:
        """The name of a constant, or of a number of a row, that is divided by."""
        if number not in self.divisors:
            name = self.value(number)
            self.divisors[number] = f"by_{name}"
            lines = self.of_row if number in self.same else self.inside
            lines = self.fixed if number.op in ("constant", "count") else lines
            lines.append(f"const Divisor by_{name}({name});")
        return self.divisors[number]

    def _timed(self, value: Node) -> str:
        """What follows from the time alone: the same in all rows that have one time."""
        name = f"at{len(self.of_units) + len(self.fixed)}"
        lines = time_lines(value, self.sweep.size, self.loads, self.index, self.size)
        if not self.by_row:
            self.of_units += [
                f"const auto {name} = [&](Int row) {{",
                *(f"  {line}" for line in lines),
                "};",
                f"const auto {name}_all = {name}(0);",
            ]
            return f"f.start ? {name}(row + r) : {name}_all"
        # Once for all rows, before the first of them.
        given = "auto whole, Int row, Int unit, Int left"
        self.fixed += [
            f"const auto {name} = [&]({given}) ALWAYS_INLINE {{",
            "  constexpr bool WHOLE = decltype(whole)::value;",
            *(f"  {line}" for line in lines),
            "};",
            f"const Int {name}_from = unit;",
            f"const bool {name}_known = !f.start && left <= MOST_KNOWN;",
            f"ON_STACK({_kind(value)}, {name}_all, {name}_known ? left / LANES + 1 : 0);",
            f"if ({name}_known)",
            "  each_vector(unit, left, [&](auto whole, Int at, Int left) ALWAYS_INLINE {",
            f"    {name}_all[(at - unit) / LANES] = {name}(whole, 0, at, left);",
            "  });",
        ]
        one = f"{name}_all[(unit - {name}_from) / LANES]"
        return f"{name}_known ? {one} : {name}(whole, row + r, unit, left)"

    def _pointer(self, array: Array) -> str:
        """Where the numbers of an array lie for the row and the units at hand."""
        across = "" if array.size == SCALAR else " + unit"
        if array not in self.arrays:
            number = self.index[array]
            name = self.arrays[array] = f"a{number}"
            stride = f"f.stride[{number}]"
            if self.by_row:
                place = f"f.at[{number}] + (row + r) * {stride}"
            else:
                place = f"f.at[{number}] + row * {name}s{across}"
                self.of_units.append(f"const Int {name}s = {stride};")
            if array.optional:
                place = f"f.at[{number}] ? {place} : nullptr"
            lines = self.of_row if self.by_row else self.of_units
            lines.append(f"Real* const {name} = {place};")
        name = self.arrays[array]
        return f"{name}{across}" if self.by_row else f"{name} + r * {name}s"

    def _load(self, array: Array) -> str:
        if array.place == "count":
            return f"time_of<{self.number}>(f, row + r)"
        if array.place == "vector":
            number = self.index[array]
            if array.size == SCALAR:
                return f"fill(f.at[{number}][0])"
            return f"load<WHOLE>(f.at[{number}] + unit, left)"
        place = self._pointer(array)
        if array.size == SCALAR:
            text = f"fill(*({place}))"
        else:
            text = f"load<{self._whole(array)}>({place}, left)"
        return f"{self.arrays[array]} ? {text} : Vector{{}}" if array.optional else text

    def _fetches(self) -> Iterable[str]:
        """What each step reads anew is asked for a step ahead: too far apart to be foreseen."""
        arrays = [array for array in self.arrays if array in self.fetched and array.size != SCALAR]
        if not arrays:
            return
        yield "if (f.further) {"
        for array in arrays:
            name, stride = self.arrays[array], f"f.stride[{self.index[array]}]"
            place = f"{name} + {'unit' if self.by_row else f'r * {name}s'} + f.further * {stride}"
            condition = f"if ({name}) " if array.optional else ""
            yield f"  {condition}fetch({place});"
        yield "}"

    def _store(self, value: Node, array: Array) -> None:
        text = self.value(value)
        if value.kind == "truth":
            text = f"pick({text}, fill(1), Vector{{}})"
        place = self._pointer(array)
        whole = self._whole(array)
        call = f"store_far<{whole}>(f.far, " if array in self.only_written else f"store<{whole}>("
        line = f"{call}{place}, {text}, left);"
        self.inside.append(f"if ({self.arrays[array]}) {line}" if array.optional else line)

    def _whole(self, array: Array) -> str:
        return "true" if array.place in _FILLED_UP else "WHOLE"

    def _reduce(self, reduction: Reduction) -> None:
        text = self.value(reduction.source)
        neutral, word = ("0", "sum") if reduction.value.op == "sum" else ("-INFINITY", "greatest")
        text = f"only<WHOLE>({text}, left, {neutral})"
        if self.by_row:
            so_far = f"so_far{self.index[reduction.result]}"
            self.of_row.append(f"Vector {so_far} = fill({neutral});")
            result = self._pointer(reduction.result)
            self.after.append(f"*({result}) = {word}_of_lanes({so_far});")
        else:
            assert reduction.lanes is not None
            so_far = f"*(Anywhere*)({self._pointer(reduction.lanes)})"
        added = f"{so_far} + {text}" if word == "sum" else f"greater_of({so_far}, {text})"
        self.inside.append(f"{so_far} = {added};")


def _kind(value: Node) -> str:
    return "Mask" if value.kind == "truth" else "Vector"


def _indented(depth: int, lines: Iterable[str]) -> Iterable[str]:
    return ("  " * depth + line for line in lines)


def time_lines(
    value: Node,
    size: Size,
    loads: Mapping[Node, Array],
    index: Mapping[Array, int],
    sizes: Mapping[Size, int],
) -> list[str]:
    """Lines that return what follows from the time of one row, for the units at hand."""
    # Only what is the same in all rows: a time that was written down is written for each.
    given = {leaf: array for leaf, array in loads.items() if leaf.kind == "leaf"}
    equations = Equations(Sweep(size, (), (), (), ()), "", given, index, sizes)
    equations.is_time = True
    name = equations.value(value)
    lines = [*equations.fixed, *equations.of_row, *equations.of_units, *equations.inside]
    return [
        "return in_time(f, row, [&](auto kind) ALWAYS_INLINE {",
        "  using Kind = decltype(kind);",
        "  constexpr Int r = 0;",
        *_indented(1, lines),
        f"  return narrowed({name});",
        "});",
    ]


def clock_text(name: str, lines: list[str]) -> str:
    """A function that says which units tick in rows of one time, from the clock's `time_lines`."""
    return "\n".join(
        [
            f"static Range {name}(const Frame& f, Int units) {{",
            "  constexpr Int row = 0;",
            "  return range_of_any(units, [&](auto whole, Int unit, Int left) ALWAYS_INLINE {",
            "    constexpr bool WHOLE = decltype(whole)::value;",
            *(f"    {line}" for line in lines),
            "  });",
            "}",
        ]
    )


def _number(number: object) -> str:
    assert isinstance(number, float)
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return f"({number!r})"
