"""From a cell's graph to the parts of its picture: boxes that learn, circles that compute.

Textbooks draw a gate as one box although it is several operations: products with matrices, their
sum, a bias and a sigmoid. Here the graph is contracted to such parts; where they stand and how
lines run between them is not decided here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from cellwright.ir import Graph, Node, topological
from cellwright.ir.text import spell
from cellwright.look.diagrams.words import (
    BINARY,
    FIXED,
    UNARY,
    WITH_NUMBER,
    base_name,
    first_weight,
    mean_of,
    normalised,
    number_text,
    softplus_of,
)

__all__ = ["Kind", "Part", "Wire", "contract"]

Kind = Literal["state", "input", "box", "circle", "join", "end"]

# A circle has four sides, one of which its value leaves by.
_MOST = 3
# Letters of a formula from which an arrow may come.
_LONGEST = 16


@dataclass(eq=False)
class Wire:
    """A line into a part: where it comes from, and a mark where it arrives."""

    source: Part
    mark: str = ""
    scaled: bool = False


@dataclass
class _Terms:
    """The terms of a sum, each with a mark if it is subtracted.

    `rest` is only added; `learned` belongs into boxes, under True what is normalised first.
    """

    rest: list[tuple[Node, str]] = field(default_factory=list)
    learned: dict[bool, list[tuple[Node, str]]] = field(default_factory=dict)

    @property
    def all_learned(self) -> list[tuple[Node, str]]:
        return [term for group in self.learned.values() for term in group]


@dataclass(eq=False)
class Part:
    """One thing in the picture.

    Attributes
    ----------
    kind
        ``state`` (before the step), ``input``, ``box`` (learned), ``circle`` (pointwise),
        ``join`` (lines that run on side by side) or ``end`` (a state after the step).
    text
        What is written in it.
    name
        The author's name for its value.
    wires
        What comes in.
    """

    kind: Kind
    text: str
    name: str = ""
    wires: list[Wire] = field(default_factory=list)

    @property
    def sources(self) -> list[Part]:
        """The parts that lines come from."""
        return [wire.source for wire in self.wires]


def contract(graph: Graph) -> list[Part]:
    """The parts of a cell's picture, sources before their users, ends last.

    What no state after the step depends on is left out.
    """
    contraction = _Contraction(graph)
    ends = [
        Part("end", name, wires=[Wire(contraction.part(value))])
        for name, value in graph.after.items()
    ]
    _join_what_runs_together(ends)
    return [*_in_order(ends), *ends]


def _in_order(ends: list[Part]) -> list[Part]:
    found: dict[Part, None] = {}

    def visit(part: Part) -> None:
        for source in part.sources:
            if source not in found:
                visit(source)
        if part.kind != "end":
            found.setdefault(part)

    for end in ends:
        visit(end)
    return list(found)


def _join_what_runs_together(ends: list[Part]) -> None:
    """Draw the inputs that several boxes share as one line, as textbooks do with [h, x]."""
    boxes = [part for part in _in_order(ends) if part.kind == "box"]

    def leaves(box: Part) -> tuple[Part, ...]:
        plain = (wire.source for wire in box.wires if not (wire.scaled or wire.mark))
        found = dict.fromkeys(s for s in plain if s.kind in ("state", "input"))
        return tuple(sorted(found, key=lambda part: (part.kind != "state", part.text)))

    common = Counter(leaves(box) for box in boxes)
    joins = {
        together: _joined([Wire(source) for source in together])
        for together, users in common.items()
        if len(together) > 1 and users > 1
    }
    for box in boxes:
        together = leaves(box)
        if together in joins:
            others = [w for w in box.wires if w.scaled or w.mark or w.source not in together]
            box.wires = [Wire(joins[together]), *others]
        if len(box.wires) > _MOST + 2:
            box.wires = [Wire(_joined(box.wires))]


def _joined(wires: list[Wire]) -> Part:
    """A bar where lines meet, or several, one behind the other."""
    join = Part("join", "", wires=wires[:_MOST])
    for start in range(_MOST, len(wires), _MOST - 1):
        join = Part("join", "", wires=[Wire(join), *wires[start : start + _MOST - 1]])
    return join


class _Contraction:
    """Parts for nodes, each made once."""

    def __init__(self, graph: Graph) -> None:
        self.needed = list(topological(graph.outputs))
        self.uses = Counter(source for value in self.needed for source in value.inputs)
        self.uses.update(graph.outputs)
        self.written = spell(graph)
        self.signals = {value: name for name, value in reversed(graph.signals)}
        self.names: dict[Node, str] = {}
        for name, value in (*graph.after.items(), *graph.signals):
            self.names.setdefault(value, name)
        self.fixed: set[Node] = set()
        for value in self.needed:
            inner = value.kind in ("pointwise", "truth", "reduction")
            # What becomes of a state is drawn, and no more named than that.
            inner = inner and value not in graph.outputs
            if value.op in FIXED or (inner and all(s in self.fixed for s in value.inputs)):
                self.fixed.add(value)
        self.made: dict[Node, Part] = {}
        self.normal: dict[Node, Node] = {}
        for value in self.needed:
            source = normalised(value)
            if source is not None:
                self.normal[value] = source

    def part(self, value: Node) -> Part:
        """The part that stands for a value."""
        if value not in self.made:
            self.made[value] = self._make(value)
        return self.made[value]

    def _make(self, value: Node) -> Part:
        name = self.names.get(value, "")
        if value.op in ("state", "input", "below"):
            kind: Kind = "state" if value.op == "state" else "input"
            return Part(kind, value.name, "below" if value.op == "below" else "")
        if value in self.fixed:
            return Part("input", self._fixed_text(value), "fixed")
        if value.kind == "weight":
            return Part("box", "w", name or base_name(value))
        return self._computed(value, name)

    def _fixed_text(self, value: Node) -> str:
        """What is written for a value that depends on no input and no state."""
        if value.op == "constant":
            return number_text(value)
        name = self.signals.get(value) or value.attributes.get("name")
        if name is not None:
            return str(name)
        if len(self.written[value]) <= _LONGEST:
            return self.written[value]
        return "f(t)" if any(v.op == "step" for v in topological([value])) else "const"

    def _computed(self, value: Node, name: str) -> Part:
        if (soft := softplus_of(value)) is not None:
            return Part("circle", "softplus", name, [Wire(self.part(soft))])
        terms = self._terms(value)
        if terms.learned:
            return self._learned_sum(terms, name)
        if (source := mean_of(value)) is not None:
            return Part("circle", "mean", name, [Wire(self.part(source))])
        if value in self.normal:
            return Part("circle", "norm", name, [Wire(self.part(self.normal[value]))])
        if len(value.inputs) == 1:
            return self._unary(value, name)
        return self._operation(value, name)

    def _learned_sum(self, terms: _Terms, name: str) -> Part:
        """A box for what is learned, a second one for what is normalised, and a + if need be."""
        rest = [Wire(self.part(term), mark) for term, mark in terms.rest]
        if rest and all(term.kind == "weight" for term, _ in terms.all_learned):
            taken = all(mark for _, mark in terms.all_learned)
            return self._many("−b" if taken else "+b", name, rest)
        if not rest and len(terms.learned) == 1:
            (normed,) = terms.learned
            box = self._box(terms, normed)
            box.name = name or box.name
            return box
        wires = []
        for normed, group in terms.learned.items():
            # Where all of a box is subtracted, its own line is marked and not each into it.
            mark = "−" if all(mark for _, mark in group) else ""
            wires.append(Wire(self._box(terms, normed, mark), mark))
        return self._many("+", name, [*wires, *rest])

    def _box(self, terms: _Terms, normed: bool, outside: str = "") -> Part:
        group = terms.learned[normed]
        # A bare bias may be that of a norm and not of what else is added.
        terms_first = sorted((term for term, _ in group), key=lambda term: term.kind == "weight")
        letter = base_name(next(v for v in map(first_weight, terms_first) if v))
        box = Part("box", "LN" if normed else "W", letter)
        for term, mark in group:
            box.wires += self._learned_wires(term, _times(outside, mark))
        if all(wire.scaled for wire in box.wires) and not normed:
            box.text = "w"
        box.wires = list({(w.source, w.scaled, w.mark): w for w in box.wires}.values())
        return box

    def _learned_wires(self, term: Node, mark: str) -> list[Wire]:
        """What a learned term reads."""
        if term.kind == "weight":
            return []
        if term.kind == "product":
            return [Wire(self.part(term.inputs[1]), mark)]
        source = next(v for v in term.inputs if v.op != "vector")
        if source.op == "constant":
            return []
        if source not in self.normal:
            return [Wire(self.part(source), mark, scaled=True)]
        inner = self.normal[source]
        terms = self._terms(inner)
        if terms.rest or True in terms.learned or inner in self.names:
            return [Wire(self.part(inner), mark)]
        return [
            wire
            for each, inside in terms.all_learned
            for wire in self._learned_wires(each, _times(mark, inside))
        ]

    def _terms(self, value: Node) -> _Terms:
        """What a sum is of, each with the sign with which it is added."""
        found = _Terms()
        stack = [(value, "")]
        while stack:
            term, mark = stack.pop()
            free = term is value or self._hidden(term)
            if free and term.op in ("add", "sub") and not self._constant(term):
                second = mark if term.op == "add" else _times(mark, "−")
                stack += [(term.inputs[1], second), (term.inputs[0], mark)]
            elif free and term.op == "neg" and self._learned(term.inputs[0]):
                stack.append((term.inputs[0], _times(mark, "−")))
            elif self._learned(term, whole=term is value):
                normed = any(source in self.normal for source in term.inputs)
                found.learned.setdefault(normed, []).append((term, mark))
            else:
                found.rest.append((term, mark))
        plain = found.learned.get(False, [])
        if True in found.learned and all(term.kind == "weight" for term, _ in plain):
            # No box of its own for what shifts a normalised value.
            found.learned[True] += found.learned.pop(False, [])
        return found

    def _hidden(self, value: Node) -> bool:
        """Whether a value is only a part of the one that uses it."""
        once = self.uses[value] == 1 and value not in self.names
        return once and softplus_of(value) is None

    def _learned(self, term: Node, *, whole: bool = False) -> bool:
        """Whether a term of a sum, or the whole of it, belongs into a box."""
        vectors = sum(source.op == "vector" for source in term.inputs)
        # A number other than 1 is written in a circle, which a box has no room for.
        number = any(source.attributes.get("value", 1.0) != 1.0 for source in term.inputs)
        scaled = term.op == "mul" and vectors == 1 and not number
        inner = whole or self._hidden(term)
        return term.kind == "weight" or (inner and (scaled or term.kind == "product"))

    def _constant(self, value: Node) -> bool:
        return any(source.op == "constant" for source in value.inputs)

    def _unary(self, value: Node, name: str) -> Part:
        source = value.inputs[0]
        text = UNARY.get(value.op, value.op)
        inner = self.part(source)
        hidden = self.uses[source] == 1 and source not in self.names
        if hidden and inner.kind == "box" and value.op not in ("neg", "sum", "max"):
            learned = {"W": text, "w": text, "LN": f"{text} LN"}.get(inner.text)
            if learned:
                return Part("box", learned, name or inner.name, inner.wires)
        return Part("circle", text, name, [Wire(inner)])

    def _operation(self, value: Node, name: str) -> Part:
        for side, number in enumerate(value.inputs):
            if number.op == "constant" and value.op in WITH_NUMBER:
                template = WITH_NUMBER[value.op][side]
                text = template.format(number_text(number))
                text = text.replace("+-", "−").replace("−-", "+").replace("-", "−")
                return Part("circle", text, name, [Wire(self.part(value.inputs[1 - side]))])
        if value.op == "mul" and value.inputs[0] is value.inputs[1]:
            return Part("circle", "x²", name, [Wire(self.part(value.inputs[0]))])
        text, *marks = BINARY[value.op]
        if value.op in ("add", "sub", "mul"):
            return self._many(text, name, self._flat(value, value.op == "mul"))
        wires = [Wire(self.part(v), m) for v, m in zip(value.inputs, marks, strict=True)]
        return Part("circle", text, name, wires)

    def _flat(self, value: Node, product: bool) -> list[Wire]:
        """What one sum or product after the other takes in, in the author's order."""
        ops = ("mul",) if product else ("add", "sub")
        wires, stack = [], [(value, "")]
        while stack:
            term, mark = stack.pop()
            twice = len(set(term.inputs)) == 1
            inner = self._hidden(term) and term.op in ops and not (twice or self._constant(term))
            if term is value or inner:
                second = _times(mark, "−") if term.op == "sub" else mark
                stack += [(term.inputs[1], second), (term.inputs[0], mark)]
            else:
                wires.append(Wire(self.part(term), mark))
        return wires

    def _many(self, text: str, name: str, wires: list[Wire]) -> Part:
        while len(wires) > _MOST:
            inner = "×" if text == "×" else "+"
            wires = [Wire(Part("circle", inner, "", wires[:_MOST])), *wires[_MOST:]]
        return Part("circle", text, name, wires)


def _times(mark: str, other: str) -> str:
    """The sign of a product of two signs."""
    return "" if mark == other else "−"
