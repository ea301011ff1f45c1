"""What identifies a compiled cell, as text: it travels through exported programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from cellwright.errors import BackendError
from cellwright.ir import Graph, Node, from_json, to_json, units_of

__all__ = ["Spec"]

# Goes up whenever the operators give their results in another form. torch.compile keeps programs
# on disk, and must not find one that expects the form of before.
_FORM = 2


@dataclass(frozen=True)
class Spec:
    """A cell with everything that its kernel depends on, but for the numbers.

    Attributes
    ----------
    graph
        The cell's equations, lowered; without random draws where none are given.
    sizes
        Symbols and their numbers of units.
    blocks
        Names of the weights that each given tensor holds, one below the other.
    record
        Names of the signals that are handed out at every step.
    narrow
        Whether products may be computed from numbers rounded to bfloat16.
    """

    graph: Graph
    sizes: tuple[tuple[str, int], ...]
    blocks: tuple[tuple[str, ...], ...]
    record: tuple[str, ...]
    narrow: bool = False

    @cached_property
    def text(self) -> str:
        """The specification as JSON."""
        return json.dumps(
            {
                "graph": to_json(self.graph),
                "sizes": dict(self.sizes),
                "blocks": self.blocks,
                "record": self.record,
                "narrow": self.narrow,
                "form": _FORM,
            }
        )

    @staticmethod
    def read(text: str) -> Spec:
        """The specification that was written as text."""
        return _read(text)

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The leaves that are given a value at every step: inputs, the layer below, draws."""
        given = ("input", "below", "bernoulli")
        return tuple(value for value in self.graph.nodes if value.op in given)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Names of the states."""
        return tuple(self.graph.state_sizes)

    @cached_property
    def seen(self) -> tuple[str, ...]:
        """Names of what is handed out at every step, the output first."""
        return tuple(dict.fromkeys((self.graph.states[0].name, *self.record)))

    def units(self, size: object) -> int:
        """The number of units of a size."""
        return units_of(size, self.bound)

    @cached_property
    def bound(self) -> Mapping[str, int]:
        """Symbol -> number of units."""
        return dict(self.sizes)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.graph, self.sizes, self.blocks, self.record, self.narrow))


@lru_cache(maxsize=256)
def _read(text: str) -> Spec:
    data = json.loads(text)
    if data.get("form") != _FORM:
        raise BackendError(
            "this program was exported with another version of cellwright, whose compiled cells "
            "gave their results in another form; export it again"
        )
    return Spec(
        graph=from_json(data["graph"]),
        sizes=tuple(sorted((str(name), int(units)) for name, units in data["sizes"].items())),
        blocks=tuple(tuple(map(str, names)) for names in data["blocks"]),
        record=tuple(map(str, data["record"])),
        narrow=bool(data["narrow"]),
    )
