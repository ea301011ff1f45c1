"""The commands."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

import cellwright as cw
from cellwright.cli.cells import cells
from cellwright.cli.compare import compare
from cellwright.cli.doctor import doctor
from cellwright.cli.fit import fit_app
from cellwright.cli.flags import in_flags
from cellwright.cli.generate import generate
from cellwright.cli.signs import print_any_sign
from cellwright.cli.use import predict, score
from cellwright.errors import CellwrightError, CellwrightWarning, RunError, SettingError
from cellwright.jobs.training.ranks import is_first

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


# Seconds in which one of several processes is stopped, once the first has failed.
_STOPPED = 10.0


def run() -> None:
    """Run the command line; an error of ours is one message, not a traceback."""
    print_any_sign()
    try:
        with _warnings_in_words():
            app(prog_name="cellwright")  # however it was started
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}")
    except (RunError, SettingError) as error:
        _fail(in_flags(str(error), app, sys.argv[1:]))
    except CellwrightError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def _warnings_in_words() -> Iterator[None]:
    """Say what we warn of as we say an error; where it stands in our files means nothing here."""
    others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **further: Any) -> None:
        if issubclass(category, CellwrightWarning):
            print(f"cellwright: {message}", file=sys.stderr)
        else:
            others(message, category, *where, **further)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _fail(message: str) -> None:
    if not is_first():
        # The first process is about to say the same, and this one then comes to its end here.
        time.sleep(_STOPPED)
    print(f"cellwright: {message}", file=sys.stderr)
    sys.exit(1)


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
