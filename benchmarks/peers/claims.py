"""What is measured, what was asked of it, and how both are shown."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "OURS",
    "TIMES",
    "Claim",
    "Meanwhile",
    "Row",
    "Samples",
    "Section",
    "geometric",
    "ratio",
    "shown",
]

OURS = "cellwright"
TIMES = "×"


@dataclass(frozen=True)
class Samples:
    """One number a round, in seconds or MiB."""

    rounds: list[float]
    unit: str = "s"

    @property
    def median(self) -> float:
        """Their median."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """The distance between their quartiles, as a part of the median."""
        if len(self.rounds) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return (third - first) / self.median if self.median else 0.0

    def over(self, other: Samples) -> float:
        """Median ratio, round by round, to another that was measured in turns with it.

        What makes a machine slower for a while makes both slower, and is not in the ratio.
        """
        # One of them may have a round more, its first.
        count = min(len(self.rounds), len(other.rounds))
        pairs = zip(self.rounds[-count:], other.rounds[-count:], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        rounds = [float(f"{value:.6g}") for value in self.rounds]
        return {
            "median": float(f"{self.median:.6g}"),
            "spread": round(self.spread, 4),
            "unit": self.unit,
            "rounds": rounds,
        }


@dataclass(frozen=True)
class Claim:
    """A number beside what was asked of it.

    Attributes
    ----------
    what
        What the number is, such as "against torch.nn.LSTM".
    unit
        "×" for a ratio, "s" or "MiB".
    at_least, at_most
        What was asked; neither where the number is only for information.
    """

    what: str
    value: float
    unit: str = TIMES
    at_least: float | None = None
    at_most: float | None = None

    @property
    def asked(self) -> str:
        """What was asked, for people."""
        if self.at_least is not None:
            return f"≥ {shown(self.at_least, self.unit)}"
        return f"≤ {shown(self.at_most, self.unit)}" if self.at_most is not None else ""

    @property
    def verdict(self) -> str:
        """Whether it is a "pass" or "falls short"; nothing where nothing was asked."""
        if self.at_least is None and self.at_most is None:
            return ""
        low = self.at_least is not None and not self.value >= self.at_least
        high = self.at_most is not None and not self.value <= self.at_most
        return "falls short" if low or high else "pass"

    @property
    def number(self) -> str:
        """The value for people, with more digits where fewer would look like what was asked."""
        text = shown(self.value, self.unit)
        short = self.verdict == "falls short" and text in self.asked
        return f"{self.value:.5g} {self.unit}" if short else text

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        asked = {"at_least": self.at_least, "at_most": self.at_most}
        value = float(f"{self.value:.6g}")
        return {"what": self.what, "value": value, "unit": self.unit, **asked} | (
            {"verdict": self.verdict} if self.verdict else {}
        )


@dataclass(frozen=True)
class Meanwhile:
    """How the machine was while something was timed.

    Attributes
    ----------
    cores_used_by_others
        Cores that other processes kept busy.
    timed_again
        Groups of calls that do not count, because the cores were not at full speed.
    not_at_full_speed
        Groups that count though they were not.
    """

    cores_used_by_others: float
    timed_again: int
    not_at_full_speed: int


@dataclass
class Row:
    """One case: ours and the peers, timed in turns.

    Attributes
    ----------
    case
        The shape, or the cell.
    samples
        Candidate -> its rounds.
    flops
        Floating-point operations of one call, counted from the cell's matrices.
    meanwhile
        How the machine was; None where that was not looked at.
    """

    case: str
    samples: dict[str, Samples]
    claims: list[Claim] = field(default_factory=list)
    flops: float | None = None
    meanwhile: Meanwhile | None = None

    @property
    def flops_per_second(self) -> float | None:
        """Ours."""
        return self.flops / self.samples[OURS].median if self.flops else None

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "case": self.case,
            "samples": {name: samples.as_json() for name, samples in self.samples.items()},
            "claims": [claim.as_json() for claim in self.claims],
            "flops": self.flops,
            "gflops_per_second": round((self.flops_per_second or 0) / 1e9, 2) or None,
            **(asdict(self.meanwhile) if self.meanwhile else {}),
        }


@dataclass
class Section:
    """A table, what holds for all of its rows, and what should be known about it."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "name": self.name,
            "title": self.title,
            "rows": [row.as_json() for row in self.rows],
            "claims": [claim.as_json() for claim in self.claims],
            "notes": self.notes,
        }


def ratio(row: Row, peer: str, **asked: float) -> Claim:
    """The peer's time over ours."""
    return Claim(f"against {peer}", row.samples[peer].over(row.samples[OURS]), **asked)


def geometric(rows: list[Row], what: str, **asked: float) -> Claim:
    """The geometric mean of a claim over rows."""
    values = [claim.value for row in rows for claim in row.claims if claim.what == what]
    return Claim(f"{what}, geometric mean", statistics.geometric_mean(values), **asked)


def shown(value: float, unit: str) -> str:
    """A number with its unit, in at least three digits that say something."""
    if unit != "s":
        return f"{value:.2f} {unit}" if unit == TIMES else f"{value:.0f} {unit}"
    scale, name = (1e6, "µs") if value < 1e-3 else (1e3, "ms") if value < 1 else (1, "s")
    value *= scale
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {name}"
