"""Many to one: a sequence in, a number or several out."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from cellwright.models.trunk import SequenceNetwork

__all__ = ["RegressorNetwork"]


class RegressorNetwork(SequenceNetwork):
    r"""A `SequenceNetwork` whose readout is numbers, and the scale of these numbers.

    $$\hat y = \mu_y + \sigma_y\, z, \qquad
    z = W\,\mathrm{pool}(\mathrm{layers}(P (x - \mu) / \sigma)) + b$$

    Called, it gives $z$, (batch, targets, answers), in which it is trained; `in_units` makes
    $\hat y$ of it.

    Parameters
    ----------
    features
        Features of the input at each step.
    targets
        How many numbers are to be told.
    answers
        How many answers there are to each: one, or one a quantile.
    **options
        As for `SequenceNetwork`.
    """

    target_shift: Tensor
    target_spread: Tensor
    _scaling: ClassVar = (*SequenceNetwork._scaling, "target_shift", "target_spread")

    def __init__(self, features: int, targets: int, answers: int = 1, **options: Any) -> None:
        super().__init__(features, targets * answers, **options)
        self.register_buffer("target_shift", torch.zeros(targets, dtype=torch.float64))
        self.register_buffer("target_spread", torch.ones(targets, dtype=torch.float64))
        self.answers = answers

    def answer(self, output: Tensor) -> Tensor:
        """Scaled answers, (batch, targets, answers)."""
        scores = super().answer(output)
        return scores.view(len(scores), -1, self.answers)

    def in_units(self, scaled: Tensor) -> Tensor:
        """Answers in the units of the targets, in double precision, on the CPU."""
        spread, shift = self.target_spread[:, None], self.target_shift[:, None]
        return scaled.detach().cpu().double() * spread + shift
