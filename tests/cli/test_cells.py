"""``cellwright cells``: the zoo on a terminal."""

import contextlib
import io
import json
import sys
from unittest import mock

import pytest

import cellwright as cw
from cellwright.cells.families import families
from cellwright.cli import main


@pytest.fixture
def cells(capsys):
    """Run the command; gives exit code, output and errors."""

    def call(*words):
        capsys.readouterr()
        with mock.patch.object(sys, "argv", ["cellwright", "cells", *words]):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_list_is_grouped_by_family(cells):
    code, output, errors = cells()
    assert (code, errors) == (0, "")
    headings = [line for line in output.splitlines() if line and not line.startswith(" ")]
    assert headings == list(families())
    for name in cw.cells.names():
        assert f"  {name} " in output
        assert cw.cells.get(name).summary in output
    assert output.index("Long short-term memory") < output.index("  lstm ")


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_equations_are_printed_where_signs_are_lacking(monkeypatch, errors):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=errors)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["cellwright", "cells", "elman"])
    with contextlib.suppress(SystemExit):
        main()
    print("fran\udce7ais")  # as Linux tells a path that is not UTF-8
    out.flush()
    shown = out.buffer.getvalue()
    assert b"h\\u209c = tanh(W_hx x\\u209c + W_hh h\\u209c\\u208b\\u2081 + b_h)" in shown
    assert shown.endswith(b"fran\xe7ais\n")


def test_every_cell_is_in_one_family():
    listed = [name for family in families().values() for name in family]
    assert sorted(listed) == sorted(cw.cells.names())
    assert families()["Long short-term memory"][0] == "lstm"


def test_a_cell_is_explained(cells):
    _, output, _ = cells("gru")
    assert output.rstrip("\n") == str(cw.explain("gru"))
    _, output, _ = cells("lstm", "--input", "28", "--hidden", "128", "--biases", "2")
    assert output.rstrip("\n") == str(cw.explain("lstm", 28, 128, biases=2))
    assert "= 80,896 for I = 28, H = 128, two biases" in output
    _, output, _ = cells("projected_lstm", "--input", "3", "--hidden", "4", "--sizes", "proj=2")
    assert "= 104 for I = 3, H = 4, proj = 2" in output


def test_other_forms(cells):
    _, output, _ = cells("gru", "--latex")
    assert output.rstrip("\n") == cw.cells.gru.latex
    _, output, _ = cells("gru", "--diagram")
    assert output.rstrip("\n") == cw.look.diagram("gru")
    _, output, _ = cells("lstm", "--json", "--input", "28", "--hidden", "128")
    found = json.loads(output)
    assert found["parameter_count"] == 80_384
    assert found["gates"] == {"i": ["gₜ"], "f": ["cₜ₋₁"], "o": ["tanh(cₜ)"]}
    assert found["memory"]["kept_bytes"] == 2560
    _, output, _ = cells("--json")
    assert {json.loads(line)["name"] for line in output.splitlines()} == set(cw.cells.names())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lstn", "there is no cell 'lstn'. Did you mean 'lstm'?"),
        ("lstm --input 3", "give --input and --hidden together"),
        ("lstm --hidden 3", "give --input and --hidden together"),
        ("--input 3 --hidden 4", "go with a cell"),
        ("lstm --input 0 --hidden 4", "input_size must be a positive whole number, not 0"),
        ("--biases 3", "go with a cell"),
        ("--input 0", "go with a cell"),
        ("--hidden 0", "go with a cell"),
        ("--sizes proj=3", "go with a cell"),
        ("projected_lstm --sizes proj=3", "give --input and --hidden together"),
        ("projected_lstm --input 3 --hidden 4", "has sizes of its own; add --sizes proj=…"),
        ("projected_lstm --input 3 --hidden 4 --sizes proj=²", "name=number, as in proj=64"),
        ("projected_lstm --input 3 --hidden 4 --sizes proj=3,proj=4", "gives 'proj' twice"),
        ("projected_lstm --input 3 --hidden 4 --sizes prj=2", "Did you mean 'proj'"),
        ("projected_lstm --input 3 --hidden 4 --sizes proj", "name=number, as in proj=64"),
        ("clockwork --input 28 --hidden 10", "10 units cannot be cut into 4 equal groups"),
        ("lstm --biases 3", "biases must be 1 or 2, not 3"),
    ],
)
def test_mistakes_are_one_message(cells, words, message):
    code, output, errors = cells(*words.split())
    assert code == 1
    assert output == ""
    assert errors.startswith("cellwright: ")
    assert message in errors
    assert len(errors.splitlines()) == 1
