"""From the equations of a step to sweeps: matrix products, and the pointwise work behind them.

Everything that needs no other unit than its own is done in one pass over the units, right
behind the products that feed it, while their sums are still in the nearest cache. A product of
a value that the step itself computes needs all units of that value, and so does a reduction:
there a pass ends and the next one begins. The number of passes that a node has to wait for is
its *level*.

What follows from the input alone, and is multiplied with a matrix, is a step of its own that is
planned in the same way and done for many steps at once, *ahead* of the loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from cellwright.ir import SCALAR, Node, Size, node, topological
from cellwright.plan.clocks import follows_from_step
from cellwright.plan.lasting import find_lasting
from cellwright.plan.program import (
    Array,
    Group,
    Outer,
    Part,
    Place,
    Program,
    Reduction,
    Sum,
    Sunk,
    Sweep,
)
from cellwright.plan.saving import CHEAP
from cellwright.plan.step import Step, is_given, known_sources
from cellwright.plan.storage import Storage

__all__ = ["plan_step"]

# What can be read behind the loop, for all steps of a chunk at once.
_SUNK: frozenset[Place] = frozenset({"step", "chunk"})
_OF_GRADIENT: frozenset[Place] = frozenset({"chunk"})
_RIGHT_OF_OUTER: frozenset[Place] = frozenset({"step", "previous", "chunk"})
# Cheap operations that take no longer than to write a vector to the second cache and read it.
_AGAIN = 6


def plan_step(step: Step) -> Program:
    """Plan a step; see `Program`."""
    return _Planner(step).program()


@dataclass
class _Sweep:
    """A sweep while it is being filled."""

    groups: list[Group] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    stores: list[tuple[Node, Array]] = field(default_factory=list)
    reductions: list[Reduction] = field(default_factory=list)

    def filled(self, size: Size, storage: Storage) -> Sweep:
        """The sweep that has come of it."""
        groups, reductions = tuple(self.groups), tuple(self.reductions)
        if groups:
            reductions = tuple(
                replace(r, lanes=storage.make("scratch", SCALAR)) for r in reductions
            )
        return Sweep(size, groups, tuple(self.nodes), tuple(self.stores), reductions)


class _Planner:
    """Collects what is wanted, gives every node a level, and fills the sweeps."""

    def __init__(self, step: Step, within: Place = "scratch") -> None:
        self.step = step
        self.storage = Storage(dict(step.leaves), step.written, within=within)
        self.in_loop = within == "scratch"
        self.clocks = step.clocks()
        self.known: set[Node] = set()
        self.ahead = None if step.backward or not self.in_loop else self._plan_ahead()
        self.loads, self.stores = self.storage.loads, self.storage.stores
        self.sunk: list[Sunk] = []
        self.outers: list[Outer] = []
        self.sums: list[Sum] = []
        self._behind_the_loop()
        roots = [value for value, _ in self.stores]
        self.order = [v for v in topological(roots, self.loads) if v.op != "matrix"]
        self.timed = follows_from_step(self.order)
        users: Counter[Node] = Counter(roots)
        for value in self.order:
            if value not in self.loads:
                users.update(value.inputs)
        self.single = {value for value, count in users.items() if count == 1} - set(roots)
        self.groups: dict[Node, tuple[list[Node], list[Node]]] = {}
        self._find_groups()
        self.level: dict[Node, int] = {}
        self._find_levels()

    # -- ahead of the loop --

    def _plan_ahead(self) -> Program | None:
        """Plan what is multiplied with a matrix and follows from the input alone."""
        leaves, sources = self.step.leaves, list(known_sources(self.step))
        if not sources:
            return None
        stores = [(s, Array(f"ahead {n}", "chunk", s.size)) for n, s in enumerate(sources)]
        wanted = set(topological(sources, leaves))
        given = {leaf: array for leaf, array in leaves.items() if leaf in wanted}
        found = _Planner(Step(f"{self.step.name} ahead", given, stores, {}), "chunk").program()
        self.storage.loads.update(stores)
        self.known = set(sources)
        self.storage.made += [a for a in found.arrays if a not in given.values()]
        return found

    # -- behind the loop --

    def _behind_the_loop(self) -> None:
        for matrix, gradient, source in self.step.outers:
            left = self.storage.kept(gradient, matrix.size, _OF_GRADIENT)
            right = self.storage.kept(source, source.size, _RIGHT_OF_OUTER)
            self.outers.append(Outer(matrix, left, right, self.clocks.rests(gradient)))
        for vector, value in self.step.sums:
            self.sums.append(Sum(vector, self.storage.kept(value, vector.size, _OF_GRADIENT)))
        for value, target in self.step.sunk:
            terms = list(_terms(value, _adds(value), set()))
            products = [t for t in terms if _has_product(t, value)]
            rest = [t for t in terms if t not in products]
            if rest:
                self.stores.append((_total(rest), target))
            if products:
                sources = [p.inputs[1] for p in products]
                arrays = [self.storage.kept(source, source.size, _SUNK) for source in sources]
                parts = tuple(map(self._part, products, arrays))
                self.sunk.append(Sunk(target, parts, adds=bool(rest)))

    def _part(self, product: Node, source: Array) -> Part:
        matrix, value = product.inputs
        # What is recorded may lie where only the loop itself writes it down.
        given = self.step.leaves.get(value) is source and is_given(value, source)
        known = given or value in self.known
        hoistable = known and self.in_loop
        clock = self.clocks.rests(value) if self.in_loop else None
        return Part(matrix, product.op == "matmul_transposed", source, hoistable, clock)

    # -- groups and levels --

    def _find_groups(self) -> None:
        inner: set[Node] = set()
        for value in reversed(self.order):
            if value in inner or value in self.loads:
                continue
            sums = {value}
            terms = list(_terms(value, self._opens(value), sums))
            products = [t for t in terms if _has_product(t, value)]
            products = [t for t in products if t is value or t in self.single]
            if products:
                self.groups[value] = (products, [t for t in terms if t not in products])
                inner |= (sums | set(products)) - {value}
        self.order = [v for v in self.order if v not in inner]

    def _opens(self, top: Node) -> Callable[[Node], bool]:
        adds = _adds(top)
        return lambda v: adds(v) and (v is top or v in self.single) and v not in self.loads

    def _find_levels(self) -> None:
        for value in self.order:
            if value in self.loads or value.kind == "weight":
                self.level[value] = 0
                continue
            found = 0
            if value in self.groups:
                products, others = self.groups[value]
                found = max([self._source_level(p.inputs[1]) for p in products], default=0)
                inputs: Iterable[Node] = others
            elif value.kind == "reduction":
                found = self._source_level(value.inputs[0], own_sweep=True)
                inputs = ()
            else:
                inputs = value.inputs
            for source in inputs:
                found = max(found, self.level[source])
            self.level[value] = found

    def _source_level(self, source: Node, own_sweep: bool = False) -> int:
        """The first level at which all units of a value are there."""
        if not own_sweep and self.storage.has_rows(source):
            return 0
        return self.level[source] + 1

    # -- sweeps --

    def program(self) -> Program:
        """Fill the sweeps."""
        self.sweeps: dict[tuple[int, Size], _Sweep] = {}
        self.home: dict[Node, tuple[int, Size]] = {}
        for value in self.order:
            self._settle(value)
        for value, array in self.stores:
            self._at(value, array.size).stores.append((value, array))
        self._hand_over()
        # Numbers for each row come first, for all units of the row wait for them.
        ordered = sorted(self.sweeps.items(), key=lambda item: (item[0][0], item[0][1] != SCALAR))
        sweeps = tuple(self._with_clock(s.filled(size, self.storage)) for (_, size), s in ordered)
        given = [array for _, array in (*self.step.written, *self.step.sunk)]
        given = [*self.step.leaves.values(), *given]
        return Program(
            name=self.step.name,
            arrays=self.storage.arrays(self.step.states, given),
            loads=self.loads,
            sweeps=sweeps,
            sunk=tuple(self.sunk),
            outers=tuple(sorted(self.outers, key=lambda o: o.right.name)),
            sums=tuple(self.sums),
            states=self.step.states,
            backward=self.step.backward,
            ahead=self.ahead.sweeps if self.ahead else (),
            ahead_loads=self.ahead.loads if self.ahead else {},
            lasting=find_lasting(self.step, sweeps) if self.in_loop else None,
        )

    def _with_clock(self, sweep: Sweep) -> Sweep:
        """A sweep with the clock by which most of its values rest, if any do."""
        resting: dict[Node, set[Node]] = {}
        for value in sweep.nodes if self.in_loop and not sweep.reductions else ():
            clock = self.clocks.rests(value) or self.clocks.needed(value)
            if clock:
                resting.setdefault(clock, set()).add(value)
        if not resting:
            return sweep
        clock = max(resting, key=lambda clock: len(resting[clock]))
        return replace(sweep, clock=clock, idle=frozenset(resting[clock]))

    def _is_inline(self, value: Node) -> bool:
        """Truths, times and cheap numbers of a row are computed again wherever they are needed."""
        if value.kind == "truth" or value in self.timed:
            return True
        if value.size != SCALAR or value in self.groups:
            return False
        # What is divided by a constant is multiplied with its inverse.
        by_constant = value.op == "div" and value.inputs[1].op in ("constant", "count")
        return value.op in CHEAP or by_constant

    def _settle(self, value: Node) -> None:
        """Give a node its sweep."""
        if value in self.loads or value.kind in ("weight", "leaf"):
            return
        if value.kind == "reduction":
            self._settle_reduction(value)
            return
        if self._is_inline(value):
            return
        key = (self.level[value], value.size)
        self.home[value] = key
        sweep = self.sweeps.setdefault(key, _Sweep())
        sweep.nodes.append(value)
        if value in self.groups:
            products, others = self.groups[value]
            parts = tuple(self._part(p, self.storage.whole(p.inputs[1])) for p in products)
            hoisted = (
                self.storage.make("chunk", value.size) if any(p.hoistable for p in parts) else None
            )
            clock = self.clocks.needed(value) if self.in_loop else None
            sweep.groups.append(Group(value, parts, tuple(others), hoisted, clock))

    def _settle_reduction(self, value: Node) -> None:
        source = value.inputs[0]
        sweep = self._at(source, source.size)
        result = self.storage.make("reduced", SCALAR)
        sweep.reductions.append(Reduction(value, source, result))
        self.loads[value] = result

    def _at(self, value: Node, size: Size) -> _Sweep:
        """The sweep in which a value is known for each unit of a size."""
        return self.sweeps.setdefault((self.level[value], size), _Sweep())

    def _hand_over(self) -> None:
        """Values that a later sweep needs are written down."""
        for key, sweep in list(self.sweeps.items()):
            wanted = [*sweep.nodes, *(v for v, _ in sweep.stores)]
            wanted += [r.source for r in sweep.reductions]
            for value in self._needed(wanted, key):
                if value not in self.loads:
                    array = self.storage.whole(value)
                    self.loads[value] = array
                    home = self.sweeps[self.home[value]]
                    if (value, array) not in home.stores:
                        home.stores.append((value, array))

    def _needed(self, wanted: Iterable[Node], key: tuple[int, Size]) -> list[Node]:
        """What a sweep reads that another one computes."""
        found: dict[Node, None] = {}
        seen: set[Node] = set()
        stack = list(wanted)
        while stack:
            value = stack.pop()
            if value in seen:
                continue
            seen.add(value)
            home = self.home.get(value)
            if home is not None and home != key and not self._again(value):
                found[value] = None
            elif value in self.groups:
                stack.extend(self.groups[value][1])
            # A value that is at home here is computed here, also where a later sweep, which may
            # have been looked at before, has it written down.
            elif home == key or (value not in self.loads and value.kind != "reduction"):
                stack.extend(value.inputs)
        return list(found)

    def _again(self, value: Node) -> bool:
        """Whether a value is sooner computed again from what lies in memory than read."""
        stack, seen = [value], set()
        while stack:
            current = stack.pop()
            if current in seen or current in self.loads or current.kind in ("leaf", "weight"):
                continue
            seen.add(current)
            # What is divided by a number of the row is multiplied with its inverse.
            by_number = current.size != SCALAR and current.inputs[-1].size == SCALAR
            cheap = current.op in CHEAP or (current.op == "div" and by_number)
            if current in self.groups or not cheap or len(seen) > _AGAIN:
                return False
            stack.extend(current.inputs)
        return True


def _adds(total: Node) -> Callable[[Node], bool]:
    """Which sums may be taken apart within a sum: not that of one number, which all units add."""
    return lambda value: value.op == "add" and value.size == total.size


def _has_product(term: Node, total: Node) -> bool:
    """Whether a term is a product with as many units as the sum that it is a term of."""
    return term.kind == "product" and term.size == total.size


def _terms(value: Node, opens: Callable[[Node], bool], opened: set[Node]) -> Iterable[Node]:
    """The terms of a sum, in the order in which they are written."""
    stack = [value]
    while stack:
        current = stack.pop()
        if opens(current):
            opened.add(current)
            stack.extend(reversed(current.inputs))
        else:
            yield current


def _total(terms: Sequence[Node]) -> Node:
    return reduce(lambda total, term: node("add", total, term), terms)
