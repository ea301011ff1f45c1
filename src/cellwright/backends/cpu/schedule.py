"""How a call is spread over threads and steps: what is cheaper, by what was measured."""

from __future__ import annotations

from functools import lru_cache

import torch

from cellwright.backends.cpu.library import Batch, Schedule
from cellwright.backends.cpu.spec import Spec

__all__ = ["schedule"]


def schedule(spec: Spec, batch: Batch) -> Schedule:
    """Choose how to run a batch."""
    return _schedule(spec, batch.steps, batch.rows, torch.get_num_threads())


@lru_cache(maxsize=1024)
def _schedule(spec: Spec, steps: int, rows: int, threads: int) -> Schedule:
    matrices = [w for w in spec.graph.weights.values() if w.op == "matrix"]
    entries = sum(spec.units(m.size) * spec.units(m.attributes["columns"]) for m in matrices)
    work = entries * rows * steps
    threads = threads if work > 2**20 else 1
    hoist = rows < 8 * threads or entries > 2**19
    return Schedule(threads=threads, hoist=hoist, share_units=threads > 1 and rows < 4 * threads)
