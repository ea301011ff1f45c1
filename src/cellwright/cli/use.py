"""``cellwright predict`` and ``cellwright score``: use a trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cellwright import jobs
from cellwright.storage import json_text, replace_file

__all__ = ["predict", "score"]

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
    model = jobs.load(run)
    given = jobs.samples(model, run, data, data_dir)
    table = jobs.predictions(model, given, probabilities=probabilities)
    text = table.to_json(orient="records", lines=True) if as_json else table.to_csv(index=False)
    if out is not None:
        replace_file(out, text)
    else:
        sys.stdout.write(text)


def score(
    run: _Run,
    data: _Data = None,
    data_dir: _DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Test a trained model; without --data on the test part of its own data."""
    model = jobs.load(run)
    test, report = jobs.scores(model, jobs.samples(model, run, data, data_dir))
    if as_json:
        print(json_text({"job": model.job, "test": test, "run": str(run)}))
    else:
        print(report)
