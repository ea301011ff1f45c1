"""The commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import cellwright as cw
from cellwright.cli.cells import cells
from cellwright.cli.compare import compare
from cellwright.cli.doctor import doctor
from cellwright.cli.fit import fit_app
from cellwright.cli.generate import generate
from cellwright.cli.use import predict, score
from cellwright.errors import CellwrightError

__all__ = ["app", "run"]

app = typer.Typer(
    name="cellwright",
    help="Recurrent networks written as equations: train them, use them, read them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(fit_app, name="fit")
app.command()(predict)
app.command()(score)
app.command()(generate)
app.command()(compare)
app.command()(doctor)
app.command()(cells)


def run() -> None:
    """Run the command line; an error of ours is one message, not a traceback."""
    try:
        app()
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"cellwright: {place}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except CellwrightError as error:
        print(f"cellwright: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"cellwright {cw.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass
