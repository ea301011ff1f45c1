"""What a training learns from, and what it wants of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
from lightning_fabric import Fabric
from torch import Tensor, nn

from cellwright.data import Batch, Sequences, batches

__all__ = [
    "AnyBatch",
    "Carrying",
    "Divisible",
    "Epoch",
    "Examples",
    "FreshExamples",
    "Measurement",
    "Objective",
    "Source",
]


class AnyBatch(Protocol):
    """Some samples: a frozen dataclass, whose tensors the engine brings to the network."""

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Which samples these are, (batch,)."""

    @property
    def answers(self) -> int:
        """How many answers count, by which sums are divided."""


class Epoch(Protocol):
    """Samples that can be cut into batches.

    Where it also has ``lengths``, (sample,), samples of similar length come in one batch.
    """

    def __len__(self) -> int:
        """How many samples there are."""

    def batches(self, size: int, order: npt.NDArray[np.int64] | None = None) -> Iterator[Any]:
        """Batches of at most `size` samples, in the order given or as they come."""


@runtime_checkable
class Divisible(Protocol):
    """Samples that several processes cannot deal out one by one, such as windows of a stream."""

    def of_process(self, rank: int, count: int) -> Epoch:
        """What one of so many processes learns from; it gets the order of all samples."""


class Source(Protocol):
    """What a training learns from, epoch by epoch."""

    def __len__(self) -> int:
        """How many samples an epoch has."""

    def in_epoch(self, number: int) -> Epoch:
        """What that epoch learns from, from 0; the same for the same number."""


@dataclass(frozen=True)
class Examples:
    """Sequences and what is to be learned from each.

    Attributes
    ----------
    x
        The sequences.
    targets
        What is to be learned, (sample, …), or (sample, time, …) with `counted`.
    counted
        For targets at every step: which of them count, (sample, time).
    """

    x: Sequences
    targets: Tensor
    counted: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Steps of each sample."""
        return self.x.lengths

    def in_epoch(self, number: int) -> Examples:
        """What that epoch learns from: the same, always."""
        return self

    def batches(self, size: int, order: npt.NDArray[np.int64] | None = None) -> Iterator[Batch]:
        """Batches of at most `size` samples."""
        return batches(self.x, size, targets=self.targets, counted=self.counted, order=order)


@dataclass(frozen=True)
class FreshExamples:
    """Examples that are drawn anew for every epoch.

    Attributes
    ----------
    size
        How many an epoch has.
    draw
        Number of an epoch, from 0 -> its examples; the same for the same number, so that a
        training can be resumed.
    """

    size: int
    draw: Callable[[int], Examples]

    def __len__(self) -> int:
        return self.size

    def in_epoch(self, number: int) -> Examples:
        """What that epoch learns from."""
        return self.draw(number)


class Objective(Protocol):
    """What a job wants of a batch."""

    def __call__(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss, and sums over the batch's answers of what is to be reported."""


@runtime_checkable
class Carrying(Protocol):
    """An objective that carries something from batch to batch, which a checkpoint must keep."""

    def state_dict(self) -> dict[str, Tensor]:
        """What it carries."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Carry on with that."""


Measurement: TypeAlias = Callable[[Fabric, nn.Module], dict[str, float]]
"""What else can be found out about a network after an epoch, such as on data of its own kind."""
