"""What `explain` says of a cell, held against numbers from elsewhere."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.errors import CellError, SettingError

NAMES = cw.cells.names()


def sizes_of(name):
    return dict.fromkeys(cw.cells.get(name).graph.symbols, 4)


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_explained(name):
    cell = cw.cells.get(name)
    found = cw.explain(name, 6, 8, sizes_of(name))
    text = str(found)
    for fact in (cell.name, cell.equations, cell.parameter_formula, cell.graph.summary.strip()):
        assert fact in text
    assert found.summary == cell.summary
    assert found.citation
    assert found.citation in cell.__doc__
    assert found.parameter_count == cell.count_parameters(6, 8, sizes_of(name))
    assert f"= {found.parameter_count:,} for I = 6, H = 8" in text
    assert found.latex in found._repr_html_().replace("&lt;", "<").replace("&amp;", "&")
    assert "<svg" in found._repr_html_()
    work = json.loads(json.dumps(found.facts()))["work"]
    assert work["multiply_adds"] >= (47 if work["averaged"] else 6 * 8)  # units of clockwork rest


@pytest.mark.parametrize("name", NAMES)
def test_gates_lie_between_0_and_1_whatever_the_weights(name):
    """And they move, so that it is no constant that passes."""
    torch.manual_seed(0)
    found = cw.explain(name)
    net = cw.Recurrent(name, 4, 8, sizes=sizes_of(name), backend="reference")
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(0, 3)
    tape = cw.record(net, 3 * torch.randn(5, 9, 4))[0]
    for gate in found.gates:
        values = tape[gate].nan_to_num(0.5)
        assert values.min() >= 0
        assert values.max() <= 1
        assert values.max() - values.min() > 0.2 or values.shape[-1] == 1


def test_gates_are_found_in_the_graph_and_not_by_name():
    assert cw.explain("lstm").gates == {"i": ("gₜ",), "f": ("cₜ₋₁",), "o": ("tanh(cₜ)",)}
    assert cw.explain("gru").gates == {"r": ("mₜ",), "z": ("hₜ₋₁", "nₜ")}
    assert cw.explain("elman").gates == {}

    @cw.cell(state="h")
    def disguised(x, h):
        """Gates and what only looks like one."""
        gate = cw.tanh(cw.affine("gate", x))
        open_ = 1 - cw.sigmoid(cw.affine("o", x, h))
        decay = cw.exp(-cw.relu(cw.affine("d", x)))
        unused = cw.sigmoid(cw.affine("u", x))
        halved = 0.5 * cw.sigmoid(cw.affine("b", x))
        h = open_ * gate + decay * h + unused + halved
        return h

    assert set(cw.explain(disguised).gates) == {"open_", "decay"}


def test_a_share_is_a_gate_only_where_nothing_is_negative():
    @cw.cell(state="h")
    def shares(x, h):
        """Two shares of a sum, one of numbers of any sign."""
        a, b = cw.affine("a", x), cw.affine("b", x)
        i, f = cw.exp(a), cw.exp(b)
        share = i / (i + f)
        other = a / (a + b)
        h = share * h + other * b
        return h

    assert cw.explain(shares).gates == {"share": ("hₜ₋₁",)}


def test_a_softmax_over_the_units_is_a_gate():
    @cw.cell(state="h")
    def chooses(x, h):
        """Shares of all units, and what is in the same place without being one."""
        a = cw.affine("a", x, h)
        e = cw.exp(a - cw.max_units(a))
        share = e / cw.sum_units(e)
        other = a / cw.sum_units(a)
        h = share * h + other * a + e * cw.affine("b", x)
        return h

    gates = cw.explain(chooses).gates
    assert gates == {"share": ("hₜ₋₁",), "e": ("W_bx xₜ + b_b",)}


def test_a_gate_may_be_cut_off_or_moved_into_its_range():
    @cw.cell(state="h")
    def cut(x, h):
        """Ramps and a tanh between 0 and 1, and their like that leave it."""
        ramp = cw.minimum(cw.maximum(cw.affine("r", x), 0.0), 1.0)
        slope = cw.maximum(cw.minimum(0.2 * cw.affine("s", x) + 0.5, 1), 0)
        moved = 0.5 * (cw.tanh(cw.affine("m", x)) + 1)
        halved = (1 - cw.sin(cw.affine("n", x))) / 2
        square = cw.tanh(cw.affine("q", x)) ** 2
        wide = cw.minimum(cw.maximum(cw.affine("w", x), 0.0), 2.0)
        low = cw.minimum(cw.affine("l", x), 1.0)
        off = 0.5 * (cw.tanh(cw.affine("o", x)) + 1.5)
        inner = cw.affine("u", x)
        h = ramp * h + slope * h + moved * h + halved * h + square * h
        h = h + wide * inner + low * inner + off * inner
        return h

    assert set(cw.explain(cut).gates) == {"ramp", "slope", "moved", "halved", "square"}


def test_work_is_that_of_the_matrices():
    inputs, units = 28, 128
    lstm = cw.explain("lstm", inputs, units).work
    assert lstm.multiply_adds == 4 * units * (inputs + units)
    assert lstm.hoisted_multiply_adds == 4 * units * inputs
    assert lstm.training_multiply_adds == 3 * lstm.multiply_adds
    # Four biases, four functions, two products and a sum, then the tanh and a product.
    assert lstm.pointwise == 13 * units
    light = cw.explain("min_gru", inputs, units).work
    assert light.multiply_adds == light.hoisted_multiply_adds == 2 * units * inputs


def test_work_outside_the_loop_is_told_apart():
    @cw.cell(state="h")
    def embedded(x, h):
        """Two layers of the input, then the loop."""
        d = cw.relu(cw.affine("d", cw.tanh(cw.affine("e", x, size=7))))
        h = cw.tanh(cw.affine("h", d, h))
        return h

    work = cw.explain(embedded, 6, 9).work
    assert work.multiply_adds == 7 * 6 + 9 * 7 + 9 * (9 + 9)
    assert work.hoisted_multiply_adds == work.multiply_adds - 9 * 9
    # A bias and a function for either layer.
    assert work.hoisted_pointwise == 2 * 7 + 2 * 9
    assert work.pointwise == work.hoisted_pointwise + 2 * 9


@pytest.mark.parametrize(
    ("kind", "kept"), [("block_diagonal", 4), ("block_lower", 10), ("block_upper", 10)]
)
def test_work_counts_what_a_mask_keeps(kind, kept):
    @cw.cell(state="h")
    def masked(x, h):
        """Four groups of units."""
        h = cw.tanh(cw.affine("x", x) + cw.affine("h", h, bias=None, mask=(kind, 4)))
        return h

    assert cw.explain(masked, 3, 8).work.multiply_adds == 3 * 8 + kept * 2 * 2


def test_work_leaves_out_what_rests():
    cell = cw.cells.clockwork(periods=(1, 3))
    a_step = 4 * (2 + 8) + 4 * (2 + 4) * 334 / 1000  # of 1,000 steps, 334 begin with the slow ones
    work = cw.explain(cell, 2, 8).work
    assert work.averaged
    assert work.multiply_adds == round(a_step)
    assert work.training_multiply_adds == round(3 * a_step)
    assert work.hoisted_multiply_adds == round(4 * 2 + 4 * 2 * 334 / 1000)
    assert "on average, because units rest" in str(cw.explain(cell, 2, 8))
    assert not cw.explain("lstm", 2, 8).work.averaged


def test_a_mask_is_told_beside_the_equations():
    clockwork = cw.explain("clockwork")
    told = "masks       W_hh: of 4 × 4 blocks only those on and above the diagonal\n"
    assert told in str(clockwork)
    assert clockwork.masks == {"h_h": ("block_upper", 4)}
    assert clockwork.facts()["masks"] == {"h_h": ["block_upper", 4]}
    heads = cw.explain(cw.cells.slstm(heads=2))
    told = "W_ih, W_fh, W_zh, W_oh: of 2 × 2 blocks only those on the diagonal"
    assert ("masks", told) in heads.rows()
    assert "masks" not in dict(cw.explain("lstm").rows())
    assert cw.explain("lstm").facts()["masks"] == {}


def test_the_index_of_the_step_is_carried_too():
    for width in (4, 8):
        memory = cw.explain("clockwork", 3, 8, bytes_per_number=width).memory
        assert memory.carried == {"h": 8, "t": 1}
        assert memory.carried_bytes == 8 * width + 8
    net = cw.Recurrent("clockwork", 3, 8)
    state = net(torch.zeros(1, 2, 3))[1][0]
    assert sum(value.nbytes for value in state.values()) == 8 * 4 + 8


def test_what_has_no_name_is_counted_like_the_rest():
    assert "(1 array without a name: 8)" in str(cw.explain("clockwork", 3, 8))
    assert ", o 8, 1 array without a name: 8)" in str(cw.explain("slstm", 3, 8))


def test_memory_is_what_is_carried_and_kept():
    memory = cw.explain("lstm", 28, 128).memory
    assert memory.carried == {"h": 128, "c": 128}
    assert memory.carried_bytes == 1024
    assert memory.kept == dict.fromkeys("cfigo", 128)
    assert memory.kept_bytes == 5 * 128 * 4
    assert cw.explain("lstm", 28, 128, bytes_per_number=8).memory.kept_bytes == 5 * 128 * 8
    assert cw.explain("elman", 28, 128).memory.kept == {}


def test_without_sizes_there_are_formulas_and_no_numbers():
    found = cw.explain("projected_lstm")
    assert found.states == {"h": "proj", "c": "hidden"}
    numbers = ("sizes", "parameters", "parameter_count", "left_out", "learned_count", "work")
    assert [getattr(found, name) for name in (*numbers, "memory")] == [None] * 7
    assert "parameters  4·H·I + 5·H·proj + 4·H" in str(found)
    assert "multiply-adds" not in str(found)


def test_torch_is_not_needed():
    code = (
        "import sys, cellwright as cw; print(cw.explain('lstm', 3, 4)); "
        "cw.look.diagram('lstm'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-X", "utf8", "-c", code], check=True, capture_output=True)


def test_mistakes_are_named():
    with pytest.raises(CellError, match="Did you mean 'lstm'"):
        cw.explain("lstmm")
    with pytest.raises(SettingError, match="give hidden_size too"):
        cw.explain("lstm", 3)
    with pytest.raises(SettingError, match="give input_size too"):
        cw.explain("projected_lstm", sizes={"proj": 3})
    with pytest.raises(SettingError, match="'proj'"):
        cw.explain("projected_lstm", 3, 4)
    for biases in (0, True, 2.0, "2"):
        for sizes in ((), (3, 4)):
            with pytest.raises(SettingError, match=f"biases must be 1 or 2, not {biases!r}"):
                cw.explain("lstm", *sizes, biases=biases)
    for width in (0, -4, "4", 2.5, True):
        with pytest.raises(SettingError, match=f"bytes_per_number must be .*, not {width!r}"):
            cw.explain("lstm", 3, 4, bytes_per_number=width)


def test_numbers_of_numpy_are_plain_numbers():
    found = cw.explain("lstm", 3, 4, biases=np.int64(2), bytes_per_number=np.int64(8))
    assert json.loads(json.dumps(found.facts()))["biases"] == 2


def test_a_cell_too_large_for_a_picture_is_shown_without():
    @cw.cell(state="h")
    def long(x, h):
        """Many operations in a row."""
        h = cw.affine("h", x, h)
        for _ in range(100):
            h = cw.tanh(h) * 0.5
        return h

    found = cw.explain(long)
    with pytest.raises(CellError, match="print its equations"):
        _ = found.diagram
    page = found._repr_html_()
    assert "<svg" not in page
    assert "H·(I + H) + H" in page
    assert r"\begin{aligned}" in page
