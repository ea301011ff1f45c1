"""Timing in turns: round robin, the order rotating, medians over rounds at full speed."""

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

from peers.claims import Meanwhile, Samples
from peers.fma_peak import at_full_speed
from peers.machine import Load

__all__ = [
    "Budget",
    "Candidate",
    "DisagreementError",
    "Timed",
    "check_agreement",
    "mark_changed",
    "measure",
]

# Threads of OpenMP, ONNX Runtime and XLA go on spinning after their work, some for 40 ms, and
# would take a core from whoever is timed next. So nobody is timed before all of them sleep.
PAUSE = 0.01
QUIET = 0.05  # of a core
LONGEST_PAUSE = 1.0
# A call that is not counted goes before each group, to wake its threads and fill the caches.
# Where a call takes longer than SLOW that is lost in it, and there is none.
GROUP = 0.01
SLOW = 0.15
MOST_CALLS = 20
MOST_ROUNDS = 60
# A group counts if the cores were at full speed before and after it, whoever's group it was,
# and is short, as they may stay so for no longer than some 20 ms.
LOOK_AGAIN = 0.05
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
class Budget:
    """How long candidates are timed.

    Attributes
    ----------
    seconds
        For rounds, if the fewest do not take longer.
    rounds
        The fewest.
    patience
        Seconds that may be spent on groups that do not count; whatever comes then does.
    long
        Seconds of a round of which there is one less.
    """

    seconds: float
    rounds: int
    patience: float = 0.0
    long: float = math.inf


@dataclass(frozen=True)
class Timed:
    """Seconds a call of each candidate, and how the machine was meanwhile."""

    samples: dict[str, Samples]
    meanwhile: Meanwhile


class _Groups:
    """Times calls, between two looks at whether all cores are at full speed."""

    def __init__(self, patience: float, *, busy: bool) -> None:
        self.busy, self.patience = busy, patience
        self.again = self.slow = 0
        self.fast = self._look()

    def once(self, candidate: Candidate, calls: int = 1) -> tuple[float, bool]:
        """Median seconds of calls back to back, and whether they may count."""
        seconds = statistics.median(_timed(candidate) for _ in range(calls))
        before, self.fast = self.fast, self._look()
        return seconds, before and self.fast

    def time(self, candidate: Candidate, once: float) -> float:
        """Median seconds a call of a group, where one takes about `once`."""
        while True:
            start = time.perf_counter()
            if not self.fast and self.patience > 0:
                time.sleep(LOOK_AGAIN)
                self.fast = self._look()
            if self.fast or self.patience <= 0:
                if once <= SLOW:
                    _timed(candidate)
                seconds, counts = self.once(candidate, min(math.ceil(GROUP / once), MOST_CALLS))
                if counts:
                    return seconds
                if self.patience <= 0:
                    self.slow += 1
                    return seconds
                self.again += 1
            self.patience -= time.perf_counter() - start

    def _look(self) -> bool:
        # Threads that still spin would be in the way, and be moved to each other's cores.
        _wait_for_quiet()
        return self.busy or at_full_speed(torch.get_num_threads())


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


def measure(candidates: dict[str, Candidate], budget: Budget, *, busy: bool = False) -> Timed:
    """Time candidates in turns until the budget is used.

    `busy` is for measuring what they do beside others, so on cores that are never at full speed.
    """
    groups, load = _Groups(budget.patience, busy=busy), Load()
    names = list(candidates)
    rounds: dict[str, list[float]] = {name: [] for name in names}
    takes = {}
    gc.collect()
    gc.disable()
    try:
        for name, candidate in candidates.items():
            takes[name], counts = groups.once(candidate)
            # All have been called before, to compare their results. So a slow one's first call,
            # which is a group of its own, counts.
            if takes[name] > SLOW:
                if counts:
                    rounds[name].append(takes[name])
            else:
                takes[name] = _timed(candidate)
        end = time.perf_counter() + budget.seconds
        done = min(map(len, rounds.values()))
        # A round is one of all: ratios are taken round by round.
        rounds = {name: taken[:done] for name, taken in rounds.items()}
        least = budget.rounds - (sum(takes.values()) > budget.long)
        while done < least or (done < MOST_ROUNDS and time.perf_counter() < end):
            turn = done % len(names)
            for name in names[turn:] + names[:turn]:
                rounds[name].append(groups.time(candidates[name], takes[name]))
            done += 1
    finally:
        gc.enable()
    samples = {
        name: Samples([taken / candidate.inner for taken in rounds[name]])
        for name, candidate in candidates.items()
    }
    return Timed(samples, Meanwhile(load.others(), groups.again, groups.slow))


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
