"""What a plan is: arrays, and sweeps over their units, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from cellwright.ir import Node, Size

__all__ = [
    "Array",
    "Group",
    "Lasting",
    "Outer",
    "Part",
    "Place",
    "Program",
    "Reduction",
    "Sum",
    "Sunk",
    "Sweep",
]

Place: TypeAlias = Literal[
    "step", "previous", "chunk", "carried", "next", "row", "vector", "scratch", "reduced", "count"
]


@dataclass(frozen=True)
class Array:
    """Where a value lies, and how long it is kept.

    Attributes
    ----------
    name
        Its name within a program.
    place
        ``step`` (a row for each step of each sequence, given by the caller), ``previous``
        (the same array one step earlier; before the first step, rows given by the caller),
        ``chunk`` (for each step of the chunk of steps at hand), ``carried`` (a row for each
        sequence, as the step before left it), ``next`` (what this step leaves of it), ``row``
        (a row for each sequence, given), ``vector`` (the same for all, given), ``scratch``
        (within a step), ``reduced`` (a number for each sequence, within a step) or ``count``
        (the index of the step).
    size
        How many units it has.
    other
        For ``previous`` the array of this step, for ``next`` what it replaces.
    optional
        Whether a caller may leave it out: not wanted, or zero.
    """

    name: str
    place: Place
    size: Size
    other: Array | None = None
    optional: bool = False


@dataclass(frozen=True)
class Part:
    """One matrix times one array.

    Attributes
    ----------
    matrix, transposed, source
        What is multiplied.
    hoistable
        Whether it can be done for many steps at once.
    clock
        Says for which units the array is zero at a step, if it is; see `Clocks`.
    """

    matrix: Node
    transposed: bool
    source: Array
    hoistable: bool = False
    clock: Node | None = None


@dataclass(frozen=True)
class Group:
    """A sum whose products are added up in registers.

    Attributes
    ----------
    value
        The sum.
    parts, others
        Its products, and what is added to them.
    hoisted
        Where products lie that were done before the loop.
    clock
        Says for which units nobody looks at the sum at a step, if so; see `Clocks`.
    """

    value: Node
    parts: tuple[Part, ...]
    others: tuple[Node, ...] = ()
    hoisted: Array | None = None
    clock: Node | None = None


@dataclass(frozen=True)
class Reduction:
    """A value reduced over the units of a sweep into one number a row.

    Attributes
    ----------
    lanes
        A vector of partial results a row, where products cut the units into panels; without
        them a row is passed over at once.
    """

    value: Node
    source: Node
    result: Array
    lanes: Array | None = None


@dataclass(frozen=True)
class Sweep:
    """One pass over the units of one size: products first, then everything pointwise.

    Attributes
    ----------
    size
        Units that are passed over.
    groups
        Sums of products.
    nodes
        Pointwise operations, inputs before users.
    stores
        What is written where.
    reductions
        Values that are reduced over the units.
    clock, idle
        For units that rest by this clock, these values are zero, or nobody looks at them and
        they may be zero; see `Clocks`.
    """

    size: Size
    groups: tuple[Group, ...]
    nodes: tuple[Node, ...]
    stores: tuple[tuple[Node, Array], ...]
    reductions: tuple[Reduction, ...]
    clock: Node | None = None
    idle: frozenset[Node] = frozenset()


@dataclass(frozen=True)
class Sunk:
    """Products that nothing in the loop waits for: done for many steps at once, behind it."""

    target: Array
    parts: tuple[Part, ...]
    adds: bool


@dataclass(frozen=True)
class Outer:
    """Gradient of a matrix: the sum over all rows and steps of left (outer) right.

    Where there is a clock, it says for which units the left side is zero at a step.
    """

    matrix: Node
    left: Array
    right: Array
    clock: Node | None = None


@dataclass(frozen=True)
class Lasting:
    """Products with a state that rests, which need not be multiplied at every step.

    Attributes
    ----------
    clock
        Says for which units the state stays as it is at a step.
    sweep
        In which sweep they are multiplied.
    parts
        The products: with the state, or backward those that flow to it.
    state
        Where the state lies before a step; none where nothing reads it.
    """

    clock: Node
    sweep: int
    parts: tuple[Part, ...]
    state: Array | None

    def number(self, of: Part | Outer) -> int:
        """To which of the products this one belongs, or the gradient of its matrix; -1 to none."""
        for number, part in enumerate(self.parts):
            gradient = (part.matrix, part.source, self.state)
            if of == part or (isinstance(of, Outer) and (of.matrix, of.left, of.right) == gradient):
                return number
        return -1


@dataclass(frozen=True)
class Sum:
    """Gradient of a vector: the sum over all rows and steps of an array."""

    vector: Node
    array: Array


@dataclass(frozen=True)
class Program:
    """A step, planned: what is done for many steps at once, and what in the loop.

    Attributes
    ----------
    name
        What is computed, for readers.
    arrays
        All arrays; what the caller gives stands first.
    loads
        Where values lie that are not computed in the loop.
    sweeps
        Passes over the units, in order, at every step.
    ahead, ahead_loads
        The same, done for a chunk of steps before the loop: what follows from the input alone.
    sunk, outers, sums
        What is done behind the loop for a chunk of steps.
    states
        Name -> the array before and the array after a step.
    backward
        Whether it runs from the last step to the first.
    lasting
        Products with a state that rests, if there are any.
    """

    name: str
    arrays: tuple[Array, ...]
    loads: Mapping[Node, Array]
    sweeps: tuple[Sweep, ...]
    sunk: tuple[Sunk, ...]
    outers: tuple[Outer, ...]
    sums: tuple[Sum, ...]
    states: Mapping[str, tuple[Array, Array]]
    backward: bool
    ahead: tuple[Sweep, ...] = ()
    ahead_loads: Mapping[Node, Array] = field(default_factory=dict)
    lasting: Lasting | None = None

    @property
    def passes(self) -> tuple[Sweep, ...]:
        """All sweeps, those ahead of the loop first."""
        return (*self.ahead, *self.sweeps)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All products, those that are sunk last."""
        groups = [group for sweep in self.passes for group in sweep.groups]
        sums = [group.parts for group in groups] + [sunk.parts for sunk in self.sunk]
        return tuple(part for parts in sums for part in parts)

    @property
    def clocks(self) -> tuple[Node, ...]:
        """What says at each step which units rest."""
        found = [group.clock for sweep in self.sweeps for group in sweep.groups]
        found += [sweep.clock for sweep in self.sweeps]
        found += [part.clock for part in self.parts]
        found += [outer.clock for outer in self.outers]
        found += [self.lasting.clock] if self.lasting else []
        return tuple(dict.fromkeys(clock for clock in found if clock is not None))

    @property
    def only_read(self) -> frozenset[Array]:
        """Arrays of all steps that nothing here writes."""
        written = self._written()
        steps = (array for array in self.arrays if array.place in ("step", "previous"))
        return frozenset(array for array in steps if (array.other or array) not in written)

    @property
    def only_written(self) -> frozenset[Array]:
        """Arrays of all steps that equations write and that nothing here reads."""
        read = {*self.loads.values(), *self.ahead_loads.values()}
        read.update(part.source for part in self.parts)
        read.update(array.other for array in self.arrays if array.other)
        read.update(side for outer in self.outers for side in (outer.left, outer.right))
        read.update(total.array for total in self.sums)
        read.update(sunk.target for sunk in self.sunk)
        return frozenset(array for array in self._written() - read if array.place == "step")

    def only_carries(self, sweep: Sweep) -> bool:
        """Whether a sweep leaves nothing but states for the step that comes next."""
        read = {*self.loads.values(), *(part.source for part in self.parts)}
        written = {array for _, array in sweep.stores}
        states = all(array.place == "next" for array in written - read)
        return states and not sweep.reductions and not written & read

    def _written(self) -> set[Array]:
        return {array for sweep in self.passes for _, array in sweep.stores}
