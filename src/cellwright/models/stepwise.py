"""Many to many: an answer at every step."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from cellwright.models.classifier import ClassifierNetwork

__all__ = ["StepwiseNetwork"]


class StepwiseNetwork(ClassifierNetwork):
    r"""Scaling, an optional linear projection, recurrent layers, a linear readout at every step.

    $$z_t = W\,\mathrm{layers}(P (x - \mu) / \sigma)_t + b$$

    A `ClassifierNetwork` that pools nothing: scores are (batch, time, outputs), and what
    stands behind the end of a sequence means nothing.

    Parameters
    ----------
    features
        Features of the input at each step.
    outputs
        Numbers that come out at each step.
    **options
        As for `ClassifierNetwork`, without its pooling.
    """

    def __init__(self, features: int, outputs: int, **options: Any) -> None:
        super().__init__(features, outputs, **options)

    def _pool(
        self, output: Tensor, state: list[dict[str, Tensor]], lengths: Tensor | None
    ) -> Tensor:
        return output
