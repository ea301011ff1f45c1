"""How the lines of a cell's picture run: along a grid, around everything that stands on it.

Between two neighbouring columns, and two rows, there are tracks. A line is the cheapest way from
what it leaves, or from where another line of the same value runs, to a free side of what it
enters. Two lines never share a track, and may cross only at right angles.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from cellwright.look.diagrams.parts import Part, Wire
from cellwright.look.diagrams.places import Places

__all__ = ["Line", "NoWayError", "Routes", "route"]

Point = tuple[int, int]
_BEND, _CROSSING, _BRANCH, _DOOR = 4.0, 7.0, 2.0, 0.7
_DIRECTIONS = ((1, 0), (0, -1), (0, 1), (-1, 0))
_FORBIDDEN = 1000.0


@dataclass
class Line:
    """A line on the grid: its points, from what it leaves (or branches off) to what it enters."""

    source: Part
    target: Part
    wire: Wire
    points: list[Point]
    branches: bool


@dataclass
class Routes:
    """All lines, and the grid on which they run.

    Attributes
    ----------
    lines
        In the order in which they were drawn.
    tracks
        How many tracks there are between two columns, and two rows.
    at
        Column and row of each part.
    size
        Number of columns and of rows.
    """

    lines: list[Line]
    tracks: int
    at: dict[Part, Point]
    size: Point

    def column(self, number: int) -> int:
        """Grid position of a column's middle."""
        return self.tracks + number * (3 + self.tracks) + 1

    def row(self, number: int) -> int:
        """Grid position of a row."""
        return self.tracks + number * (1 + self.tracks)


class NoWayError(Exception):
    """A line finds no way through."""


def route(places: Places) -> Routes:
    """Draw all lines, with as many tracks as they need.

    Raises
    ------
    NoWayError
        There is no way to draw them.
    """
    for chosen in (places, replace(places, straight=[])):
        for tracks in (3, 5, 8, 13):
            try:
                return _Routing(chosen, tracks).routes
            except NoWayError:
                continue
    raise NoWayError


@dataclass
class _Net:
    """What is drawn of one value so far."""

    points: set[Point] = field(default_factory=set)
    exits: set[Point] = field(default_factory=set)


