"""Where the parts of a cell's picture stand: a grid of columns and rows.

Textbooks draw a memory as a line from left to right along the top, on which what changes it
sits; the gates in a row below; the inputs below those. That is done here for any cell: a state
that reaches itself through pointwise operations alone gets such a line, everything that only
feeds it is stacked between the gates and the line, and columns are taken in the order in which
the line needs them.

Layouts of graphs in general (layers after Sugiyama, as Graphviz and others have them) know nothing
of a memory's line, bend it, and make a flow chart of a cell; hence our own, for this one kind of
picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from cellwright.look.diagrams.parts import Part

__all__ = ["Places", "place"]

Zone = Literal["line", "down", "up", "bus", "bottom"]
_TALLEST = 5


@dataclass
class Places:
    """Column and row of each part, and which lines run straight.

    Attributes
    ----------
    at
        Part -> (column, row), rows from the top.
    columns, rows
        How many.
    straight
        Pairs of parts on one line, from left to right or upwards and downwards.
    """

    at: dict[Part, tuple[int, int]]
    columns: int
    rows: int
    straight: list[tuple[Part, Part]] = field(default_factory=list)


def place(parts: list[Part]) -> Places:
    """Give every part a place; no two the same."""
    return _Placing(parts).result()


class _Placing:
    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.lines = _memory_lines(parts)
        self.line_of = {part: k for k, line in enumerate(self.lines) for part in line}
        self.joins = [part for part in parts if part.kind == "join"]
        self.column: dict[Part, int] = {}
        self.zone: dict[Part, tuple[Zone, int]] = {}
        self.taken: set[tuple[int, Zone, int]] = set()
        self.straight: list[tuple[Part, Part]] = []
        self.depth: dict[Part, int] = {}
        for part in parts:
            self.depth[part] = 1 + max((self.depth[s] for s in part.sources), default=0)
        self.used = 1
        self._place_states()
        for line in self.lines:
            for part in line:
                self._place(part)
        for part in parts:
            self._place(part)

        self._lift_states()

    def _lift_states(self) -> None:
        """A state that no other line runs with stands beside the gate that reads it."""
        for part in self.parts:
            joined = any(part in join.sources for join in self.joins)
            if part.kind == "state" and part not in self.line_of and not joined:
                reads = [p for p in self.parts if p.kind == "box" and part in p.sources]
                if len(reads) != 1:
                    continue
                beside = (0, *self.zone[reads[0]])
                first = min((c for c, *z in self.taken if tuple(z) == beside[1:]), default=0)
                if beside[1] == "up" and 0 < first == self.column[reads[0]]:
                    self._put(part, *beside)

    def result(self) -> Places:
        """Turn zones into rows, and put inputs and ends where their users and sources are."""
        middle = self._middle_rows()
        lines = len(self.lines)
        gates = lines + middle
        row = {
            "line": lambda k: k,
            "down": lambda k: lines + k - 1,
            "up": lambda k: gates - k,
            "bus": lambda k: gates + 1 + k,
        }
        at = {p: (self.column[p], row[z](k)) for p, (z, k) in self.zone.items() if z != "bottom"}
        buses = 1 + max((k for z, k in self.zone.values() if z == "bus"), default=-1)
        bottom = gates + 1 + buses
        self._place_inputs(at, bottom)
        self._place_ends(at, gates + 1)
        rows = 1 + max(y for _, y in at.values())
        columns = 1 + max(x for x, _ in at.values())
        return Places(at, columns, rows, self.straight)

    def _place_states(self) -> None:
        bus = count()
        for part in self.parts:
            if part.kind == "state":
                on_line = part in self.line_of
                self._put(part, 0, "line" if on_line else "bus", 0)
                if on_line:
                    self.zone[part] = ("line", self.line_of[part])
        for part in self.joins:
            if all(source.kind in ("state", "input", "join") for source in part.sources):
                inner = next((s for s in part.sources if s in self.joins), None)
                outer = [self.zone[j][1] for j in self.joins if j in self.zone]
                level = self.zone[inner][1] if inner else 1 + max(outer, default=-1)
                self._put(part, self.used, "bus", level)
                self.used += 1
        taken = {self.zone[part][1] for part in self.joins if part in self.zone}
        for part in self.parts:
            if part.kind == "state" and part not in self.line_of:
                join = next((j for j in self.joins if part in j.sources and j in self.zone), None)
                wanted = self.zone[join][1] if join else None
                if wanted in taken:
                    taken.discard(wanted)
                else:
                    wanted = next(k for k in bus if ("bus", k) not in self.zone.values())
                self.zone[part] = ("bus", wanted if wanted is not None else 0)

    def _put(self, part: Part, column: int, zone: Zone, level: int) -> None:
        self.column[part], self.zone[part] = column, (zone, level)
        self.taken.add((column, zone, level))
        self.used = max(self.used, column + 1)

    def _place(self, part: Part) -> None:
        if part in self.column or part.kind in ("input", "end"):
            return
        for source in sorted(part.sources, key=lambda s: self.depth[s]):
            self._place(source)
        inner = [s for s in part.sources if s.kind in ("box", "circle") and s in self.column]
        if part in self.line_of:
            self._place_on_line(part, [s for s in inner if s not in self.line_of])
        elif part.kind == "circle":
            self._place_circle(part, inner)
        else:
            self._place_box(part, inner)

    def _place_on_line(self, part: Part, inner: list[Part]) -> None:
        level = self.line_of[part]
        line = self.lines[level]
        before = line[line.index(part) - 1]
        least = max([self.column[before] + 1, *(self.column[s] for s in inner)])
        base = self._base(part, inner, least)
        if base is not None and self.zone[base][0] == "up":
            self._put(part, self.column[base], "line", level)
            self.straight.append((base, part))
        else:
            self._put(part, max(self.used, least), "line", level)
        self.straight.append((before, part))

    def _place_circle(self, part: Part, inner: list[Part]) -> None:
        aside = [s for s in inner if s not in self.line_of]
        least = max((self.column[s] for s in inner), default=0)
        base = self._base(part, aside, least)
        if base is not None:
            zone, level = self.zone[base]
            if level < _TALLEST and (self.column[base], zone, level + 1) not in self.taken:
                self._put(part, self.column[base], zone, level + 1)
                self.straight.append((base, part))
                return
        if aside:
            zone, level = self.zone[max(aside, key=lambda s: (self.column[s], self.zone[s][1]))]
            self._put(part, self.used, zone, max(level, 1))
        elif inner:
            self._put(part, self.used, "down", 1)
        else:
            self._put(part, self.used, "up", 1)

    def _place_box(self, part: Part, inner: list[Part]) -> None:
        outside = len(inner) < len(part.sources)
        aside = [s for s in inner if s not in self.line_of]
        if outside or not aside:
            zone, level = ("up", 0) if outside or not inner else ("down", 1)
            self._put(part, self.used, zone, level)  # type: ignore[arg-type]
        else:
            last = max(aside, key=lambda s: self.column[s])
            self._put(part, self.used, *self.zone[last])

    def _base(self, part: Part, inner: list[Part], least: int) -> Part | None:
        """What this can stand on: the last of its sources, if nothing stands on that yet."""
        for source in reversed(inner):
            zone, level = self.zone[source]
            above = any(
                c == self.column[source] and z == zone and k > level for c, z, k in self.taken
            )
            if zone in ("up", "down") and self.column[source] >= least and not above:
                on_line = any(
                    c == self.column[source] and z == "line" and zone == "up"
                    for c, z, _ in self.taken
                )
                if not on_line:
                    return source
        return None

    def _middle_rows(self) -> int:
        tallest: dict[tuple[int, Zone], int] = {}
        for part, (zone, level) in self.zone.items():
            if zone in ("up", "down"):
                key = (self.column[part], zone)
                tallest[key] = max(tallest.get(key, 0), level)
        columns = {column for column, _ in tallest}
        return max(
            (tallest.get((c, "up"), 0) + tallest.get((c, "down"), 0) for c in columns), default=0
        )

    def _place_inputs(self, at: dict[Part, tuple[int, int]], bottom: int) -> None:
        taken: set[int] = set()
        inputs = (part for part in self.parts if part.kind == "input")
        for part in sorted(inputs, key=lambda part: part.name == "fixed"):
            users = [user for user in self.parts if part in user.sources and user in at]
            joined = [user for user in users if user.kind == "join"]
            column = min((at[user][0] for user in joined or users), default=1)
            column = next(c for c in count(max(column, 1)) if c not in taken)
            taken.add(column)
            at[part] = (column, bottom)

    def _place_ends(self, at: dict[Part, tuple[int, int]], fallback: int) -> None:
        column = 1 + max(x for x, _ in at.values())
        taken: set[int] = set()
        ends = [part for part in self.parts if part.kind == "end"]
        for part in sorted(ends, key=lambda end: end.sources[0] not in self.line_of):
            source = part.sources[0]
            x, y = at[source]
            clear = not any(c > x and r == y for c, r in at.values())
            if not clear or y in taken:
                y = next(r for r in count(fallback) if r not in taken and self._free(at, r))
            else:
                self.straight.append((source, part))
            taken.add(y)
            at[part] = (column, y)

    def _free(self, at: dict[Part, tuple[int, int]], row: int) -> bool:
        return not any(r == row and p.kind == "end" for p, (_, r) in at.items())


def _memory_lines(parts: list[Part]) -> list[list[Part]]:
    """For each state that comes back through circles alone, the way that it takes."""
    users: dict[Part, list[Part]] = {part: [] for part in parts}
    for part in parts:
        for source in part.sources:
            users[source].append(part)
    ends = {part.text: part for part in parts if part.kind == "end"}
    states = {part.text: part for part in parts if part.kind == "state"}
    names = list(ends)
    lines: list[list[Part]] = []
    used: set[Part] = set()
    for name in names[1:] + names[:1]:
        if name not in states:
            continue
        way = _way(states[name], ends[name].sources[0], users, used)
        if len(way) > 1:
            lines.append(way)
            used.update(way)
    return lines


def _way(start: Part, goal: Part, users: dict[Part, list[Part]], used: set[Part]) -> list[Part]:
    ways = [[start]]
    seen = {start}
    for way in ways:
        if way[-1] is goal:
            return way
        for user in users[way[-1]]:
            if user.kind == "circle" and user not in seen | used:
                seen.add(user)
                ways.append([*way, user])
    return []
