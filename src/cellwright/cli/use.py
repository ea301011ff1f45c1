"""``cellwright predict`` and ``cellwright score``: use a trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cellwright import jobs
from cellwright.cli.reporters import waiting
from cellwright.storage import check_replaceable, json_text, replace_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["json_lines", "predict", "score"]

_Run = Annotated[Path, typer.Argument(help="A run folder, or a model file.")]
_Data = Annotated[
    str | None,
    typer.Option(help="A named data set (its test part) or a path; else the run's own test part."),
]
_DataDir = Annotated[Path | None, typer.Option(help="Folder of the files of a named data set.")]


def predict(
    run: _Run,
    data: _Data = None,
    data_dir: _DataDir = None,
    out: Annotated[Path | None, typer.Option(help="Write here instead of printing.")] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also a column for each class, or bounds.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Use a trained model, as CSV; of a classifier: id, prediction."""
    if out is not None:
        check_replaceable(out)
    with waiting("predicting"):
        model = jobs.load(run)
        given = jobs.samples(model, run, data, data_dir)
        table = jobs.predictions(model, given, probabilities=probabilities)
    text = json_lines(table) if as_json else table.to_csv(index=False)
    if out is not None:
        replace_file(out, text)
    else:
        sys.stdout.write(text)


def json_lines(table: pd.DataFrame) -> str:
    """A JSON object for each row: dates as a CSV has them, and every digit of a number.

    What pandas writes itself ends ten places behind the point, and dates are milliseconds there.
    """
    dates = table.select_dtypes(["datetime", "datetimetz"])
    rows = table.astype(dict.fromkeys(dates, str)).to_dict("records")
    return "".join(f"{json_text(row)}\n" for row in rows)


def score(
    run: _Run,
    data: _Data = None,
    data_dir: _DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Test a trained model; without --data on the test part of its own data."""
    with waiting("testing"):
        model = jobs.load(run)
        test, report = jobs.scores(model, jobs.samples(model, run, data, data_dir))
    if as_json:
        print(json_text({"job": model.job, "test": test, "run": str(run)}))
    else:
        print(report)
