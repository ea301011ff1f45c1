"""Timing in turns: round robin, the order rotating, medians over rounds."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from peers.claims import Samples
from peers.machine import Load

__all__ = ["Candidate", "DisagreementError", "Timed", "check_agreement", "mark_changed", "measure"]

# Threads of OpenMP, ONNX Runtime and XLA go on spinning after their work, some for 40 ms, and
# would take a core from whoever is timed next. So nobody is timed before all of them sleep.
PAUSE = 0.01
QUIET = 0.05  # of a core
LONGEST_PAUSE = 1.0
# The first call of a group wakes its threads and fills the caches, and is left out. Where a
# call takes longer than SLOW that is lost in it, and one call is a group.
GROUP = 0.02
SLOW = 0.15
MOST_CALLS = 20
MOST_ROUNDS = 60
# Of the norm. Sums of some million float32 terms in another order differ by some 1e-6, and
# kernels that are not the same computation by far more than this.
TOLERANCE = 1e-4


class DisagreementError(Exception):
    """Two candidates do not compute the same."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Candidate:
    """Something to time.

    Attributes
    ----------
    call
        What is timed.
    read
        What it returned -> named tensors, to compare.
    before
        Done before each call, not timed.
    inner
        Calls in one timing, for those of microseconds.
    """

    call: Callable[[], Any]
    read: Callable[[Any], dict[str, Tensor]] | None = None
    before: Callable[[], None] = _nothing
    inner: int = 1


@dataclass(frozen=True)
class Timed:
    """Seconds a call of each candidate, and the cores that others used meanwhile."""

    samples: dict[str, Samples]
    others: float


def mark_changed(weights: Iterable[Tensor]) -> None:
    """Tell whoever keeps something about weights that they changed, as they do in training."""
    with torch.no_grad():
        for weight in weights:
            weight.view(-1)[:1].add_(0.0)


def check_agreement(case: str, candidates: dict[str, Candidate]) -> None:
    """Compare all candidates with the first, which is a warm-up too.

    Raises
    ------
    DisagreementError
        A tensor is missing, is not finite or differs; the message names it.
    """
    first, wanted = "", {}
    for name, candidate in candidates.items():
        candidate.before()
        assert candidate.read is not None
        got = candidate.read(candidate.call())
        if not first:
            first, wanted = name, got
        for key in wanted.keys() | got.keys():
            if key not in wanted or key not in got:
                raise DisagreementError(f"{case}: only one of {first} and {name} gives {key}")
            error = relative_error(got[key], wanted[key])
            if not error <= TOLERANCE:
                raise DisagreementError(
                    f"{case}: {key} of {name} and {first} differ by {error:.2g} of their norm, "
                    f"more than {TOLERANCE:g}; nothing is timed that does not agree"
                )


def relative_error(got: Tensor, wanted: Tensor) -> float:
    """Norm of the difference over the norm of what was wanted, infinite for another shape."""
    if got.shape != wanted.shape:
        return math.inf
    got, wanted = got.detach().double(), wanted.detach().double()
    norm = float(wanted.norm())
    return float((got - wanted).norm()) / norm if norm else float(got.norm())


def measure(candidates: dict[str, Candidate], seconds: float, least_rounds: int) -> Timed:
    """Time candidates in turns until the seconds are used, for `least_rounds` at least."""
    load = Load()
    names = list(candidates)
    gc.collect()
    gc.disable()
    try:
        first = {name: _timed(candidates[name]) for name in names}
        calls = {name: _calls(candidates[name], first[name]) for name in names}
        # All have been called before, to compare their results. So a slow one's first call, which
        # is a group of its own, counts.
        rounds = {
            name: [first[name] / candidates[name].inner] if first[name] > SLOW else []
            for name in names
        }
        end = time.perf_counter() + seconds
        done = min(map(len, rounds.values()))
        while done < least_rounds or (done < MOST_ROUNDS and time.perf_counter() < end):
            turn = done % len(names)
            for name in names[turn:] + names[:turn]:
                rounds[name].append(_group(candidates[name], calls[name]))
            done += 1
    finally:
        gc.enable()
    return Timed({name: Samples(values) for name, values in rounds.items()}, load.others())


def _calls(candidate: Candidate, once: float) -> int:
    """How many calls make a group, if one took so many seconds."""
    if once > SLOW:
        return 1
    again = _timed(candidate)
    return 1 + min(max(math.ceil(GROUP / again), 1), MOST_CALLS)


def _group(candidate: Candidate, calls: int) -> float:
    """Median seconds a call of several back to back, the first left out."""
    _wait_for_quiet()
    values = [_timed(candidate) for _ in range(calls)]
    return statistics.median(values[1:] or values) / candidate.inner


def _wait_for_quiet() -> None:
    end = time.perf_counter() + LONGEST_PAUSE
    while time.perf_counter() < end:
        start, used = time.perf_counter(), time.process_time()
        time.sleep(PAUSE)
        if time.process_time() - used < QUIET * (time.perf_counter() - start):
            return


def _timed(candidate: Candidate) -> float:
    candidate.before()
    call = candidate.call
    start = time.perf_counter()
    for _ in repeat(None, candidate.inner):
        call()
    return time.perf_counter() - start
