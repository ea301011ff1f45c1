"""Drawn cells: that they show the equations, and that nothing in them overlaps."""

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from odd_cells import GRAPHS
from random_graphs import graphs
from svg_geometry import Picture, faults

import cellwright as cw
from cellwright.cells import Cell
from cellwright.errors import CellError
from cellwright.ir import topological
from cellwright.look.diagrams.parts import contract
from cellwright.look.diagrams.places import place
from cellwright.look.diagrams.routes import route

# Without looking for the smallest fault: that takes minutes, and any fault can be looked at.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_overlaps(name):
    assert faults(cw.look.diagram(Cell(GRAPHS[name]))) == []


@settings(max_examples=25, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(graphs())
def test_nothing_overlaps_in_cells_that_nobody_would_write(graph):
    assert faults(cw.look.diagram(Cell(graph))) == []


@pytest.mark.parametrize("name", ["lstm", "slstm", "fgr_lstm", "everything"])
def test_no_two_values_share_a_track(name):
    owner = {}
    routes = route(place(contract(GRAPHS[name])))
    for line in routes.lines:
        for step in map(frozenset, pairwise(line.points)):
            assert owner.setdefault(step, line.source) is line.source
    assert owner


@pytest.mark.parametrize("name", GRAPHS)
def test_every_line_of_the_equations_is_drawn(name):
    parts = contract(GRAPHS[name])
    lines = route(place(parts)).lines
    wanted = Counter((id(w.source), id(part)) for part in parts for w in part.wires)
    assert Counter((id(line.source), id(line.target)) for line in lines) == wanted
    for line in lines:
        assert len(line.points) > 1


@pytest.mark.parametrize("name", [n for n in GRAPHS if "norm" not in n])
def test_every_function_is_in_the_picture(name):
    graph = GRAPHS[name]
    nodes = Counter(value.op for value in topological(graph.outputs))
    words = Counter(part.text for part in contract(graph))
    for op, text in (("sigmoid", "σ"), ("tanh", "tanh"), ("relu", "relu"), ("where", "if")):
        drawn = sum(number for word, number in words.items() if word.split()[:1] == [text])
        assert drawn == nodes[op], op


def test_an_lstm_looks_like_the_one_in_textbooks():
    parts = contract(cw.cells.lstm.graph)
    places = place(parts)
    by_name = {part.name or part.text: part for part in parts if part.kind != "end"}
    ends = {part.text: part for part in parts if part.kind == "end"}
    row = {name: places.at[part][1] for name, part in by_name.items()}
    column = {name: places.at[part][0] for name, part in by_name.items()}
    memory = next(part for part in parts if part.kind == "state" and part.text == "c")
    assert places.at[memory][1] == places.at[ends["c"]][1] == 0
    assert len({row[gate] for gate in "figo"}) == 1
    assert 0 < row["f"] < row["x"]
    assert column["f"] < column["i"] < column["g"] < column["o"]
    assert sorted(part.text for part in parts if part.kind == "circle") == [
        "+",
        "tanh",
        *"×××",
    ]
    words = Picture(cw.look.diagram("lstm")).words
    assert {"f", "i", "g", "o", "σ", "tanh", "ct−1", "ct", "ht−1", "ht", "xt"} <= set(words)


def test_peepholes_are_dashed_and_subtraction_is_marked():
    assert cw.look.diagram("peephole_lstm").count("stroke-dasharray") == 3
    assert "stroke-dasharray" not in cw.look.diagram("lstm")

    @cw.cell(state="h")
    def difference(x, h):
        """h - W x over c."""
        a = cw.affine("a", x)
        h = (h - a) / (1 + abs(a))
        return h

    words = Picture(cw.look.diagram(difference)).words
    assert words.count("−") == words.count("÷") == 1


def drawn(cell):
    """Text and name of each part -> mark, origin and dashes of the lines into it."""
    assert faults(cw.look.diagram(cell)) == []
    return {
        (part.text, part.name): {(w.mark, w.source.text, w.scaled) for w in part.wires}
        for part in contract(cell.graph)
    }


def test_a_norm_of_one_term_is_a_box_of_its_own():
    @cw.cell(state="h")
    def half(x, h):
        """One term is normalised, the others are not."""
        h = cw.tanh(
            cw.layer_norm("a", cw.affine("a", x, bias=None)) + cw.affine("b", h) + cw.scale("p", h)
        )
        return h

    parts = drawn(half)
    assert parts["LN", "a"] == {("", "x", False)}
    assert parts["W", "b"] == {("", "h", False), ("", "h", True)}
    assert parts["+", ""] == {("", "LN", False), ("", "W", False)}

    @cw.cell(state="h")
    def nested(x, h):
        """A norm of a norm and another term."""
        h = cw.tanh(
            cw.layer_norm("c", cw.layer_norm("a", cw.affine("a", x, bias=None)) + cw.affine("b", h))
        )
        return h

    parts = drawn(nested)
    assert parts["LN", "a"] == {("", "x", False)}
    assert parts["tanh LN", "h"] == {("", "+", False)}


def test_what_is_subtracted_from_what_is_learned_is_marked():
    @cw.cell(state=("h", "c", "n", "k"))
    def differences(x, h, c, n, k):
        """Differences of learned terms, and of learned and other ones."""
        h_new = cw.tanh(cw.affine("a", x, bias=None) - cw.affine("b", h) - cw.scale("p", h))
        c_new = c - cw.affine("c", x) - cw.scale("q", h)
        n_new = n - cw.bias("n")
        k_new = cw.sigmoid(-cw.affine("k", k, bias=None))
        return h_new, c_new, n_new, k_new

    parts = drawn(differences)
    assert parts["tanh", "h"] == {("", "x", False), ("−", "h", False), ("−", "h", True)}
    assert parts["W", "c"] == {("", "x", False), ("", "h", True)}
    assert parts["+", "c"] == {("", "c", False), ("−", "W", False)}
    assert parts["−b", "n"] == {("", "n", False)}
    assert parts["σ", "k"] == {("−", "k", False)}


def test_a_number_that_multiplies_a_learned_vector_is_drawn():
    @cw.cell(state=("h", "c"))
    def doubled(x, h, c):
        """A bias that counts twice, and a vector by itself."""
        h = cw.tanh(cw.affine("a", x, bias=None) + 2 * cw.bias("b"))
        return h, cw.sigmoid(cw.scale("z", 1.0))

    parts = drawn(doubled)
    assert parts["×2", ""] == {("", "w", False)}
    assert parts["σ", "c"] == set()


def test_only_the_whole_pattern_gets_the_name_of_a_function():
    @cw.cell(state="h")
    def real(x, h):
        """A softplus, a norm without gain and a mean."""
        n = cw.affine("n", x, h)
        spread = n - cw.mean_units(n)
        m = spread / cw.sqrt(cw.mean_units(spread**2))
        h = cw.softplus(n) + m + cw.mean_units(h)
        return h

    assert {"softplus", "norm", "mean"} <= set(Picture(cw.look.diagram(real)).words)

    @cw.cell(state="h")
    def seeming(x, h):
        """What begins like a softplus, and what begins like norms."""
        n = cw.affine("n", x, h)
        centred = n - cw.mean_units(n)
        p = centred / cw.sqrt(2.0) + centred / cw.sqrt(cw.mean_units(n**2) + 1e-5)
        q = (n - cw.mean_units(n) / 2) / cw.sqrt(cw.mean_units(centred**2) + 1e-5)
        h = cw.maximum(n, 5.0) + cw.log1p(cw.exp(n * h)) + p + q
        return h

    words = Picture(cw.look.diagram(seeming)).words
    assert not {"softplus", "norm"} & set(words)
    assert {"max 5", "log1p", "√"} <= set(words)


def test_numbers_and_times_that_become_states_are_written():
    @cw.cell(state=("h", "c", "n", "k"))
    def told(x, h, c, n, k, t):
        """States that nothing but numbers and the time give."""
        o = cw.tanh(cw.affine("o", x, h, c, n, k))
        return cw.exp(-0.1 * t) * o, 0.5 + 0 * t, cw.per_unit([1, 2]), t * 0.1

    @cw.cell(state="h")
    def constant(x, h):
        """The same at every step."""
        h = 0.5
        return h

    assert Picture(cw.look.diagram(constant)).words == ["0.5", "ht"]
    parts = drawn(told)
    assert parts["c", ""] == {("", "+0.5", False)}
    assert parts["n", ""] == {("", "[1, 2]", False)}
    assert parts["×0.1", "k"] == {("", "t", False)}
    assert ("exp(-0.1 ⊙ t)", "fixed") in parts


def test_short_numbers_are_written_in_full_and_long_ones_with_four_digits():
    @cw.cell(state="h")
    def numbers(x, h):
        """Six digits, five, and all that there are; and a number that is subtracted twice."""
        h = (cw.tanh(cw.affine("a", x, h)) * 0.123456 * 12345 / 3**0.5 - (-0.25)) * 1e-7
        return h

    words = Picture(cw.look.diagram(numbers)).words
    assert {"×0.123456", "×12345", "÷1.732", "+0.25", "×1e−07"} <= set(words)


@pytest.mark.parametrize("name", GRAPHS)
def test_no_value_branches_off_where_it_is_scaled(name):
    scaled, plain = set(), set()
    for line in route(place(contract(GRAPHS[name]))).lines:
        if line.branches and not line.wire.scaled:
            assert (line.source, line.points[0]) not in scaled - plain
        (scaled if line.wire.scaled else plain).update((line.source, p) for p in line.points)
    assert plain


def test_a_value_may_enter_an_operation_twice():
    @cw.cell(state="h")
    def doubled(x, h):
        """a + a, a < a, a * a."""
        a = cw.affine("a", x, h)
        b = cw.where(a < a, a + a, a * a)
        h = b + h
        return h

    assert faults(cw.look.diagram(doubled)) == []
    parts = {part.text: part for part in contract(doubled.graph)}
    assert [len(parts[text].wires) for text in ("<", "if", "x²")] == [2, 3, 1]


def test_equal_equations_give_equal_pictures():
    code = "import cellwright as cw; print(cw.look.diagram('slstm') + cw.look.diagram('lstm'))"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert printed.rstrip("\n") == cw.look.diagram("slstm") + cw.look.diagram("lstm")


def test_a_file_brings_its_own_ink_and_a_page_gives_its():
    assert "prefers-color-scheme" in cw.look.diagram("gru", standalone=True)
    assert "<style>" not in cw.look.diagram("gru")
    assert "currentColor" in cw.look.diagram("gru")


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(CellError, match="Did you mean 'gru'"):
        cw.look.diagram("grru")

    @cw.cell(state="h")
    def endless(x, h):
        """Two hundred layers in a step."""
        for number in range(200):
            h = cw.tanh(cw.affine(f"h{number}", h))
        return h

    with pytest.raises(CellError, match=r"too many for a picture|too large for a picture"):
        cw.look.diagram(endless)

    @cw.cell(state="h")
    def deep(x, h):
        """A thousand roots."""
        for _ in range(1000):
            h = cw.sin(h)
        return h

    with pytest.raises(CellError, match="too large for a picture"):
        cw.look.diagram(deep)
