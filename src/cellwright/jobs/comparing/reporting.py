"""What a comparison tells while it works. Whoever wants to show it overrides a method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from cellwright.jobs.comparing.comparison import Comparison

__all__ = ["ComparisonReporter", "RunState", "State"]

State: TypeAlias = Literal["waiting", "running", "finished", "failed"]


@dataclass(frozen=True)
class RunState:
    """Where one run of a comparison stands.

    Attributes
    ----------
    cell, seed
        Which run.
    state
        Waiting, running, finished or failed.
    done
        Share of the training, 0 to 1.
    seconds_left
        Estimated time to the end of the training; None where it is not known.
    measure, value
        What it came to on the test part, once it is finished.
    seconds
        Time of the training, once it is finished.
    reason
        Why it failed.
    earlier
        Whether it was done before, by an earlier call.
    """

    cell: str
    seed: int
    state: State = "waiting"
    done: float = 0.0
    seconds_left: float | None = None
    measure: str | None = None
    value: float | None = None
    seconds: float | None = None
    reason: str | None = None
    earlier: bool = False


class ComparisonReporter:
    """Says nothing."""

    def started(self, description: dict[str, object], runs: list[RunState]) -> None:
        """Everything is checked, and the runs begin; `runs` are all of them."""

    def changed(self, run: RunState) -> None:
        """A run went on, or ended."""

    def finished(self, comparison: Comparison) -> None:
        """Every run has ended."""

    def note(self, message: str) -> None:
        """Something worth a line."""

    def close(self) -> None:
        """Give back what is held, such as a terminal."""
