"""The shortest way through a stack to its kernels, for batches that are alike, and many such ways.

What does not change from call to call is worked out at the first one, and torch's own guards
tell whether anything has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop

__all__ = ["Shortcut", "Shortcuts"]

# Shapes that a module has shortcuts for, and of how many it has them from the first batch on.
_MOST, _AT_ONCE = 256, 16


class Shortcut:
    """A stack for batches and first states that are alike.

    Parameters
    ----------
    kernels
        What the backend has made ready for this shape, for each layer and direction.
    wide
        Directions of each layer.
    absent
        No first states for each layer and direction, if there are none.
    given, weights
        Guards that tell of a batch and of each first state, and of all weights, whether they
        are such as they were, and whether a transform of torch looks on.
    batch_first
        Whether the first axis of batch and output is that of the rows.
    dropout
        Chance that a unit between two layers is dropped.
    training
        Whether the module was in training.
    computes
        Whether weights were computed, as parametrised ones are; see `Once`.
    """

    def __init__(
        self,
        kernels: Sequence[Any],
        given: Sequence[Any],
        weights: Any,
        *,
        wide: int,
        absent: Sequence[Sequence[Tensor]],
        batch_first: bool,
        dropout: float,
        training: bool,
        computes: bool,
    ) -> None:
        self.computes = computes
        self._kernels, self._know = kernels, weights.check
        self._wide, self.absent = wide, absent
        self._fit = [each.check for each in given]
        self._training = training
        self._batch_first, self._dropout = batch_first, dropout
        self._threads = torch.get_num_threads()

    def fits(self, given: Sequence[Tensor], *, training: bool) -> bool:
        """Whether a batch and its first states are such as they were, and how they are run.

        Asked before any weight is looked at: those that are computed, as parametrised ones are,
        must be so once a call, for they may be others each time.
        """
        if len(given) != len(self._fit) or training is not self._training:
            return False
        # One by one: the same zeros may well be the first of two states.
        for fit, value in zip(self._fit, given, strict=True):
            if not fit(value):
                return False
        return torch.get_num_threads() == self._threads

    def knows(self, weights: Sequence[Sequence[Tensor]]) -> bool:
        """Whether weights and learned states, layer by layer, are such as they were."""
        known: bool = self._know(*(weights[0] if len(weights) == 1 else chain(*weights)))
        return known

    def run(
        self,
        x: Tensor,
        begun: Sequence[Sequence[Tensor]],
        weights: Sequence[Sequence[Tensor]],
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """The last layer's output, laid out like `x`, and the states after.

        Parameters
        ----------
        x
            A batch as the module is given it.
        begun, weights
            First states and blocks of weights of each layer and direction, as which the states
            after are given too.
        """
        if self._batch_first:
            x = x.transpose(0, 1)
        after: list[list[Tensor]] = []
        outputs: list[Tensor] = []
        for kernel, before, blocks in zip(self._kernels, begun, weights, strict=True):
            output, states = kernel(x, before, blocks)
            after.append(states)
            if self._wide > 1:
                outputs.append(output)
                if len(outputs) < self._wide:
                    continue
                output, outputs = torch.cat(outputs, -1), []
            x = output
            if self._dropout and len(after) < len(self._kernels):
                x = drop(x, self._dropout)
        return (x.transpose(0, 1) if self._batch_first else x), after


class Shortcuts(dict[Any, "Shortcut | None"]):
    """The shortcuts of a module by what they hold for; neither copied nor stored with it.

    Attributes
    ----------
    latest
        The one that was found or gone last.
    """

    latest: Shortcut | None = None

    def __init__(self) -> None:
        self._once: dict[Any, None] = {}

    def are_worth(self, key: Any) -> bool:
        """Whether a shortcut should be looked for.

        Where every batch has another shape, as single sequences have, it would seldom be gone.
        """
        if len(self) < _AT_ONCE:
            return True
        seen = key in self._once
        _keep(self._once, key, None)
        return seen

    def keep(self, key: Any, shortcut: Shortcut | None) -> None:
        """Remember that a shortcut was gone or found, or that there is none."""
        _keep(self, key, shortcut)
        if shortcut is not None:
            self.latest = shortcut

    def __reduce__(self) -> Any:
        return Shortcuts, ()


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    """Put something last among what is kept, and leave what came first if it is too much."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > _MOST:
        # Another thread may have kept or left something in between.
        with suppress(RuntimeError, StopIteration):
            kept.pop(next(iter(kept)), None)