class _Routing:
    def __init__(self, places: Places, tracks: int) -> None:
        size = (places.columns, places.rows)
        self.places, self.routes = places, Routes([], tracks, places.at, size)
        self.width = tracks + places.columns * (3 + tracks)
        self.height = tracks + places.rows * (1 + tracks)
        self.occupied: dict[Point, Part] = {}
        for part in places.at:
            x, y = self.middle(part)
            self.occupied |= {(x + aside, y): part for aside in (-1, 0, 1)}
        # Just outside of a part's sides, where other lines would be in the way of its own.
        self.doors: dict[Point, Part] = {}
        for part in places.at:
            for (x, y), (dx, dy) in self._sides(part):
                self.doors[x + dx, y + dy] = part
        # (point, horizontal?) -> the value whose line runs there.
        self.runs: dict[tuple[Point, bool], Part] = {}
        self.ports: dict[tuple[Part, Point, Point], Part] = {}
        self.nets: dict[Part, _Net] = {}
        joins = (part for part in places.at if part.kind == "join")
        self.bus = {self.middle(part)[1] for part in joins}
        for source, target, wire in self._ordered():
            self._draw(source, target, wire)

    def middle(self, part: Part) -> Point:
        """Grid position of a part."""
        column, row = self.places.at[part]
        return self.routes.column(column), self.routes.row(row)

    def _ordered(self) -> list[tuple[Part, Part, Wire]]:
        straight = set(self.places.straight)
        wires = [(w.source, part, w) for part in self.places.at for w in part.wires]

        def key(each: tuple[Part, Part, Wire]) -> tuple[bool, bool, int]:
            source, target, wire = each
            (a, b), (c, d) = self.middle(source), self.middle(target)
            # What is scaled comes last: it may branch off the value, the value not off it.
            return (source, target) not in straight, wire.scaled, abs(a - c) + abs(b - d)

        return sorted(wires, key=key)

    def _sides(self, part: Part) -> Iterator[tuple[Point, Point]]:
        """Points of a part at which a line may touch it, each with its way outwards."""
        x, y = self.middle(part)
        yield (x + 1, y), (1, 0)
        yield (x - 1, y), (-1, 0)
        for aside in (0, -1, 1) if part.kind == "box" else (0,):
            yield (x + aside, y), (0, -1)
            yield (x + aside, y), (0, 1)

    def _exits(self, part: Part) -> Iterator[tuple[float, Point, Point]]:
        prices = {
            "box": {(1, 0): 1.0, (0, -1): 0.0},
            "circle": {(1, 0): 0.0, (0, -1): 0.0, (0, 1): 1.0, (-1, 0): 9.0},
            "join": {(1, 0): 0.0},
            "state": {(1, 0): 0.0},
            "input": {(0, -1): 0.0, (1, 0): 3.0, (-1, 0): 3.0},
        }[part.kind]
        middle, row = self.middle(part)
        if any(a is part and self.middle(b)[1] > row for a, b in self.places.straight):
            prices = prices | {(0, 1): 0.0}
        for point, outward in self._sides(part):
            aside = 2.0 * (point[0] != middle and outward[0] == 0)
            if outward in prices and (part, point, outward) not in self.ports:
                yield prices[outward] + aside, point, outward

    def _entries(self, part: Part, source: Part) -> list[tuple[float, Point, Point]]:
        prices = {
            "box": {(0, 1): 0.0, (-1, 0): 2.0, (0, -1): 5.0, (1, 0): 9.0},
            "circle": {(0, 1): 0.0, (-1, 0): 0.0, (0, -1): 0.5, (1, 0): 6.0},
            "join": {(0, 1): 0.0, (-1, 0): 0.0, (0, -1): 1.0},
            "end": {(-1, 0): 0.0},
        }[part.kind]
        here, there = self.middle(source), self.middle(part)
        found, straight = [], []
        for point, outward in self._sides(part):
            if outward not in prices or (part, point, outward) in self.ports:
                continue
            aside = 1.5 * (point[0] != there[0] and outward[0] == 0)
            found.append((prices[outward] + aside, point, outward))
            if outward == _towards(there, here) and point[0] in (there[0], there[0] - 1):
                straight.append(found[-1])
        pair = (source, part) in self.places.straight
        return straight if pair and straight else found

    def _starts(self, source: Part, net: _Net) -> Iterator[tuple[float, Point, Point]]:
        """Where a line may begin: cost, the last point that is drawn, direction."""
        if not net.points or source.kind == "circle":
            spare = 4 - len(source.wires) - len(net.exits) > 0
            for price, point, outward in self._exits(source):
                if not net.exits or spare:
                    yield price + 3.0 * bool(net.exits), point, outward
        for x, y in sorted(net.points):
            runs = {self.runs.get(((x, y), side)) for side in (True, False)}
            if (x, y) in self.occupied or runs - {source, None}:
                continue
            for step in _DIRECTIONS:
                if (x + step[0], y + step[1]) not in net.points:
                    yield _BRANCH, (x, y), step

    def _draw(self, source: Part, target: Part, wire: Wire) -> None:
        net = self.nets.setdefault(source, _Net())
        goals: dict[tuple[Point, Point], float] = {}
        for price, point, outward in self._entries(target, source):
            goals[point, (-outward[0], -outward[1])] = price
        path = self._search(source, target, net, goals)
        branches = path[0] in net.points and path[0] not in self.occupied
        for here, there in pairwise(path):
            flat = here[1] == there[1]
            for point in (here, there):
                self.runs[point, flat] = source
        first, last = path[0], path[-1]
        if not branches:
            outward = (path[1][0] - first[0], path[1][1] - first[1])
            self.ports[source, first, outward] = source
            net.exits.add(outward)
        inward = (path[-2][0] - last[0], path[-2][1] - last[1])
        self.ports[target, last, inward] = source
        net.points.update(path)
        self.routes.lines.append(Line(source, target, wire, path, branches))

    def _search(
        self, source: Part, target: Part, net: _Net, goals: dict[tuple[Point, Point], float]
    ) -> list[Point]:
        """The cheapest way, by the A* algorithm."""
        column, row = self.middle(target)

        def at_least(point: Point) -> float:
            return 0.8 * max(0, abs(point[0] - column) + abs(point[1] - row) - 3)

        queue: list[tuple[float, int, Point, Point]] = []
        best: dict[tuple[Point, Point], float] = {}
        came: dict[tuple[Point, Point], tuple[Point, Point] | None] = {}
        number = 0

        def offer(cost: float, point: Point, step: Point, last: tuple[Point, Point] | None) -> None:
            nonlocal number
            if cost < best.get((point, step), _FORBIDDEN):
                best[point, step], came[point, step] = cost, last
                number += 1
                heapq.heappush(queue, (cost + at_least(point), number, point, step))

        for price, point, step in self._starts(source, net):
            offer(price, point, step, None)
        done: tuple[float, tuple[Point, Point]] | None = None
        while queue:
            bound, _, point, step = heapq.heappop(queue)
            if done is not None and bound >= done[0]:
                break
            cost = best[point, step]
            if bound > cost + at_least(point) + 1e-9:
                continue
            ahead = (point[0] + step[0], point[1] + step[1])
            if (ahead, step) in goals and self.occupied.get(ahead) is target:
                total = cost + 1 + goals[ahead, step]
                if done is None or total < done[0]:
                    done = (total, (ahead, step))
                    best[ahead, step], came[ahead, step] = total, (point, step)
                continue
            price = self._price(ahead, step, source)
            if price >= _FORBIDDEN:
                continue
            offer(cost + price, ahead, step, (point, step))
            if (ahead, True) in self.runs or (ahead, False) in self.runs:
                continue  # no bend where another line crosses
            for turn in ((step[1], step[0]), (-step[1], -step[0])):
                offer(cost + price + _BEND, ahead, turn, (point, step))
        if done is None:
            raise NoWayError
        return _points(done[1], came)

    def _price(self, point: Point, step: Point, source: Part) -> float:
        x, y = point
        if not (0 <= x < self.width and 0 <= y < self.height) or point in self.occupied:
            return _FORBIDDEN
        flat = step[0] != 0
        if (point, flat) in self.runs:
            return _FORBIDDEN
        other = self.runs.get((point, not flat))
        price = 1.0 + _DOOR * (point in self.doors) - 0.2 * (flat and y in self.bus)
        if other is None:
            return price
        # A line does not cross itself, and crosses others only where they run on.
        return (
            price + _CROSSING if other is not source and self._straight(point, flat) else _FORBIDDEN
        )

    def _straight(self, point: Point, flat: bool) -> bool:
        """Whether the line that is met at a right angle runs straight on at a point."""
        x, y = point
        sides = ((x, y - 1), (x, y + 1)) if flat else ((x - 1, y), (x + 1, y))
        owner = self.runs[point, not flat]
        return all(self.runs.get((side, not flat)) is owner for side in sides)


def _towards(here: Point, there: Point) -> Point:
    """The direction from one point to another, slanted if neither level nor upright."""
    dx, dy = there[0] - here[0], there[1] - here[1]
    return (dx > 0) - (dx < 0), (dy > 0) - (dy < 0)


def _points(
    last: tuple[Point, Point], came: dict[tuple[Point, Point], tuple[Point, Point] | None]
) -> list[Point]:
    path: list[Point] = []
    current: tuple[Point, Point] | None = last
    while current is not None:
        if not path or path[-1] != current[0]:
            path.append(current[0])
        current = came[current]
    return path[::-1]
