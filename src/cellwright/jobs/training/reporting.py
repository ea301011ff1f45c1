"""What the engine tells while it works. Whoever wants to show it overrides a method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Progress", "Reporter"]


@dataclass(frozen=True)
class Progress:
    """Where the training stands within an epoch.

    Attributes
    ----------
    epoch
        The epoch under way, from 1.
    samples, total
        Samples seen so far and in the whole training.
    measures
        Means over the epoch so far, such as loss and accuracy.
    speed
        Samples a second.
    seconds_left
        Estimated time to the end of the training.
    """

    epoch: int
    samples: int
    total: int
    measures: dict[str, float]
    speed: float
    seconds_left: float


class Reporter:
    """Says nothing."""

    def started(self, description: dict[str, Any]) -> None:
        """The data are read and the network is made."""

    def advanced(self, progress: Progress) -> None:
        """A step is done."""

    def epoch_finished(self, row: dict[str, Any]) -> None:
        """An epoch is done; what follows can be resumed from here."""

    def testing(self) -> None:
        """The training is done; what follows are the test and the pictures."""

    def finished(self, result: dict[str, Any]) -> None:
        """The job is done."""

    def note(self, message: str) -> None:
        """Something worth a line, such as an early stop."""
