"""Which biases keep and which write, told by the equations and not by their names."""

import pytest

import cellwright as cw
from cellwright.cells import transform
from cellwright.nn.gates import Gates, find_gates


def gates(cell, **options):
    made = cw.cells.get(cell)
    return find_gates((made(**options) if options else made).graph)


@pytest.mark.parametrize(
    ("cell", "state", "keeping", "writing"),
    [
        ("lstm", "c", "f", "i"),
        ("peephole_lstm", "c", "f", "i"),
        ("niaf_lstm", "c", "f", "i"),
        ("fgr_lstm", "c", "f", "i"),
        ("depth_gated_lstm", "c", "f", "di"),
        ("nig_lstm", "c", "f", ""),
        ("cifg_lstm", "c", "", "i"),
        ("coupled_lstm", "c", "f", ""),
        ("gru", "h", "z", ""),
        ("gru_reset_before", "h", "z", ""),
        ("mgu", "h", "", "f"),
        ("mut1", "h", "", "z"),
        ("light_gru", "h", "z", ""),
        ("ran", "c", "f", "i"),
        ("min_lstm", "h", "f", "i"),
        ("min_gru", "h", "", "z"),
        ("sru", "c", "f", ""),
        ("janet", "h", "f", ""),
    ],
)
def test_cells_of_the_literature(cell, state, keeping, writing):
    expected = [tuple(f"{gate}_bias" for gate in names) for names in (keeping, writing)]
    assert gates(cell) == (Gates(state, *expected),)


@pytest.mark.parametrize("cell", ["elman", "elman_relu", "indrnn", "nfg_lstm", "lstm_1997"])
def test_cells_that_decide_nothing(cell):
    assert gates(cell) == ()


def test_of_an_exponential_gate_no_bias_says_how_long_it_remembers():
    found = gates("slstm", forget="sigmoid")
    assert {g.state for g in found} == {"c", "n"}
    assert all((g.keeping, g.writing) == (("f_bias",), ("i_bias",)) for g in found)
    assert gates("slstm", forget="exponential") == ()


def test_names_do_not_matter():
    @cw.cell(state=("m", "y"))
    def renamed(x, m, y):
        """An LSTM in other words, its memory first, one gate turned round."""
        content = cw.tanh(cw.affine("f", x, y))
        erase = 1 / (1 + cw.exp(-cw.affine("z", x, y)))
        let_in = 0.5 * (1 + cw.tanh(cw.affine("o", x, y)))
        m = m - erase * m + let_in * content
        y = cw.tanh(m) * cw.sigmoid(cw.affine("i", x, y))
        return m, y

    assert find_gates(renamed.graph) == (Gates("m", (), ("z_bias", "o_bias")),)


def test_zoneout_and_recurrent_dropout_change_nothing():
    graph = transform.recurrent_dropout(cw.cells.lstm.graph, 0.2)
    assert find_gates(transform.zoneout(graph, 0.3)) == gates("lstm")


def test_of_two_biases_of_one_gate_the_first_counts():
    @cw.cell(state="h")
    def doubled(x, h):
        """Both affine maps have a bias; a third stands before a normalisation."""
        k = cw.layer_norm("k", cw.affine("k_in", x)) + cw.affine("l", h)
        z = cw.sigmoid(k)
        h = z * h + (1 - z) * cw.tanh(cw.affine("n", x))
        return h

    assert find_gates(doubled.graph) == (Gates("h", ("k_bias",), ()),)


def test_content_is_no_gate():
    @cw.cell(state="h")
    def contents(x, h):
        """What is let in is positive, or between 0 and 1 itself."""
        f = cw.sigmoid(cw.affine("f", x, h))
        g = cw.relu(cw.affine("g", x))
        p = cw.sigmoid(cw.affine("p", x)) * cw.sigmoid(cw.affine("q", x))
        h = f * h + g + p
        return h

    assert find_gates(contents.graph) == (Gates("h", ("f_bias",), ()),)


@pytest.mark.parametrize("steps", [30, 400])
def test_a_state_may_go_many_small_steps_straight_on(steps):
    """Each step reads the one before twice: the ways through them are more than can be counted."""

    @cw.cell(state="h")
    def small_steps(x, h):
        i = cw.sigmoid(cw.affine("i", x))
        f = cw.sigmoid(cw.affine("f", x))
        u = cw.affine("u", x)
        for _ in range(steps):
            h = h + i * (0.01 * f * (u - h))
        return h

    assert find_gates(small_steps.graph) == (Gates("h", (), ("i_bias", "f_bias")),)


def test_what_a_gate_alone_adds_is_content_behind_what_is_none():
    @cw.cell(state=("h", "c"))
    def behind(x, h, c):
        """A gate that is added before the memory is weighed, with a gate or with something else."""
        f, i, p, q = (cw.sigmoid(cw.affine(name, x)) for name in "fipq")
        h = f * (f * h + i)
        c = p * (c + q) / (1 + cw.relu(cw.affine("n", x)))
        return h, c

    assert find_gates(behind.graph) == (
        Gates("h", ("f_bias",), ()),
        Gates("c", ("p_bias",), ("n_bias", "q_bias")),
    )
