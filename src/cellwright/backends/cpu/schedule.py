"""How a call is spread over threads and steps: what is cheaper, by what was measured."""

from __future__ import annotations

from functools import lru_cache

import torch

from cellwright.backends.cpu.library import Batch, Schedule
from cellwright.backends.cpu.spec import Spec

__all__ = ["schedule", "schedule_of_stream"]

_WORTH_SHARING = 2**20  # multiplications
_WORTH_MEETING = 2**17  # weights


def schedule(spec: Spec, batch: Batch, tile_rows: int) -> Schedule:
    """Choose how to run a batch, where so many rows are multiplied at full speed."""
    return _schedule(spec, batch.steps, batch.rows, tile_rows, torch.get_num_threads())


def schedule_of_stream(spec: Spec) -> Schedule:
    """Choose how to run one step after the other."""
    # A step of fewer weights is over before two threads have met.
    threads = torch.get_num_threads() if _entries(spec) > _WORTH_MEETING else 1
    return Schedule(threads=threads, share_units=threads > 1)


def _entries(spec: Spec, of_inputs: bool = False) -> int:
    """The number of weights in matrices: in all, or in those that inputs are multiplied with."""
    matrices = [w for w in spec.graph.weights.values() if w.op == "matrix"]
    if of_inputs:
        inputs = {leaf.size for leaf in spec.graph.inputs}
        matrices = [m for m in matrices if m.attributes["columns"] in inputs]
    return sum(spec.units(m.size) * spec.units(m.attributes["columns"]) for m in matrices)


@lru_cache(maxsize=1024)
def _schedule(spec: Spec, steps: int, rows: int, tile_rows: int, threads: int) -> Schedule:
    entries = _entries(spec)
    work = entries * rows * steps
    threads = threads if work > _WORTH_SHARING else 1
    # Products of few rows are slow, and go faster for many steps at once. A processor with narrow
    # vectors has enough to do with less: there, two rows lose 10 % by it and six 25 %, unless the
    # inputs are most of what there is to read, which then is read once and not at every step.
    most = 4 * _entries(spec, of_inputs=True) > 3 * entries
    few = 8 if tile_rows > 8 else 4 if most else 1
    hoist = rows < few * threads
    # Few rows cannot be shared. To share the units where weights do not fit into a core's own
    # cache gains nothing: the cores' common one gives them in time, and meetings cost.
    share_units = threads > 1 and rows < 4 * threads
    return Schedule(threads=threads, hoist=hoist, share_units=share_units)
