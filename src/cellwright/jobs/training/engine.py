"""The training loop that every job shares.

Every epoch starts from the seed and its own number alone. A checkpoint is written when it
ends, and within it when the user stops the training: so a training that is cut off and resumed
takes the very steps of one that was not.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from cellwright.errors import DataError, RunError
from cellwright.jobs.training.bucketing import bucketed
from cellwright.jobs.training.checkpoint import Checkpoint, Place
from cellwright.jobs.training.devices import on_device, random_states, set_random_states
from cellwright.jobs.training.examples import Epoch, Measurement, Objective, Source
from cellwright.jobs.training.interrupts import Interrupts
from cellwright.jobs.training.optimizing import learning_rate_factor
from cellwright.jobs.training.processes import Processes
from cellwright.jobs.training.reporting import Progress, Reporter
from cellwright.jobs.training.steps import Steps, check_finite
from cellwright.jobs.training.threads import cpu_threads

__all__ = ["evaluate", "train"]


def train(
    network: nn.Module,
    objective: Objective,
    training: Source,
    validation: Epoch | Measurement | None,
    options: Mapping[str, Any],
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    identity: str = "",
    reporter: Reporter | None = None,
    on_start: Callable[[], None] | None = None,
    on_epoch: Callable[[list[dict[str, Any]]], None] | None = None,
    until: Callable[[list[dict[str, Any]]], str | None] | None = None,
    processes: Processes | None = None,
) -> list[dict[str, Any]]:
    """Train a network in place; return a row of measures for each epoch.

    Parameters
    ----------
    network
        What is trained.
    objective
        The loss, and what else is measured.
    training, validation
        What is learned from, and what is only measured, after each epoch; in place of
        examples to measure, a function that measures, ``"loss"`` among the rest.
    options
        Validated `TrainingOptions`.
    checkpoint
        Where the state after each epoch is kept, and that between two steps where Ctrl-C ends
        the training; None keeps nothing.
    resume
        Go on from the checkpoint, if there is one.
    identity
        Of data and network; a checkpoint of another identity is refused.
    reporter
        Is told of every step and epoch.
    on_start
        Is called when everything is made and checked, before the first step.
    on_epoch
        Is given the history after each epoch, also of those before a resume.
    until
        Is given the history after each epoch too, and ends the training by a reason.
    processes
        Who shares every batch; without it those that torchrun has started. ``Processes(1, 0)``
        trains alone among them.

    Raises
    ------
    TrainingError
        Loss, gradient or weights are no longer finite; the message names epoch and samples.
    DataError
        No answer is known of what is to be learned or watched.
    RunError
        The checkpoint belongs to other data or options.
    """
    return _Training(
        *(network, objective, training, validation, options, identity),
        *(reporter or Reporter(), processes),
    ).run(checkpoint, resume, on_start, on_epoch, until)


@torch.no_grad()
def evaluate(
    fabric: Fabric, network: nn.Module, objective: Objective, examples: Epoch, batch_size: int
) -> dict[str, float]:
    """Means of everything the objective measures.

    Raises
    ------
    DataError
        No answer is known.
    """
    network.eval()
    sums: dict[str, float] = {}
    answers = 0
    for batch in examples.batches(batch_size):
        if batch.answers:
            with fabric.autocast():
                _, measured = objective(network, on_device(fabric, batch))
            answers += batch.answers
            _add(sums, measured)
    return _means(sums, answers, "the data to measure on")


class _Training:
    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        training: Source,
        validation: Epoch | Measurement | None,
        options: Mapping[str, Any],
        identity: str,
        reporter: Reporter,
        processes: Processes | None,
    ) -> None:
        self.network, self.objective = network, objective
        self.training, self.validation, self.options = training, validation, options
        self.steps = Steps(network, objective, options, processes)
        self.fabric, self.processes = self.steps.fabric, self.steps.processes
        self.first = self.processes.rank == 0
        self.reporter = reporter if self.first else Reporter()
        self.state, self.interrupts = Checkpoint(identity), Interrupts()
        # Whether all that is remembered is of one moment, which a checkpoint may keep.
        self.whole = False
        # With a limit on samples the last epoch may be a part of one.
        self.total = min(options["epochs"] * len(training), options["samples"] or sys.maxsize)
        self.epochs = math.ceil(self.total / len(training))

    def run(
        self,
        checkpoint: Path | None,
        resume: bool,
        on_start: Callable[[], None] | None,
        on_epoch: Callable[[list[dict[str, Any]]], None] | None,
        until: Callable[[list[dict[str, Any]]], str | None] | None,
    ) -> list[dict[str, Any]]:
        self._check_validation()
        if resume and checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)
        self.processes.wait()
        if on_start is not None and self.first:
            on_start()
        path = checkpoint if self.first else None
        threads = cpu_threads(self.network, self.options["batch_size"], self.options["threads"])
        history = self.state.history
        # The caller's random numbers are none of our business.
        with torch.random.fork_rng(), threads, self.interrupts:
            try:
                while not self.state.stopped and len(history) < self.epochs:
                    row = self._epoch(len(history))
                    try:
                        with self.interrupts.held_back:
                            self._finish(row, until)
                            self._save(path)
                            if on_epoch is not None and self.first:
                                on_epoch(history)
                    except KeyboardInterrupt:
                        # It waited for the books to be closed, so nobody tells of them later.
                        self.reporter.epoch_finished(row)
                        raise
                    self.processes.wait()
                    self.reporter.epoch_finished(row)
            except KeyboardInterrupt:
                # Of several processes each was stopped at another step.
                if self.whole and self.processes.count == 1:
                    self._save(path)
                raise
        if self.state.best:
            self.network.load_state_dict(self.state.best)
        self.network.eval()
        return history

    def _epoch(self, number: int) -> dict[str, Any]:
        self.whole = False
        place = self.state.place = self.state.place or Place()
        start, before = time.perf_counter() - place.seconds, number * len(self.training)
        examples = self.training.in_epoch(number)
        seed = np.random.SeedSequence([self.options["random_state"], number])
        shuffle, noise = seed.spawn(2)
        torch.manual_seed(int(noise.generate_state(1)[0]) + self.processes.rank)
        draw, size = np.random.default_rng(shuffle), self.options["batch_size"]
        order = draw.permutation(len(examples))[: self.total - before]
        order = bucketed(order, getattr(examples, "lengths", None), size, draw)
        self.network.train()
        batches = iter(self.processes.batches(examples, order, size))
        for _ in islice(batches, place.batches):
            pass  # done before the training was stopped
        set_random_states(self.state.random, self.fabric.device)
        self.state.random, self.whole = {}, True
        for batch in batches:
            with self.interrupts.held_back:
                self.whole = False
                done = (before + place.seen) / self.total
                factor = learning_rate_factor(self.options["schedule"], done)
                place.rate = float(self.options["learning_rate"] * factor)
                _, measured = self.steps.take(batch, place.rate, number, place.seen)
                place.batches += 1
                if batch is not None:
                    taken = len(batch.rows) * self.processes.count
                    place.seen = min(place.seen + taken, len(order))
                    place.answers += batch.answers
                    _add(place.sums, measured)
                place.seconds = time.perf_counter() - start
                self.whole = True
            self._report(number, before, place)
        answers, sums = self.processes.total(place.answers, place.sums)
        row: dict[str, Any] = {"epoch": number + 1, "samples": before + len(order)}
        means = _means(sums, answers, "the training part")
        row |= {f"train_{name}": value for name, value in means.items()}
        for name, weight in self.network.named_parameters():
            check_finite(f"greatest weight of {name}", weight.abs().max(), number, "its end")
        row |= {f"validation_{name}": value for name, value in self._validate().items()}
        return row | {"learning_rate": place.rate, "seconds": time.perf_counter() - start}

    def _check_validation(self) -> None:
        """Refuse what cannot be watched before anything is learned."""
        if self.validation is None or callable(self.validation):
            return
        if not any(batch.answers for batch in self.validation.batches(self._validation_size)):
            raise DataError("the validation part has no known answer")

    @property
    def _validation_size(self) -> int:
        return 4 * int(self.options["batch_size"])

    def _validate(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        if callable(self.validation):
            return self.validation(self.fabric, self.network)
        size = self._validation_size
        return evaluate(self.fabric, self.network, self.objective, self.validation, size)

    def _report(self, number: int, before: int, place: Place) -> None:
        means = {name: value / max(1, place.answers) for name, value in place.sums.items()}
        speed, done = place.seen / max(place.seconds, 1e-9), before + place.seen
        # Of several processes one may have no row of an epoch.
        left = (self.total - done) / speed if speed else math.inf
        self.reporter.advanced(Progress(number + 1, done, self.total, means, speed, left))

    def _finish(
        self, row: dict[str, Any], until: Callable[[list[dict[str, Any]]], str | None] | None
    ) -> None:
        """Close the books of an epoch."""
        history = self.state.history
        reason = None if until is None else until([*history, row])
        self.whole = False
        reason = self._watch(row) or reason
        history.append(row)
        self.state.place, self.state.stopped = None, bool(reason)
        self.whole = True
        if reason:
            self.reporter.note(f"stopped: {reason}")

    def _watch(self, row: Mapping[str, Any]) -> str | None:
        """Early stopping: remember the best weights; a reason to stop when it was long ago."""
        patience, state = self.options["patience"], self.state
        if patience is None or self.validation is None:
            return None
        if row["validation_loss"] < state.best_loss:
            state.best_loss, state.epochs_without_better = row["validation_loss"], 0
            weights = self.network.state_dict()
            state.best = {name: tensor.detach().clone() for name, tensor in weights.items()}
            return None
        state.epochs_without_better += 1
        if state.epochs_without_better < patience:
            return None
        kept = f"of epoch {row['epoch'] - patience}" if state.best else "of the last epoch"
        fallen = "has not fallen" if state.best else "has not been a finite number"
        return f"the validation loss {fallen} for {patience} epochs; the weights {kept} are kept"

    def _save(self, path: Path | None) -> None:
        if path is None:
            return
        self.state.random = random_states(self.fabric.device) if self.state.place else {}
        self.state.write(path, self.network, self.steps.optimizer, self.objective)

    def _load(self, path: Path) -> None:
        self.state.read(path, self.network, self.steps.optimizer, self.objective)
        if self.state.place is not None and self.processes.count > 1:
            raise RunError(
                f"{path}: a single process was stopped within an epoch; let it end that epoch "
                f"before several processes go on"
            )


def _add(sums: dict[str, float], measured: Mapping[str, Any]) -> None:
    for name, value in measured.items():
        sums[name] = sums.get(name, 0.0) + float(value)


def _means(sums: Mapping[str, float], answers: int, part: str) -> dict[str, float]:
    if not answers:
        raise DataError(f"{part} has no known answer")
    return {name: value / answers for name, value in sums.items()}
