"""Where the values of a step lie while it is planned: what is given, and what is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cellwright.ir import Node, Size
from cellwright.plan.program import Array, Place

__all__ = ["Storage"]

# Arrays that can be read again within the step that wrote them.
_READABLE = frozenset({"step", "chunk", "next", "scratch"})
# Values that are no rows in memory; a product needs them written out.
_NO_ROWS = frozenset({"vector", "count"})


@dataclass
class Storage:
    """The arrays of a step.

    Attributes
    ----------
    loads
        Where values lie that are not computed again.
    stores
        What is to be written at every step, and where.
    made
        Arrays that the plan itself has asked for.
    within
        Where values are kept that only the step itself reads.
    """

    loads: dict[Node, Array]
    stores: list[tuple[Node, Array]]
    made: list[Array] = field(default_factory=list)
    within: Place = "scratch"

    def make(self, place: Place, size: Size) -> Array:
        """A new array."""
        # Two storages of one program must not name an array alike.
        prefix = "" if self.within == "scratch" else "ahead "
        array = Array(f"{prefix}{place} {len(self.made)}", place, size)
        self.made.append(array)
        return array

    def has_rows(self, value: Node) -> bool:
        """Whether a value lies in memory so that a product can read it."""
        array = self.loads.get(value)
        # What is optional may be missing, which a product does not ask.
        return array is not None and array.place not in _NO_ROWS and not array.optional

    def kept(self, value: Node, size: Size, places: frozenset[Place]) -> Array:
        """An array in one of these places that holds a value for all steps of a chunk."""
        if self.has_rows(value) and self.loads[value].place in places:
            return self.loads[value]
        for known, array in self.stores:
            if known is value and array.place == "chunk" and array.size == size:
                return array
        return self._written("chunk", value, size)

    def whole(self, value: Node) -> Array:
        """An array that holds all units of a value, for what comes later in the step."""
        if self.has_rows(value):
            return self.loads[value]
        for known, array in self.stores:
            fits = array.place in _READABLE and array.size == value.size
            if known is value and fits and not array.optional:
                return array
        return self._written(self.within, value, value.size)

    def _written(self, place: Place, value: Node, size: Size) -> Array:
        array = self.make(place, size)
        self.stores.append((value, array))
        return array

    def arrays(
        self, states: Mapping[str, tuple[Array, Array]], given: Iterable[Array]
    ) -> tuple[Array, ...]:
        """All arrays, each behind those that it refers to; what is given stands first."""
        found: dict[Array, None] = {}

        def add(array: Array) -> None:
            if array not in found:
                if array.other is not None:
                    add(array.other)
                found[array] = None

        for pair in states.values():
            for array in pair:
                add(array)
        for array in (*given, *self.made):
            add(array)
        return tuple(found)
