"""The gallery of cells in the documentation is what the zoo makes it."""

import runpy
from pathlib import Path

import cellwright as cw

DOCS = Path(__file__).parents[2] / "docs"
AGAIN = "run docs/figures/draw_cells.py"
SCRIPT = runpy.run_path(str(DOCS / "figures" / "draw_cells.py"))


def test_the_page_shows_the_zoo_as_it_is():
    assert (DOCS / "cells.md").read_text("utf-8") == SCRIPT["page"](), AGAIN


def test_the_drawings_are_those_of_the_equations():
    drawn = {path.stem: path.read_text("utf-8") for path in DOCS.glob("figures/cells/*.svg")}
    assert drawn == {name: SCRIPT["drawing"](name) for name in cw.cells.names()}, AGAIN
