"""The result of a comparison: a table, what can be said of it, and files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cellwright.errors import RunError
from cellwright.jobs.comparing.contenders import RESULT_FILES, Contender
from cellwright.jobs.comparing.outcomes import Outcome
from cellwright.jobs.comparing.statistics import Difference, differences_to_best, mean_interval
from cellwright.jobs.comparing.wording import markdown, number_of, sentences, text_table
from cellwright.look.comparison_picture import Series, draw_comparison
from cellwright.look.pictures import save_picture
from cellwright.storage import replace_file

__all__ = ["Comparison"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Cells beside each other: what each reached, how fast, and what is noise.

    ``print(comparison)`` shows the table and what can be said of it.

    Attributes
    ----------
    job
        What was learned, such as ``"classify digits"``.
    folder
        Where every run lies.
    contenders
        The cells with their layers, in the order that was asked for; speeds are relative to
        the first.
    seeds
        The seeds.
    outcomes
        Label of a cell -> seed -> what the run came to.
    failures
        Label of a cell -> seed -> why the run failed.
    side_by_side
        How many runs shared the machine.
    measure
        What is compared.
    lower_is_better
        Whether small values are good.
    best
        The cell with the best mean; None if no run finished.
    differences
        Label of each other cell -> how far it is from the best.
    """

    job: str
    folder: Path
    contenders: Sequence[Contender]
    seeds: Sequence[int]
    outcomes: Mapping[str, Mapping[int, Outcome]]
    failures: Mapping[str, Mapping[int, str]]
    side_by_side: int = 1
    measure: str = field(init=False)
    lower_is_better: bool = field(init=False)
    best: str | None = field(init=False)
    differences: dict[str, Difference] = field(init=False)

    def __post_init__(self) -> None:
        every = [outcome for seeds in self.outcomes.values() for outcome in seeds.values()]
        known = {(outcome.measure, outcome.lower_is_better) for outcome in every}
        if len(known) > 1:
            raise RunError(f"{self.folder}: its runs were measured by different measures")
        measure, lower = known.pop() if known else ("value", False)
        values = {
            contender.label: self.values(contender.label)
            for contender in self.contenders
            if self.outcomes.get(contender.label)
        }
        best, differences = (
            differences_to_best(values, lower_is_better=lower) if values else (None, {})
        )
        found = {"measure": measure, "lower_is_better": lower}
        for name, value in {**found, "best": best, "differences": differences}.items():
            object.__setattr__(self, name, value)

    def values(self, cell: str) -> list[float]:
        """The measure of each finished run of a cell, in the order of the seeds."""
        return [outcome.value for _, outcome in sorted(self.outcomes.get(cell, {}).items())]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each cell, the best first, cells without a finished run last.

        | columns | hold |
        |---|---|
        | `layers`, `parameters` | of the whole network; parameters that can learn |
        | `runs`, `failed` | seeds that ended well, and seeds that did not |
        | `solved` | of a task: runs that met its criterion |
        | the measure, `low`, `high` | its mean on the test part, with a 95 % interval |
        | `difference`, `difference_low`, `difference_high` | to the best, interval after Holm |
        | `p`, `verdict` | of the difference, after Holm, and the same in words |
        | `samples_per_second` | learned from; the median run |
        | `step_time` | of a training step, relative to the first cell |
        | `seconds` | of a training; the median run |
        """
        rows = pd.DataFrame(
            [self._row(contender) for contender in self.contenders],
            index=pd.Index([c.label for c in self.contenders], name="cell"),
        )
        first = rows["samples_per_second"].iloc[0]
        rows.insert(len(rows.columns) - 1, "step_time", first / rows["samples_per_second"])
        table: pd.DataFrame = rows.sort_values(
            self.measure, ascending=self.lower_is_better, kind="stable"
        )
        return table

    def __str__(self) -> str:
        return "\n".join([text_table(self), "", *sentences(self)])

    def __repr__(self) -> str:
        cells = ", ".join(contender.label for contender in self.contenders)
        seeds = number_of(len(self.seeds), "seed")
        return f"<comparison of {cells} on {self.job}, {seeds}: {self.folder}>"

    def summary(self) -> dict[str, Any]:
        """All of it as JSON-ready data; what is not known is None."""
        rows = json.loads(self.table.reset_index().to_json(orient="records", double_precision=12))
        return {
            "job": self.job,
            "measure": self.measure,
            "lower_is_better": self.lower_is_better,
            "best": self.best,
            "seeds": list(self.seeds),
            "cells": rows,
            "failures": {
                label: {str(seed): reason for seed, reason in seeds.items()}
                for label, seeds in self.failures.items()
                if seeds
            },
            "side_by_side": self.side_by_side,
            "run": str(self.folder),
        }

    def draw(self) -> Any:
        """The picture: the measure by cell, and learning curves beside it."""
        series = [
            Series(
                label=str(label),
                values=self.values(str(label)),
                interval=mean_interval(self.values(str(label))),
                curves=[outcome.curve for outcome in self.outcomes[str(label)].values()],
            )
            for label in self.table.index
            if self.outcomes.get(str(label))
        ]
        names = {o.curve_name for seeds in self.outcomes.values() for o in seeds.values()}
        return draw_comparison(
            series, title=self.job, measure=self.measure, curve_name=" or ".join(sorted(names))
        )

    def save(self, folder: str | Path) -> None:
        """Write ``table.csv``, ``table.md`` and ``comparison.png`` into a folder.

        Without a finished run there is no picture, and one from before is taken away.

        Raises
        ------
        RunError
            The folder cannot be made.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder} cannot be made: {error.strerror}") from error
        table, words, picture = (folder / name for name in RESULT_FILES)
        replace_file(table, self.table.to_csv())
        replace_file(words, markdown(self))
        if self.best is not None:
            save_picture(self.draw(), picture)
        else:
            picture.unlink(missing_ok=True)

    def _row(self, contender: Contender) -> dict[str, Any]:
        outcomes = self.outcomes.get(contender.label, {})
        row: dict[str, Any] = {
            "layers": ",".join(map(str, contender.layers)),
            "parameters": contender.parameters
            or next((outcome.parameters for outcome in outcomes.values()), None),
            "runs": len(outcomes),
            "failed": len(self.failures.get(contender.label, {})),
        }
        if any(o.solved is not None for seeds in self.outcomes.values() for o in seeds.values()):
            row["solved"] = sum(bool(outcome.solved) for outcome in outcomes.values())
        measured = mean_interval(self.values(contender.label)) if outcomes else None
        row[self.measure] = measured.mean if measured else math.nan
        row["low"] = measured.low if measured else math.nan
        row["high"] = measured.high if measured else math.nan
        row |= self._difference(contender.label)
        # The first run of a cell may have had to compile it.
        row["samples_per_second"] = _median([outcome.speed for outcome in outcomes.values()])
        row["seconds"] = _median([outcome.seconds for outcome in outcomes.values()])
        return row

    def _difference(self, label: str) -> dict[str, Any]:
        names = ("difference", "difference_low", "difference_high", "p")
        found = self.differences.get(label)
        numbers = (found.mean, found.low, found.high, found.p) if found else (math.nan,) * 4
        return dict(zip(names, numbers, strict=True)) | {"verdict": self.verdict(label)}

    def verdict(self, cell: str) -> str:
        """What can be said of a cell: best, within noise, worse, or nothing."""
        if cell == self.best:
            return "best"
        found = self.differences.get(cell)
        if found is None:
            return "failed"
        if not found.known:
            return "unknown"
        return "within noise" if found.within_noise else "worse"


def _median(values: list[float]) -> float:
    return float(pd.Series(values, dtype=float).median())
