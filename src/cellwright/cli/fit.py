"""``cellwright fit``: train a model and write a run folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from cellwright import jobs
from cellwright.cli.flags import parsed, with_options
from cellwright.cli.reporters import choose_reporter
from cellwright.errors import SettingError
from cellwright.jobs.options import ClassifierOptions

__all__ = ["fit_app"]

fit_app = typer.Typer(
    help="Train a model, and write model, numbers and pictures to a folder.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_RUNS = Path("runs")


@fit_app.callback()
def _fit() -> None:
    pass


@fit_app.command()
@with_options(ClassifierOptions)
def classify(
    context: typer.Context,
    data: Annotated[str, typer.Option(help="digits, mnist, or a .npz or .csv file.")] = "digits",
    data_dir: Annotated[
        str | None, typer.Option(help="Folder of mnist's IDX files; else they are downloaded.")
    ] = None,
    test_fraction: Annotated[
        float, typer.Option(help="Kept for the test, where the data have no test part.")
    ] = 0.2,
    config: Annotated[
        Path | None, typer.Option(help="Repeat the run of this config.yaml; flags change it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; runs/classify-DATA-NNN without it.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the last finished epoch; without --out of the last run of this data.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in the folder.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line; the last is the result.")
    ] = False,
    **options: Any,
) -> None:
    """Learn which class a sequence belongs to (many to one)."""
    if resume and overwrite:
        raise SettingError("--resume goes on with a run and --overwrite replaces it; give one")
    asked = {"data": data, "data_dir": data_dir, "test_fraction": test_fraction} | {
        name: parsed(ClassifierOptions, name, value) for name, value in options.items()
    }
    given = {name: value for name, value in asked.items() if _is_given(context, name)}
    if config is not None:
        asked = jobs.read_config(config).settings | given
    folder = jobs.RunFolder(
        out or jobs.next_folder(_RUNS, f"classify-{Path(asked['data']).stem}", last=resume)
    )
    if resume and config is None and folder.config_file.exists():
        asked = jobs.read_config(folder.config_file).settings | given
    wanted = jobs.configure(**asked)
    reporter = choose_reporter(quiet=quiet, as_json=as_json)
    try:
        jobs.run(wanted, folder, resume=resume, overwrite=overwrite, reporter=reporter)
    except KeyboardInterrupt:
        if folder.config_file.exists():
            place = shlex.quote(str(folder.path))
            reporter.note(
                f"interrupted; go on with: cellwright fit classify --out {place} --resume"
            )
        raise
    finally:
        reporter.close()


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"
