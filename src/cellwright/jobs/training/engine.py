"""The training loop that every job shares.

Every epoch starts from the seed and its own number alone, and a checkpoint is written
when it ends: so a training that is cut off and resumed takes the very steps of one that
was not.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cellwright.errors import RunError, SettingError, TrainingError
from cellwright.jobs.training.bucketing import bucketed
from cellwright.jobs.training.examples import AnyBatch, Epoch, Measurement, Objective, Source
from cellwright.jobs.training.optimizing import learning_rate_factor, make_optimizer
from cellwright.jobs.training.processes import Processes, is_first, local_rank
from cellwright.jobs.training.reporting import Progress, Reporter
from cellwright.jobs.training.tensor_file import read_tensors, write_tensors
from cellwright.jobs.training.threads import cpu_threads

__all__ = ["evaluate", "make_fabric", "on_device", "train"]

Moved = TypeVar("Moved")


@dataclass
class _Progress:
    """What a checkpoint holds beside tensors."""

    history: list[dict[str, Any]] = field(default_factory=list)
    best_loss: float = math.inf
    epochs_without_better: int = 0
    stopped: bool = False


def make_fabric(options: Mapping[str, Any]) -> Fabric:
    """Device and precision, as the options say; a `SettingError` where they are not there."""
    # Its remarks on precision would stand between the lines of a report.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device, precision = options["device"], options["precision"]
    rank = local_rank()
    try:
        # Each of several processes computes by itself; on a GPU, each on one of its own.
        own: Any = [rank] if rank is not None and torch.cuda.is_available() else 1
        devices = own if device in ("auto", "cuda") else 1
        return Fabric(accelerator=device, devices=devices, precision=precision)
    except (RuntimeError, ValueError) as error:
        raise SettingError(f"device={device!r}, precision={precision!r}: {error}") from error


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
        Where the state after each epoch is kept; None keeps nothing.
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

    Raises
    ------
    TrainingError
        Loss, gradient or weights are no longer finite; the message names epoch and samples.
    RunError
        The checkpoint belongs to other data or options.
    """
    return _Training(
        network, objective, training, validation, options, identity, reporter or Reporter()
    ).run(checkpoint, resume, on_start, on_epoch, until)


