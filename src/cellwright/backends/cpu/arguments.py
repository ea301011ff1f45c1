"""Which address stands where in a call, worked out once.

A short sequence takes less time than looking up forty names. So the names are looked up when
a cell is made ready, and a call picks addresses out of a list by their places.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal, NamedTuple, TypeAlias

from cellwright.backends.cpu.library import Batch, Function, Schedule
from cellwright.backends.cpu.threads import openmp
from cellwright.errors import BackendError
from cellwright.settings import settings

__all__ = ["Arguments", "Given"]

Given: TypeAlias = tuple[Literal["array", "weight", "gradient", "after"], str]


class _Slot(NamedTuple):
    """Stands for an address that a call brings."""

    number: int


class Arguments:
    """The arguments of a compiled function, but for what changes from call to call.

    Parameters
    ----------
    function
        What is called.
    sizes
        Symbol -> number of units.
    strides
        Weight -> numbers from one row to the next.
    fixed
        Addresses that are the same at every call, by the name of their array.
    given
        What a call brings an address of, in this order: an array of the program, a weight,
        its gradient, or a state (or gradient of one) where the last step leaves it.
    """

    def __init__(
        self,
        function: Function,
        sizes: Mapping[str, int],
        strides: Mapping[str, int],
        fixed: Mapping[str, int],
        given: Sequence[Given],
    ) -> None:
        self.function = function
        self._timed = settings().debug >= 4
        slots: dict[str, dict[str, Any]] = {k: {} for k in ("array", "weight", "gradient", "after")}
        for number, (kind, name) in enumerate(given):
            slots[kind][name] = _Slot(number)
        vectors = {f"vector {name}": slot for name, slot in slots["weight"].items()}
        everything: list[Any] = function.arguments(
            sizes=sizes,
            arrays={**fixed, **slots["array"], **vectors},
            matrices={name: (slot, strides[name]) for name, slot in slots["weight"].items()},
        )
        everything += function.targets(
            gradients={name: (slot, strides[name]) for name, slot in slots["gradient"].items()},
            sums=slots["gradient"],
            after=slots["after"],
        )
        self._constants: list[int] = []
        places = []
        for value in everything:
            if isinstance(value, _Slot):
                places.append(value.number)
            else:
                places.append(len(given) + len(self._constants))
                self._constants.append(value)
        self._places = places
        self._pick = itemgetter(*places)

    def ready(self, batch: Batch, schedule: Schedule) -> Callable[..., None]:
        """The same call for one shape, which only wants the addresses, one after the other."""
        _, _, *head = self.function.head(batch, schedule)
        pick, constants = self._pick, tuple(self._constants)
        pack = struct.Struct(f"{2 + len(head) + len(self._places)}q").pack
        call, name = self.function.call, self.function.program.name

        def run(*addresses: int) -> None:
            if call(pack(*openmp(), *head, *pick((*addresses, *constants)))):
                raise BackendError(f"{name}: not enough memory")

        return run

    def __call__(self, batch: Batch, schedule: Schedule, addresses: Sequence[int]) -> None:
        """Run the function on what is given, by address; 0 for what is left out."""
        picked = self._pick((*addresses, *self._constants))
        start = time.perf_counter() if self._timed else 0
        self.function.run([*self.function.head(batch, schedule), *picked])
        if self._timed:
            print(
                f"# {self.function.program.name}: {(time.perf_counter() - start) * 1e6:.0f} µs, "
                f"{batch.steps} steps of {batch.rows} rows, {schedule.threads} threads",
                file=sys.stderr,
            )
