"""Losses for each kind of answer, over the answers that count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from cellwright.data import Batch

__all__ = ["LOSSES", "AnswerLoss", "Loss", "TokenLoss"]

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


class Told(Protocol):
    """A batch whose targets a decoder is to tell, token after token."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the encoder reads."""

    @property
    def given(self) -> Tensor | None:
        """What goes into the decoder at each step, (batch, T)."""

    @property
    def wanted(self) -> Tensor | None:
        """What should come out, (batch, T)."""

    @property
    def counted(self) -> Tensor | None:
        """Which steps exist, (batch, T)."""


class TokenLoss:
    """Mean cross entropy over the tokens of a batch.

    Parameters
    ----------
    label_smoothing
        Probability spread over all tokens, in training; what is measured without a gradient is
        the plain entropy.
    scheduled_sampling
        Chance that the decoder reads its own token in training.
    """

    def __init__(self, label_smoothing: float, scheduled_sampling: float = 0.0) -> None:
        self.label_smoothing, self.scheduled_sampling = label_smoothing, scheduled_sampling

    def __call__(self, network: nn.Module, batch: Told) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss, its sum, and in evaluation the number of right tokens."""
        assert batch.wanted is not None
        training = network.training
        own = self.scheduled_sampling if training else 0.0
        scores = network(*batch.inputs, batch.given, batch.counted, own)
        wanted = batch.wanted[batch.counted]
        smoothing = self.label_smoothing if training else 0.0
        loss = cross_entropy(scores, wanted, label_smoothing=smoothing)
        measured = {"loss": loss.detach() * len(wanted)}
        if not training:
            measured["accuracy"] = (scores.argmax(1) == wanted).sum()
        return loss, measured
