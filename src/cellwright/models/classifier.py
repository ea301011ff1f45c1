"""Many to one: a sequence in, a score for each class out."""

from __future__ import annotations

from typing import Any

from cellwright.models.trunk import Pooling, SequenceNetwork

__all__ = ["ClassifierNetwork", "Pooling"]


class ClassifierNetwork(SequenceNetwork):
    r"""Scaling, an optional linear projection, recurrent layers, pooling, a linear readout.

    $$z = W\,\mathrm{pool}(\mathrm{layers}(P (x - \mu) / \sigma)) + b$$

    Called with `x`, (batch, time, features), and `lengths`, (batch,), it gives the scores
    before the softmax, (batch, classes).

    Parameters
    ----------
    features
        Features of the input at each step.
    classes
        Number of classes.
    **options
        As for `SequenceNetwork`.
    """

    def __init__(self, features: int, classes: int, **options: Any) -> None:
        super().__init__(features, classes, **options)
