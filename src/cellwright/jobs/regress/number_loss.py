"""Losses for numbers that are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from cellwright.data import Batch
from cellwright.models import RegressorNetwork

__all__ = ["NumberLoss"]


class NumberLoss:
    r"""The mean loss over targets and answers, in units of the targets' spread.

    With $e = y - \hat y$, ``squared`` is $e^2$, ``absolute`` is $|e|$, ``huber`` is
    $e^2 / 2$ up to $|e| = 1$ and $|e| - 1/2$ beyond, and ``quantile`` is, for the answer that
    tells the quantile $q$, the pinball loss $\max(q\,e, (q - 1)\,e)$.

    Parameters
    ----------
    loss
        Its name.
    quantiles
        Which are told; the one nearest to 0.5 is what the absolute error ``mae``, in the units
        of the targets, is measured of.

    References
    ----------
    Huber, "Robust estimation of a location parameter" (1964); Koenker and Bassett, "Regression
    quantiles" (1978).
    """

    def __init__(
        self,
        loss: Literal["squared", "absolute", "huber", "quantile"],
        quantiles: Sequence[float] = (0.5,),
    ) -> None:
        self.loss, self.quantiles = loss, torch.tensor(quantiles)
        self.middle = int((self.quantiles - 0.5).abs().argmin())

    def __call__(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss, and its sum and that of the absolute error over the samples."""
        assert batch.targets is not None
        assert isinstance(network, RegressorNetwork)
        told = network(batch.x, batch.lengths)
        truth = batch.targets.to(told.dtype).unsqueeze(2)
        missed = truth - told
        loss = self._losses(told, truth, missed).mean()
        spread = network.target_spread.to(told.dtype).to(told.device)
        absolute = missed.detach()[:, :, self.middle].abs() * spread
        return loss, {
            "loss": loss.detach() * len(told),
            "mae": absolute.mean(1).sum(),
        }

    def _losses(self, told: Tensor, truth: Tensor, missed: Tensor) -> Tensor:
        if self.loss == "squared":
            return missed.square()
        if self.loss == "absolute":
            return missed.abs()
        if self.loss == "huber":
            return huber_loss(told, truth.expand_as(told), reduction="none")
        quantiles = self.quantiles.to(missed)
        return torch.maximum(quantiles * missed, (quantiles - 1) * missed)