@torch.no_grad()
def evaluate(
    fabric: Fabric, network: nn.Module, objective: Objective, examples: Epoch, batch_size: int
) -> dict[str, float]:
    """Means of everything the objective measures."""
    network.eval()
    sums: dict[str, float] = {}
    answers = 0
    for batch in examples.batches(batch_size):
        with fabric.autocast():
            _, measured = objective(network, on_device(fabric, batch))
        answers += batch.answers
        for name, value in measured.items():
            sums[name] = sums.get(name, 0.0) + float(value)
    return {name: value / answers for name, value in sums.items()}


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
    ) -> None:
        self.objective, self.training, self.validation = objective, training, validation
        self.options, self.identity = options, identity
        self.plain = network
        self.fabric = make_fabric(options)
        self.processes = Processes.join(self.fabric.device)
        self.reporter = reporter if is_first() else Reporter()
        optimizer = make_optimizer(network, options)
        # The network is moved in place. What Fabric wraps it in is not called, because it would
        # round the data before they are scaled.
        self.wrapped, self.optimizer = self.fabric.setup(network, optimizer)
        self.best: dict[str, Tensor] = {}
        self.progress = _Progress()
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
        if resume and checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)
        self.processes.wait()
        if on_start is not None and is_first():
            on_start()
        threads = cpu_threads(self.plain, self.options["batch_size"], self.options["threads"])
        # The caller's random numbers are none of our business.
        with torch.random.fork_rng(), threads:
            while not self.progress.stopped and len(self.progress.history) < self.epochs:
                row = self._epoch(len(self.progress.history))
                self._watch(row)
                self.progress.history.append(row)
                if until is not None and (reason := until(self.progress.history)):
                    self._stop(reason)
                if checkpoint is not None and is_first():
                    self._save(checkpoint)
                if on_epoch is not None and is_first():
                    on_epoch(self.progress.history)
                self.processes.wait()
                self.reporter.epoch_finished(row)
        if self.best:
            self.plain.load_state_dict(self.best)
        self.plain.eval()
        return self.progress.history

    def _epoch(self, number: int) -> dict[str, Any]:
        start, before = time.perf_counter(), number * len(self.training)
        examples = self.training.in_epoch(number)
        seed = np.random.SeedSequence([self.options["random_state"], number])
        shuffle, noise = seed.spawn(2)
        torch.manual_seed(int(noise.generate_state(1)[0]) + self.processes.rank)
        draw, size = np.random.default_rng(shuffle), self.options["batch_size"]
        order = draw.permutation(len(examples))[: self.total - before]
        order = bucketed(order, getattr(examples, "lengths", None), size, draw)
        self.plain.train()
        sums: dict[str, Tensor] = {}
        seen, answers, rate = 0, 0, 0.0
        for batch in self.processes.batches(examples, order, size):
            rate = self._step(batch, (before + seen) / self.total, sums, number, seen)
            if batch is not None:
                seen = min(seen + len(batch.rows) * self.processes.count, len(order))
                answers += batch.answers
            means = {name: float(value) / max(1, answers) for name, value in sums.items()}
            self._report(number, before, seen, means, time.perf_counter() - start)
        sums = {name: self.processes.total(value) for name, value in sums.items()}
        answers = int(self.processes.total(torch.tensor(answers, device=self.fabric.device)))
        row: dict[str, Any] = {"epoch": number + 1, "samples": before + len(order)}
        row |= {f"train_{name}": float(value) / answers for name, value in sums.items()}
        for name, weight in self.plain.named_parameters():
            _check_finite(f"greatest weight of {name}", weight.abs().max(), number, "its end")
        row |= {f"validation_{name}": value for name, value in self._validate().items()}
        return row | {"learning_rate": rate, "seconds": time.perf_counter() - start}

    def _validate(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        if callable(self.validation):
            return self.validation(self.fabric, self.plain)
        size = 4 * self.options["batch_size"]
        return evaluate(self.fabric, self.plain, self.objective, self.validation, size)

    def _step(
        self, batch: AnyBatch | None, done: float, sums: dict[str, Tensor], number: int, seen: int
    ) -> float:
        rate = self.options["learning_rate"] * learning_rate_factor(self.options["schedule"], done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        where = f"samples {seen} and on"
        answers = 0 if batch is None else batch.answers
        weight = self.processes.share_of_answers(answers, self.fabric.device)
        if batch is not None:
            where = f"samples {seen} to {seen + len(batch.rows)} (rows {batch.rows[:4].tolist()}…)"
            with self.fabric.autocast():
                loss, measured = self.objective(self.plain, on_device(self.fabric, batch))
            _check_finite("loss", loss, number, where)
            self.fabric.backward(loss if weight == 1 else loss * weight)
            for name, value in measured.items():
                sums[name] = sums.get(name, torch.zeros(())).to(value.device) + value.detach()
        self.processes.sum_gradients(self.plain)
        if self.options["gradient_clip"] is not None:
            norm = self.fabric.clip_gradients(
                self.wrapped,
                self.optimizer,
                max_norm=self.options["gradient_clip"],
                error_if_nonfinite=False,
            )
            _check_finite("norm of the gradient", norm, number, where)
        self.optimizer.step()
        return float(rate)

    def _report(
        self, number: int, before: int, seen: int, means: dict[str, float], seconds: float
    ) -> None:
        speed, done = seen / max(seconds, 1e-9), before + seen
        left = (self.total - done) / speed
        self.reporter.advanced(Progress(number + 1, done, self.total, means, speed, left))

    def _stop(self, reason: str) -> None:
        self.progress.stopped = True
        self.reporter.note(f"stopped: {reason}")

    def _watch(self, row: Mapping[str, Any]) -> None:
        """Early stopping: remember the best weights, and when it was long ago."""
        patience = self.options["patience"]
        if patience is None or self.validation is None:
            return
        if row["validation_loss"] < self.progress.best_loss:
            self.progress.best_loss = row["validation_loss"]
            self.progress.epochs_without_better = 0
            self.best = {name: t.detach().clone() for name, t in self.plain.state_dict().items()}
            return
        self.progress.epochs_without_better += 1
        if self.progress.epochs_without_better >= patience:
            self._stop(
                f"the validation loss has not fallen for {patience} epochs; the weights of epoch "
                f"{row['epoch'] - patience} are kept"
            )

    def _save(self, path: Path) -> None:
        tensors = {f"network.{k}": v for k, v in self.plain.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items() if v is not None}
        write_tensors(path, tensors, {"identity": self.identity, **vars(self.progress)})

    def _load(self, path: Path) -> None:
        tensors, document = read_tensors(path)
        if document.pop("identity", None) != self.identity:
            raise RunError(f"{path} was written with other data or options; it cannot go on")
        self.progress = _Progress(**document)

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.plain.load_state_dict(part("network."))
        self.best = part("best.")
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part("optimizer.").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def _check_finite(what: str, value: Tensor | None, epoch: int, where: str) -> None:
    if value is not None and not bool(torch.isfinite(value)):
        raise TrainingError(
            f"the {what} became {float(value.detach())} in epoch {epoch + 1}, {where}; try a "
            f"lower learning rate or a smaller gradient clip"
        )


def on_device(fabric: Fabric, batch: Moved) -> Moved:
    """The batch where the network is."""
    found = {}
    for each in fields(batch):  # type: ignore[arg-type]
        value = getattr(batch, each.name)
        if isinstance(value, Tensor):
            # A GPU of Apple has no double precision.
            narrow = fabric.device.type == "mps" and value.dtype == torch.float64
            found[each.name] = fabric.to_device(value.float() if narrow else value)
    return replace(batch, **found)  # type: ignore[type-var]
