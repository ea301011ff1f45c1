"""The commands."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

import cellwright as cw
from cellwright.cli.doctor import doctor
from cellwright.cli.fit import fit_app
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
app.command()(doctor)


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


@app.command()
def cells(
    name: Annotated[str | None, typer.Argument(help="One cell; all of them without it.")] = None,
    latex: Annotated[bool, typer.Option(help="Equations in LaTeX.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object a line.")] = False,
) -> None:
    """The zoo: every cell's equations, states, signals and number of parameters."""
    chosen = [cw.cells.get(key) for key in ([name] if name else cw.cells.names())]
    for cell in chosen:
        if as_json:
            print(json.dumps(_facts(cell), ensure_ascii=False))
        elif name:
            _print_cell(cell, cell.latex if latex else cell.equations)
        else:
            Console(highlight=False).print(f"[bold]{cell.name}[/]  {cell.summary}")


def _facts(cell: Any) -> dict[str, Any]:
    return {
        "name": cell.name,
        "summary": cell.summary,
        "states": list(cell.states),
        "signals": list(cell.signals),
        "parameters": cell.parameter_formula,
        "equations": cell.equations.splitlines(),
    }


def _print_cell(cell: Any, equations: str) -> None:
    # Plain text: a terminal's markup would take the brackets out of equations.
    print(f"{cell.name}\n\n{cell.__doc__}\n\n{equations}\n")
    print(f"states      {', '.join(cell.states)}")
    print(f"signals     {', '.join(cell.signals)}")
    print(f"parameters  {cell.parameter_formula}")
