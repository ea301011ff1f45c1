"""``cellwright compare``: several cells on the same job, and what of it is noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cellwright import jobs
from cellwright.cli.compare_reporters import choose_comparison_reporter
from cellwright.cli.flags import given, parsed, with_options
from cellwright.errors import SettingError
from cellwright.jobs.options import ClassifierOptions
from cellwright.jobs.runs.cell_texts import split_cells

__all__ = ["compare"]


@with_options(ClassifierOptions, without=("cell", "random_state"))
def compare(
    context: typer.Context,
    job: Annotated[str, typer.Argument(help="classify, or a task such as adding.")],
    cells: Annotated[
        str,
        typer.Option(help="Cells with commas between: lstm,gru,clockwork:periods=[1,2,4,8]."),
    ],
    seeds: Annotated[str, typer.Option(help="How many, or which: 3, or 0,7,8, or 7, alone.")] = "3",
    match: Annotated[
        Literal["none", "parameters"],
        typer.Option(help="Layers so wide that all networks have the first one's parameters."),
    ] = "none",
    parameters: Annotated[
        int | None, typer.Option(help="Layers so wide that all networks have so many.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Budget of each training, instead of epochs or samples.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Runs at a time; one a core without it.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="What fit classify reads; of jsb_chorales its .mat, which it needs."),
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder of mnist's IDX files.")] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Kept for the test, where the data have no test part.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; runs/compare-JOB-NNN without it.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line; the last is the result.")
    ] = False,
    **options: Any,
) -> None:
    """Train several cells alike, with several seeds, and say which difference is noise.

    The same command again goes on with what is not finished, and trains nothing twice.
    """
    settings = {"data": data, "data_dir": data_dir, "test_fraction": test_fraction} | {
        name: parsed(ClassifierOptions, name, value) for name, value in options.items()
    }
    chosen = given(context, settings)
    reporter = choose_comparison_reporter(quiet=quiet, as_json=as_json)
    try:
        found = jobs.compare(
            job,
            cells=split_cells(cells),
            seeds=_seeds(seeds),
            match=None if match == "none" else match,
            parameters=parameters,
            seconds=seconds,
            workers=workers,
            folder=out,
            reporter=reporter,
            **chosen,
        )
    except KeyboardInterrupt:
        reporter.interrupted()
        raise
    finally:
        reporter.close()
    if found.best is None:
        raise typer.Exit(1)


def _seeds(text: str) -> int | list[int]:
    try:
        # A comma at the end makes a list of one: 7, is the seed 7, and 7 is how many.
        listed = "," in text
        return [int(part) for part in text.removesuffix(",").split(",")] if listed else int(text)
    except ValueError as error:
        raise SettingError(
            f"seeds={text!r}: write how many, or which: 3, or 0,7,8, or 7, for the seed 7 alone"
        ) from error
