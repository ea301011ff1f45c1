"""Losses for each kind of answer, over the answers that count."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from cellwright.data import Batch

__all__ = ["LOSSES", "AnswerLoss", "Loss"]

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Scores (answer, output) and targets -> a loss for each answer."""


def _squared_error(scores: Tensor, targets: Tensor) -> Tensor:
    return (scores - targets).square().mean(-1)


def _cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(scores, targets, reduction="none")


def _summed_binary_cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    entropy = binary_cross_entropy_with_logits(scores, targets.to(scores.dtype), reduction="none")
    return entropy.sum(-1)


LOSSES: dict[str, Loss] = {
    "number": _squared_error,
    "class": _cross_entropy,
    "class a step": _cross_entropy,
    "labels a step": _summed_binary_cross_entropy,
}
"""Kind of target -> its loss."""


class AnswerLoss:
    """The mean of a loss over the answers of a batch that count.

    Where the batch has targets at every step, those are the steps that count, whatever
    sequence they belong to: a long sequence weighs more than a short one.

    Parameters
    ----------
    loss
        Of single answers.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def __call__(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss, and its sum over the answers."""
        assert batch.targets is not None
        scores, targets = network(batch.x, batch.lengths), batch.targets
        if batch.counted is not None:
            scores, targets = scores[batch.counted], targets[batch.counted]
        losses = self.loss(scores, targets)
        return losses.mean(), {"loss": losses.detach().sum()}
