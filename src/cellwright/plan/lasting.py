"""Products with a state that rests: what need not be multiplied again at every step.

Where a unit of ``h = where(ticks, n, h)`` does not tick, it stays what it was. So a sum of products
with such units lasts until one of them ticks. Backward, what flows to a unit that rests is only
added to what flows to it from later steps; so its products may wait, and what they would multiply
be added up, until the step at which the unit ticked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from cellwright.ir import Graph, Node
from cellwright.plan.clocks import follows_from_step
from cellwright.plan.program import Array, Lasting, Part, Sweep
from cellwright.plan.step import Step

__all__ = ["find_lasting", "states_that_rest"]

# A block meets itself and those behind it, which are the slower ones.
_MASK = "block_upper"


def states_that_rest(graph: Graph) -> dict[Node, Node]:
    """State -> the clock without which a unit of it stays as it is."""
    clocks = {value for value in follows_from_step(graph.nodes) if value.kind == "truth"}
    found: dict[Node, Node] = {}
    for state in graph.states:
        after = graph.after[state.name]
        if after.op == "where" and after.inputs[2] is state and after.inputs[0] in clocks:
            found[state] = after.inputs[0]
    return {state: clock for state, clock in found.items() if clock.size == state.size}


def find_lasting(step: Step, sweeps: Sequence[Sweep]) -> Lasting | None:
    """Find the products of a step with a state that rests, if there are any."""
    for (state, clock), (number, sweep) in product(step.rests.items(), enumerate(sweeps)):
        source, target = step.leaves.get(state), step.states[state.name][1]
        parts: list[Part] = []
        for group in sweep.groups:
            blocks = [part for part in group.parts if _is_of_blocks(part, state)]
            if not step.backward and group.clock in (None, clock):
                # What is kept is the sum of one product, and made whenever the state ticks.
                parts += [part for part in blocks if part.source == source][:1]
            elif step.backward and _only_carried(group.value, target, sweeps):
                # What waits is zero where the state rests.
                parts += [part for part in blocks if part.transposed and part.clock is clock]
        masks = {part.matrix.attributes["mask"] for part in parts}
        if len(masks) == 1:
            return Lasting(clock, number, tuple(parts), source)
    return None


def _is_of_blocks(part: Part, state: Node) -> bool:
    """Whether a matrix is one from blocks of a state to the same blocks."""
    mask, columns = part.matrix.attributes["mask"], part.matrix.attributes["columns"]
    square = part.matrix.size == columns == state.size
    return square and isinstance(mask, tuple) and mask[0] == _MASK


def _only_carried(value: Node, target: Array, sweeps: Sequence[Sweep]) -> bool:
    """Whether a value goes to the step that comes next, and is read by nobody in this one."""
    stored = {array for sweep in sweeps for v, array in sweep.stores if v is value}
    read = {source for sweep in sweeps for v in sweep.nodes for source in v.inputs}
    read.update(reduction.source for sweep in sweeps for reduction in sweep.reductions)
    read.update(v for sweep in sweeps for group in sweep.groups for v in group.others)
    return stored == {target} and value not in read
