"""``cellwright fit``: train a model and write a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from cellwright import jobs
from cellwright.cli.flags import parsed, with_options
from cellwright.cli.reporters import choose_reporter
from cellwright.errors import RunError, SettingError
from cellwright.jobs.options import ClassifierOptions

if TYPE_CHECKING:
    from cellwright.jobs import RunConfig

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
        bool, typer.Option("--resume", help="Go on from the last finished epoch.")
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
    given = {name for name in asked if _is_given(context, name)}
    if config is not None:
        asked = _flat(_read(config)) | {name: asked[name] for name in given}
    folder = jobs.RunFolder(
        out or jobs.next_folder(_RUNS, f"classify-{Path(asked['data']).stem}", last=resume)
    )
    wanted = _configured(asked)
    if resume and folder.config_file.exists():
        stored = jobs.read_config(folder)
        _check_unchanged(_flat(stored), _flat(wanted), set(_flat(wanted)) if config else given)
        wanted = stored
    reporter = choose_reporter(quiet=quiet, as_json=as_json)
    try:
        jobs.run(wanted, folder, resume=resume, overwrite=overwrite, reporter=reporter)
    except KeyboardInterrupt:
        reporter.note(
            f"interrupted; go on with: cellwright fit classify --out {folder.path} --resume"
        )
        raise
    finally:
        reporter.close()


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _configured(asked: dict[str, Any]) -> RunConfig:
    names = ("data", "data_dir", "test_fraction")
    options = {name: value for name, value in asked.items() if name not in names}
    try:
        model = jobs.SequenceClassifier(**options)
    except TypeError as error:
        raise SettingError(f"the configuration has an unknown option: {error}") from error
    return jobs.configure(model, *(asked[name] for name in names))


def _flat(config: RunConfig) -> dict[str, Any]:
    return {
        "data": config.data,
        "data_dir": config.data_dir,
        "test_fraction": config.test_fraction,
        **config.options,
    }


def _read(path: Path) -> RunConfig:
    try:
        return jobs.RunConfig(**yaml.safe_load(path.read_text()))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise RunError(f"{path} is not the config.yaml of a run: {error}") from error


def _check_unchanged(stored: dict[str, Any], wanted: dict[str, Any], given: set[str]) -> None:
    for name in sorted(given):
        if wanted[name] != stored[name]:
            raise RunError(
                f"the run was started with {name}={stored[name]!r}, not {wanted[name]!r}; resume "
                f"it as it is, or start another one"
            )
