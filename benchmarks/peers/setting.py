"""What every section needs to know about the run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from peers.timing import Budget

__all__ = ["SHAPES", "Setting", "Shape"]

# Batch, time, input, hidden.
Shape = tuple[int, int, int, int]
SHAPES: tuple[Shape, ...] = (
    (32, 28, 28, 128),
    (128, 28, 28, 128),
    (32, 100, 128, 256),
    (64, 100, 512, 512),
    (64, 35, 650, 650),
    (128, 784, 1, 128),
    (1, 100, 64, 128),
    (32, 200, 1024, 1024),
)
# What --quick may take altogether, and multiplications of an LSTM's longest sequences in it.
QUICK_SECONDS = 180.0
QUICK_WORK = 1.4e10


@dataclass(frozen=True)
class Setting:
    """The options of a run.

    Attributes
    ----------
    quick
        Whether it should end within three minutes.
    case
        Only shapes and cells whose name contains this.
    max_steps
        Sequences are no longer than this, to try the benchmark itself.
    """

    quick: bool = False
    case: str = ""
    max_steps: int | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def budget(self) -> Budget:
        """Of one row."""
        if self.quick:
            return Budget(seconds=0.4, rounds=3, patience=0.4, long=1.5)
        return Budget(seconds=6.0, rounds=5, patience=12.0)

    @property
    def seconds_left(self) -> float:
        """Until a quick run should end."""
        return QUICK_SECONDS - (time.perf_counter() - self.started) if self.quick else float("inf")

    def shapes(self, *shapes: Shape) -> list[Shape]:
        """Those to run, shortened if asked or too long for a quick run."""
        return [self.short(shape) for shape in shapes if self.wants(str(shape))]

    def short(self, shape: Shape) -> Shape:
        """A shape, its steps limited."""
        batch, steps, input, hidden = shape
        if self.quick:
            steps = min(steps, int(QUICK_WORK / (batch * (input + hidden) * 4 * hidden)))
        return batch, min(steps, self.max_steps or steps), input, hidden

    def wants(self, case: str) -> bool:
        """Whether a case is to be run."""
        return self.case.replace(" ", "") in case.replace(" ", "")

    @staticmethod
    def random(*shape: int) -> torch.Tensor:
        """The same numbers in each run."""
        return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
