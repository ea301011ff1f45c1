"""What a forecaster is trained for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cellwright.jobs.forecast.outputs import Output
from cellwright.jobs.forecast.windows import WindowBatch

__all__ = ["ForecastLoss"]


class ForecastLoss:
    r"""The mean loss of what is known ahead, in the units that the options name.

    A loss in units of the window's spread $s$ counts once ("spread"), or $s / |\ell|$ times
    ("level"), as if it were in units of the level $\ell$: of the first kind is the MASE, of the
    second the sMAPE. "both" is the mean of the two, the second divided by `balance`, so that
    neither outweighs the other.

    Parameters
    ----------
    output
        What the network's numbers mean.
    options
        Validated options of the forecaster.
    balance
        The mean of $s / |\ell|$.
    """

    def __init__(self, output: Output, options: Mapping[str, Any], balance: float) -> None:
        self.output, self.balance = output, balance
        self.units = options["error_units"] or "both"
        self.log = options["transform"] == "log"

    def __call__(self, network: nn.Module, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over the members and over what is known ahead, and the sum."""
        numbers = network(batch.inputs())
        losses = self.output.losses(numbers, batch, self._weight(batch)).mean(0)
        answers = losses[batch.counted]
        return answers.mean(), {"loss": answers.detach().sum()}

    def _weight(self, batch: WindowBatch) -> Tensor:
        spread, level = batch.spread, batch.level
        # A difference of logarithms is relative to the level already.
        whole = torch.ones_like(level) if self.log else torch.maximum(level.abs(), spread)
        relative = spread / whole / self.balance
        if self.units == "spread":
            relative = torch.ones_like(relative)
        elif self.units == "both":
            relative = (1 + relative) / 2
        return relative.to(batch.targets.dtype)
