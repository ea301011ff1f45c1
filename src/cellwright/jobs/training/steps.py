"""Single steps: the loss of a batch, its gradient, clipped, and an update of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, autograd, nn
from torch.nn.utils import clip_grad_norm_

from cellwright.errors import TrainingError
from cellwright.jobs.training.devices import make_fabric, on_device
from cellwright.jobs.training.examples import AnyBatch, Objective
from cellwright.jobs.training.optimizing import make_optimizer
from cellwright.jobs.training.processes import Processes

__all__ = ["Steps", "check_finite"]


class Steps:
    """The steps of one training.

    Parameters
    ----------
    network
        What is trained; it is moved to where it computes.
    objective
        The loss, and what else is measured.
    options
        Validated `TrainingOptions`.
    processes
        Who shares every batch; without it those that torchrun has started.

    Attributes
    ----------
    fabric
        Device and precision.
    optimizer
        The update rule, with what it remembers.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        options: Mapping[str, Any],
        processes: Processes | None = None,
    ) -> None:
        self.network, self.objective = network, objective
        self.fabric = make_fabric(options)
        self.processes = processes or Processes.join(self.fabric.device)
        self.optimizer = make_optimizer(network, options)
        # The network is moved in place. What Fabric wraps it in is not called, because it would
        # round the data before they are scaled; and since none of the precisions scales gradients,
        # what it wraps optimizer and backward pass in would only take time.
        self.fabric.setup(network, self.optimizer)
        self._weights, self._most = list(network.parameters()), options["gradient_clip"] or math.inf

    def take(
        self, batch: AnyBatch | None, rate: float, epoch: int, seen: int
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Take a step.

        Parameters
        ----------
        batch
            What is learned from; None where this process has no row of it.
        rate
            Learning rate.
        epoch, seen
            Number of the epoch, from 0, and its samples before this step, for messages.

        Returns
        -------
        tuple
            The loss, and what the objective measured; None and nothing where the batch has no
            known answer.

        Raises
        ------
        TrainingError
            Loss or gradient are no longer finite; the message names epoch and samples.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for weight in self._weights:
            weight.grad = None
        where = f"samples {seen} and on"
        answers = 0 if batch is None else batch.answers
        share = self.processes.share_of_answers(answers, self.fabric.device)
        loss: Tensor | None = None
        measured: dict[str, Tensor] = {}
        if batch is not None and answers:
            where = f"samples {seen} to {seen + len(batch.rows)} (rows {batch.rows[:4].tolist()}…)"
            with self.fabric.autocast():
                loss, measured = self.objective(self.network, on_device(self.fabric, batch))
            check_finite("loss", loss, epoch, where)
            autograd.backward(loss if share == 1 else loss * share)
        self.processes.sum_gradients(self.network)
        norm = clip_grad_norm_(self._weights, self._most)
        check_finite("norm of the gradient", norm, epoch, where)
        self.optimizer.step()
        return loss, measured


def check_finite(what: str, value: Tensor | None, epoch: int, where: str) -> None:
    """Raise a `TrainingError` that says what is no number, and where."""
    if value is not None and not math.isfinite(value.item()):
        raise TrainingError(
            f"the {what} became {float(value.detach())} in epoch {epoch + 1}, {where}; try a "
            f"lower learning rate or a smaller gradient clip"
        )
