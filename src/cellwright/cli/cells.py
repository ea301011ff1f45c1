"""The zoo on the command line."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from cellwright.cells.catalogue import get, names
from cellwright.cells.families import families
from cellwright.errors import SettingError
from cellwright.look.explanation import explain

__all__ = ["cells"]


def cells(
    name: Annotated[str | None, typer.Argument(help="One cell; all of them without it.")] = None,
    input_size: Annotated[
        int | None, typer.Option("--input", help="Inputs I, for numbers beside the formulas.")
    ] = None,
    hidden_size: Annotated[int | None, typer.Option("--hidden", help="Units H.")] = None,
    sizes: Annotated[str, typer.Option(help="The cell's own sizes: proj=64.")] = "",
    biases: Annotated[int, typer.Option(help="2 counts biases as torch keeps them.")] = 1,
    latex: Annotated[bool, typer.Option(help="Equations in LaTeX.")] = False,
    diagram: Annotated[bool, typer.Option(help="The cell drawn from its equations, SVG.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object a line.")] = False,
) -> None:
    """The zoo: every cell's equations, states, gates, parameters and cost."""
    if name is None:
        if latex or diagram or sizes or biases != 1 or (input_size, hidden_size) != (None, None):
            raise SettingError(
                "--input, --hidden, --sizes, --biases, --latex and --diagram go with a cell"
            )
        _list(as_json)
        return
    cell, own = get(name), _sizes(sizes)
    given = [size is not None for size in (input_size, hidden_size)]
    if any([*given, own]) and not all(given):
        raise SettingError("give --input and --hidden together: numbers need both")
    known = cell.graph.symbols
    missing = ",".join(f"{size}=…" for size in sorted(known - own.keys()))
    if all(given) and missing and own.keys() <= known:
        raise SettingError(f"cell {cell.name!r} has sizes of its own; add --sizes {missing}")
    found = explain(cell, input_size, hidden_size, own, biases=biases)
    if as_json:
        print(json.dumps(found.facts(), ensure_ascii=False))
    elif diagram:
        print(found.diagram)
    elif latex:
        print(found.latex)
    else:
        # Plain text: a terminal's markup would take the brackets out of equations.
        print(found)


def _list(as_json: bool) -> None:
    if as_json:
        for name in names():
            print(json.dumps(explain(name).facts(), ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    width = max(map(len, names()))
    for number, (heading, family) in enumerate(families().items()):
        console.print(f"{'' if number == 0 else chr(10)}{heading}", markup=False)
        for name in family:
            space = " " * (width - len(name))
            console.print(f"  [bold]{name}[/]{space}  ", end="")
            console.print(get(name).summary, markup=False)


def _sizes(text: str) -> dict[str, int]:
    """``proj=64,other=3`` as a mapping."""
    found: dict[str, int] = {}
    for part in text.split(",") if text else ():
        name, equals, number = (word.strip() for word in part.partition("="))
        if not equals or not number.isdecimal():
            raise SettingError(f"--sizes is written name=number, as in proj=64, not {part!r}")
        if name in found:
            raise SettingError(f"--sizes gives {name!r} twice")
        found[name] = int(number)
    return found
