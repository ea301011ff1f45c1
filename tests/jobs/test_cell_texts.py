"""Cells as text and back."""

import pytest
import yaml

import cellwright as cw
from cellwright import affine, cell, relu, tanh
from cellwright.errors import CellError, CellwrightError, GraphError, SettingError
from cellwright.jobs.runs.cell_texts import as_cell, cell_text, read_value, split_cells


@cell(state="h")
def own_cell(x, h, *, gain=0.5, words=("a", "b")):
    """A cell of one's own."""
    return gain * h + (tanh if "a" in words else relu)(affine("h", x, h))


@pytest.mark.parametrize("name", cw.cells.names())
def test_every_cell_of_the_zoo_goes_by_its_name(name):
    assert cell_text(as_cell(name)) == cell_text(name) == name
    assert as_cell(name) is cw.cells.get(name)


def test_a_cell_of_ones_own_goes_by_its_equations():
    changed = own_cell(gain=0.25, words=("b",))
    kept = yaml.safe_load(yaml.safe_dump(cell_text(changed)))
    assert as_cell(kept) == changed != own_cell


def test_options_of_the_zoo_stand_in_the_text():
    with_options = [cw.cells.get(name) for name in cw.cells.names() if cw.cells.get(name).options]
    found = 0
    for each in with_options:
        for option, usual in each.options.items():
            for other in (not usual,) if isinstance(usual, bool) else ():
                changed = each(**{option: other})
                text = cell_text(changed)
                if isinstance(text, str) and changed != each:
                    assert as_cell(text) == changed
                    assert option in text
                    found += 1
    clocks = cw.cells.clockwork(periods=(1, 3))
    assert cell_text(clocks) == "clockwork:periods=[1,3]"
    assert as_cell("clockwork:periods=1,3") == as_cell("clockwork:periods=[1, 3]") == clocks
    assert clocks != cw.cells.clockwork


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("lstm", ["lstm"]),
        (" lstm , gru,", ["lstm", "gru"]),
        ("a:p=1,2,-3,b", ["a:p=1,2,-3", "b"]),
        ("a:p=[x,y],b:q=(1,2)", ["a:p=[x,y]", "b:q=(1,2)"]),
        ("a:p=1,q=2,b", ["a:p=1:q=2", "b"]),
        ("", []),
    ],
)
def test_a_list_is_divided_between_cells_only(text, cells):
    assert split_cells(text) == cells


@pytest.mark.parametrize(
    ("text", "usual", "value"),
    [
        ("3", 1, 3),
        ("0.5", 1.0, 0.5),
        ("true", False, True),
        ("tanh", "relu", "tanh"),
        ("1", (1, 2), (1,)),
        ("[1,2]", [3], [1, 2]),
        ("i,f", ("i",), ("i", "f")),
        ("none", None, "none"),
        ("null", 3, None),
        ("[]", ("i",), ()),
    ],
)
def test_values(text, usual, value):
    assert read_value(text, usual) == value


@pytest.mark.parametrize(
    ("described", "error", "message"),
    [
        ("lstn", CellError, "Did you mean 'lstm'"),
        ("gru:activation=relu", CellError, "'gru' has no option 'activation'"),
        ("gru:activation", SettingError, "gru:NAME=VALUE"),
        ("gru:=3", SettingError, "gru:NAME=VALUE"),
        ({"version": 1}, GraphError, "not a graph"),
        (5, CellError, "not int"),
    ],
)
def test_what_is_no_cell_is_refused(described, error, message):
    with pytest.raises(error, match=message) as caught:
        as_cell(described)
    assert isinstance(caught.value, CellwrightError)
