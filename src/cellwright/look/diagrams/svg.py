"""Writing a cell's picture as SVG: how large everything is, and how it looks."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from xml.sax.saxutils import escape

from cellwright.look.diagrams.parts import Part
from cellwright.look.diagrams.routes import Line, Routes

__all__ = ["write_svg"]

_RADIUS, _BOX, _TRACK, _MARGIN, _CLEAR, _ASIDE = 13.0, 20.0, 12.0, 13.0, 20.0, 13.0
_DASHED = 12.0
_GATE, _LEARNED = "#d99000", "#3b82f6"
_FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"
_DARK = "<style>svg{color:#1f2430}@media (prefers-color-scheme:dark){svg{color:#e3e6ee}}</style>"


def write_svg(name: str, routes: Routes, *, standalone: bool) -> str:
    """The picture of a cell called `name` as an ``<svg>`` element."""
    return _Drawing(name, routes).svg(standalone)


def _width(text: str, size: float) -> float:
    """Roughly, and rather too much than too little: fonts differ."""
    narrow = sum(letter in "iljtf.,·|!' ()" for letter in text)
    return size * (0.64 * (len(text) - narrow) + 0.4 * narrow)


class _Drawing:
    def __init__(self, name: str, routes: Routes) -> None:
        self.name, self.routes = name, routes
        self.at = routes.at
        shown = {end.sources[0]: end.text for end in self.at if end.kind == "end"}
        # What leaves under its own name needs no second label.
        self.label = {
            part: part.name
            for part in self.at
            if part.kind == "circle" and part.name and shown.get(part) != part.name
        }
        self.half = {part: self._half(part) for part in self.at}
        self.x = self._positions(0)
        self.y = self._positions(1)

    def _half(self, part: Part) -> tuple[float, float]:
        """Half the width and half the height of a part."""
        if part.kind == "box":
            widest = max(_width(part.text, 15), _width(part.name, 11))
            return max(22.0, widest / 2 + 7), _BOX
        if part.kind == "circle":
            return max(_RADIUS, _width(part.text, 13) / 2 + 6), _RADIUS
        if part.kind == "join":
            return 2.5, 11.0
        return _width(part.text, 15) / 2 + (13 if part.kind == "state" else 9), 10.0

    def _space(self, part: Part, axis: int, side: int) -> float:
        """How far a part and its labels reach from its middle."""
        half = self.half[part][axis]
        marked = any(wire.mark for wire in part.wires)
        if axis == 1:
            if part in self.label and side < 0:
                return half + (13.0 if self.half[part][0] > _RADIUS + 2 else 9.0)
            return half + 9.0 if marked else half
        if side > 0 and part in self.label:
            return max(half, 11 + _width(self.label[part], 12))
        if marked:
            return max(half, 11 + max(_width(wire.mark, 11) for wire in part.wires))
        return half

    def _positions(self, axis: int) -> list[float]:
        """Grid position -> place in the picture; tracks that nobody uses take no room."""
        used = set()
        for line in self.routes.lines:
            for one, other in pairwise(line.points):
                if one[axis] == other[axis]:
                    used.add(one[axis])
        tracks = self.routes.tracks
        count = self.routes.size[axis]
        thick = 3 if axis == 0 else 1
        short = self._short_dashes(axis)
        where: list[float] = []
        cursor = 4.0
        for number in range(count + 1):
            free = not used.intersection(range(len(where), len(where) + tracks))
            for index in range(len(where), len(where) + tracks):
                if index in used:
                    cursor += _TRACK
                where.append(cursor)
            if number == count:
                break
            there = [part for part, place in self.at.items() if place[axis] == number]
            before = max((self._space(part, axis, -1) for part in there), default=8.0)
            after = max((self._space(part, axis, 1) for part in there), default=8.0)
            # A line in the tracks before the first needs as much room as one between two.
            gap = _MARGIN if not free else _CLEAR if number else 0.0
            gap += _DASHED * ((number, -1) in short)
            middle = cursor + gap + max(before, _ASIDE if thick == 3 else 0)
            where += [middle - _ASIDE, middle, middle + _ASIDE] if thick == 3 else [middle]
            cursor = middle + max(after, _ASIDE if thick == 3 else 0)
            cursor += _DASHED * ((number, 1) in short)
        self.extent = cursor + 4.0
        if axis == 0:
            self.total_width = self.extent
        else:
            self.total_height = self.extent
        return where

    def _short_dashes(self, axis: int) -> set[tuple[int, int]]:
        """Columns or rows, and the side of them, at which dashes need more room to be seen."""
        found = set()
        for line in self.routes.lines:
            straight = len({point[1 - axis] for point in line.points}) == 1
            within = len(line.points) <= self.routes.tracks + 1
            if line.wire.scaled and line.branches and straight and within:
                side = 1 if line.points[-1][axis] < line.points[-2][axis] else -1
                found.add((self.at[line.target][axis], side))
        return found

    def svg(self, standalone: bool) -> str:
        w, h = self.total_width, self.total_height
        body = [*map(self._line, self._bottom_first()), *self._dots(), *map(self._part, self.at)]
        title = f"Diagram of the cell {escape(self.name)}"
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="cellwright-diagram" role="img" '
                f'viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}" '
                f'style="max-width:100%;height:auto" font-family="{_FONT}" fill="none" '
                f'stroke="none" text-anchor="middle">',
                f"<title>{title}</title>",
                *([_DARK] if standalone else []),
                *body,
                "</svg>",
            ]
        )

    def _bottom_first(self) -> Iterable[Line]:
        return sorted(self.routes.lines, key=lambda line: line.source.kind != "join")

    def _place(self, part: Part) -> tuple[float, float]:
        column, row = self.at[part]
        return self.x[self.routes.column(column)], self.y[self.routes.row(row)]

    def _line(self, line: Line) -> str:
        points = [(self.x[x], self.y[y]) for x, y in _corners(line.points)]
        if not line.branches:
            points[0] = self._edge(line.source, points[0], points[1])
        points[-1] = tip = self._edge(line.target, points[-1], points[-2])
        thick = line.source.kind == "join"
        dashes = ' stroke-dasharray="5 3"' if line.wire.scaled else ""
        arrow = ""
        if line.target.kind != "join":
            arrow = f'<path d="{_arrow(points[-2], tip)}" fill="currentColor"/>'
            points[-1] = _towards(tip, points[-2], 5.0)
        path = _rounded(points)
        width = 3 if thick else 1.5
        opacity = ' stroke-opacity="0.55"' if thick else ""
        drawn = f'<path d="{path}" stroke="currentColor" stroke-width="{width}"{opacity}{dashes}/>'
        return drawn + arrow + self._mark(line, tip, points[-2])

    def _edge(
        self, part: Part, point: tuple[float, float], outside: tuple[float, float]
    ) -> tuple[float, float]:
        """Where a line touches the outline of a part."""
        middle, (wide, high) = self._place(part), self.half[part]
        if abs(outside[1] - point[1]) < 1e-6:
            return middle[0] + (wide if outside[0] > middle[0] else -wide), middle[1]
        x = point[0] if part.kind == "box" else middle[0]
        return x, middle[1] + (high if outside[1] > middle[1] else -high)

    def _mark(self, line: Line, tip: tuple[float, float], outside: tuple[float, float]) -> str:
        if not line.wire.mark:
            return ""
        room = _width(line.wire.mark, 11) / 2
        if abs(outside[1] - tip[1]) < 1e-6:
            left = outside[0] < tip[0]
            x, y = tip[0] + (-room if left else room), tip[1] + (-5 if left else 13)
        else:
            x, y = tip[0] - room - 6, tip[1] + (8 if outside[1] > tip[1] else -2)
        return _text(x, y, line.wire.mark, 11, ' fill-opacity="0.8"')

    def _dots(self) -> list[str]:
        places = (line.points[0] for line in self.routes.lines if line.branches)
        return [
            f'<circle cx="{self.x[x]:.1f}" cy="{self.y[y]:.1f}" r="2.8" fill="currentColor"/>'
            for x, y in places
        ]

    def _part(self, part: Part) -> str:
        x, y = self._place(part)
        wide, high = self.half[part]
        shape = (
            f'x="{x - wide:.1f}" y="{y - high:.1f}" width="{2 * wide:.1f}" height="{2 * high:g}"'
        )
        if part.kind == "join":
            return f'<rect {shape} rx="1.5" fill="currentColor"/>'
        if part.kind == "box":
            colour = _GATE if part.text.startswith("σ") else _LEARNED
            outline = f'fill="{colour}" fill-opacity="0.2" stroke="{colour}" stroke-width="1.4"'
            main, caption = (y - 1, y + 13) if part.name else (y + 5, y)
            return (
                f'<rect {shape} rx="5" {outline}/>'
                + _text(x, main, part.text, 15)
                + (_text(x, caption, part.name, 11, ' font-style="italic"') if part.name else "")
            )
        if part.kind == "circle":
            outline = 'fill="currentColor" fill-opacity="0.07" stroke="currentColor"'
            if part.text == "σ":
                outline = f'fill="{_GATE}" fill-opacity="0.2" stroke="{_GATE}"'
            label = self.label.get(part, "")
            corner = (x + 5, y - high - 4) if wide > _RADIUS + 2 else (x + 10, y - 12)
            return (
                f'<rect {shape} rx="{high:g}" {outline} stroke-width="1.2"/>'
                + _text(x, y + 5, part.text, 16 if part.text in "+×−" else 13)
                + (
                    _text(*corner, label, 12, ' font-style="italic" text-anchor="start"')
                    if label
                    else ""
                )
            )
        return self._terminal(part, x, y)

    def _terminal(self, part: Part, x: float, y: float) -> str:
        step = {"state": "t−1", "end": "t", "input": "t"}[part.kind]
        if part.name == "fixed":
            step = ""
        small = f'<tspan font-size="10" dy="4" font-style="normal">{step}</tspan>' if step else ""
        if part.name == "below":
            small += '<tspan font-size="11" dy="-8" font-style="normal">↓</tspan>'
        x -= 3 if part.kind == "state" else 0
        return (
            f'<text x="{x:.1f}" y="{y + 4:.1f}" font-size="15" font-style="italic" '
            f'fill="currentColor">{escape(part.text)}{small}</text>'
        )


def _text(x: float, y: float, text: str, size: float, more: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="currentColor"{more}>'
        f"{escape(text)}</text>"
    )


def _towards(
    point: tuple[float, float], goal: tuple[float, float], distance: float
) -> tuple[float, float]:
    length = abs(goal[0] - point[0]) + abs(goal[1] - point[1])
    part = min(1.0, distance / length) if length else 0.0
    return point[0] + (goal[0] - point[0]) * part, point[1] + (goal[1] - point[1]) * part


def _arrow(before: tuple[float, float], tip: tuple[float, float]) -> str:
    x, y = tip
    bx, by = _towards(tip, before, 7.0)
    dx, dy = (0.0, 3.4) if abs(by - y) < 1e-6 else (3.4, 0.0)
    return f"M{x:.1f} {y:.1f}L{bx + dx:.1f} {by + dy:.1f}L{bx - dx:.1f} {by - dy:.1f}Z"


def _corners(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Only the points of the grid at which a line bends."""
    inner = zip(points, points[1:], points[2:], strict=False)
    bends = [
        here for before, here, after in inner if before[0] != after[0] and before[1] != after[1]
    ]
    return [points[0], *bends, points[-1]]


def _rounded(points: list[tuple[float, float]]) -> str:
    """A path along points with round corners."""
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        room = min(
            7.0, *(0.5 * (abs(p[0] - here[0]) + abs(p[1] - here[1])) for p in (before, after))
        )
        start, end = _towards(here, before, room), _towards(here, after, room)
        path += f"L{start[0]:.1f} {start[1]:.1f}Q{here[0]:.1f} {here[1]:.1f} "
        path += f"{end[0]:.1f} {end[1]:.1f}"
    return f"{path}L{points[-1][0]:.1f} {points[-1][1]:.1f}"
