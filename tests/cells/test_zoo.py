"""The zoo: what a user can ask of every cell."""

import json
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.cells import transform
from cellwright.errors import CellError, CellwrightError, GraphError

NAMES = cw.cells.names()


def test_the_first_cells_are_there():
    assert {"elman", "elman_relu", "lstm", "peephole_lstm", "gru", "gru_reset_before"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_knows_its_name_summary_and_source(name):
    cell = cw.cells.get(name)
    assert cell.name == name
    assert cell is getattr(cw.cells, name) is cw.cells.get(cell)
    assert cell.summary.endswith(".")
    assert any(year in cell.__doc__ for year in map(str, range(1980, 2027)))


@pytest.mark.parametrize("name", NAMES)
def test_the_parameter_formula_counts_right(name):
    cell = cw.cells.get(name)
    sizes = {size: 3 for size in ("proj", "output") if size in cell.graph.symbols}
    net = cw.Recurrent(cell, 5, 8, sizes=sizes)
    formula = cell.parameter_formula.replace("·", "*").replace("²", "**2")
    expected = eval(formula, {}, {"I": 5, "H": 8, "proj": 3, "output": 3})
    assert sum(p.numel() for p in net.parameters()) == expected


def test_formulas_of_the_textbooks():
    assert cw.cells.lstm.parameter_formula == "4·(H·(I + H) + H)"
    assert cw.cells.elman.parameter_formula == "H·(I + H) + H"
    assert cw.cells.peephole_lstm.parameter_formula == "4·H·(I + H) + 7·H"


def test_an_unknown_cell_is_named_with_the_closest():
    with pytest.raises(CellError, match="Did you mean 'lstm'"):
        cw.cells.get("lstmm")
    with pytest.raises(CellError, match="Did you mean 'gru'"):
        cw.cells.get("GRU")
    with pytest.raises(CellError, match="not int"):
        cw.cells.get(3)
    with pytest.raises(AttributeError, match="no cell 'lstmm'"):
        _ = cw.cells.lstmm


def test_a_cell_travels_without_its_source():
    @cw.cell(state="h")
    def mine(x, h, *, rate=0.5):
        """Mine alone."""
        h = rate * h + cw.affine("h", x)
        return h

    again = pickle.loads(pickle.dumps(mine))
    assert again == mine
    assert again.options == {"rate": 0.5}
    assert again.equations == mine.equations
    assert again.summary == "Mine alone."
    with pytest.raises(CellError, match="loaded as data"):
        again(rate=0.1)


def test_graphs_are_equal_across_processes():
    code = (
        "import json, cellwright as cw; from cellwright.ir import to_json;"
        "print(json.dumps([to_json(cw.cells.get(n).graph) for n in cw.cells.names()]))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    from cellwright.ir import from_json

    assert [from_json(data) for data in json.loads(printed)] == [
        cw.cells.get(name).graph for name in NAMES
    ]


@pytest.mark.parametrize("name", NAMES)
def test_regularisers_apply_to_every_cell(name):
    graph = cw.cells.get(name).graph
    assert transform.zoneout(graph, 0) is transform.recurrent_dropout(graph, 0) is graph
    zoned = transform.zoneout(graph, 0.2)
    drawn = {leaf.name for leaf in zoned.leaves("bernoulli")}
    assert drawn == {f"zoneout_{state}" for state in graph.state_sizes}
    products = [value for value in graph.leaves("matmul") if value.inputs[1].op == "state"]
    entering = {f"recurrent_dropout_{product.inputs[1].name}" for product in products}
    if entering:
        dropped = transform.recurrent_dropout(graph, 0.2)
        assert {leaf.name for leaf in dropped.leaves("bernoulli")} >= entering
    else:
        with pytest.raises(CellError, match="no state of cell"):
            transform.recurrent_dropout(graph, 0.2)


def test_recurrent_dropout_reaches_a_state_behind_a_gate():
    dropped = transform.recurrent_dropout(cw.cells.gru_reset_before.graph, 0.2)
    into_n = next(v for v in dropped.leaves("matmul") if v.inputs[0].name == "n_rh")
    gate, dropped_state = into_n.inputs[1].inputs
    assert gate.op == "sigmoid"
    assert [source.op for source in dropped_state.inputs] == ["div", "state"]


@pytest.mark.parametrize("name", NAMES)
def test_without_bias_nothing_is_added(name):
    weights = transform.without_bias(cw.cells.get(name).graph).weights
    assert not [w for w in weights.values() if w.attributes.get("role") == "bias"]
    assert [w for w in weights.values() if w.op == "matrix"]


def test_peepholes_of_any_subset_of_the_gates():
    weights = cw.cells.peephole_lstm(peepholes="io").graph.weights
    assert [name for name in weights if name.endswith("peep")] == ["i_peep", "o_peep"]
    assert cw.cells.peephole_lstm(peepholes="").graph.weights == cw.cells.lstm.graph.weights


def test_options_may_be_numbers_of_numpy_and_what_is_read_once():
    wanted = cw.cells.clockwork(periods=(1, 2, 2**53 - 1))
    for periods in (np.array([1, 2, 2**53 - 1]), [1, np.int64(2), 2.0**53 - 1]):
        assert cw.cells.clockwork(periods=periods) == wanted
    assert cw.cells.clockwork(periods=np.array([1, 2])).options == {"periods": [1, 2]}
    peepholes = cw.cells.peephole_lstm(peepholes=iter("io"))
    assert peepholes == cw.cells.peephole_lstm(peepholes="io")
    assert peepholes.options == {"peepholes": ("i", "o")}
    assert peepholes != cw.cells.peephole_lstm(peepholes="")


def test_options_that_make_no_sense_are_refused_in_the_author_s_words():
    for cell, options, words in (
        ("peephole_lstm", {"peepholes": "ix"}, "a peephole for 'x'"),
        ("clockwork", {"periods": (4, 2)}, "whole numbers from 1 up that grow"),
        ("clockwork", {"periods": (1, 1.5)}, "whole numbers from 1 up that grow"),
        ("clockwork", {"periods": "124"}, r"such as \(1, 2, 4, 8\), and below 2\*\*53; not '124'"),
        ("clockwork", {"periods": None}, r"such as \(1, 2, 4, 8\), and below 2\*\*53; not None"),
        ("clockwork", {"periods": ()}, "whole numbers from 1 up that grow"),
        ("clockwork", {"periods": (1, True)}, "whole numbers from 1 up that grow"),
        ("clockwork", {"periods": (1, 2**53 + 1)}, "not .*9007199254740993"),
        ("clockwork", {"periods": (1, 10**400)}, "whole numbers from 1 up that grow"),
        ("peephole_lstm", {"peepholes": {"i": False}}, "names the gates that look, as 'ifo' does"),
        ("peephole_lstm", {"peepholes": None}, "names the gates that look, as 'ifo' does"),
        ("peephole_lstm", {"peepholes": True}, "names the gates that look, as 'ifo' does"),
        ("slstm", {"forget": "linear"}, "'sigmoid' or 'exponential', not 'linear'"),
        ("slstm", {"heads": 0}, "heads must be a whole number from 1 up, not 0"),
        ("slstm", {"heads": "2"}, "heads must be a whole number from 1 up, not '2'"),
        ("slstm", {"heads": True}, "heads must be a whole number from 1 up, not True"),
        ("slstm", {"heads": 2.0}, "heads must be a whole number from 1 up, not 2.0"),
        ("lstm", {"peepholes": "i"}, "has no option 'peepholes'"),
    ):
        with pytest.raises(CellError, match=words) as caught:
            cw.cells.get(cell)(**options)
        assert "raise" not in str(caught.value)


@pytest.mark.parametrize(("heads", "units", "take"), [(3, 4, "3 or 6"), (4, 3, "4")])
def test_heads_of_an_slstm_are_equal(heads, units, take):
    cell = cw.cells.slstm(heads=heads)
    words = f"cell 'slstm': {units} units cannot be cut into {heads} equal groups.*; take {take}"
    with pytest.raises(GraphError, match=words):
        cw.Recurrent(cell, 2, units)
    assert cw.Recurrent(cell, 2, heads * 2)


def test_blocks_of_one_s_own_may_be_uneven():
    @cw.cell(state="h")
    def blocked(x, h):
        """Units that see those of their block."""
        h = cw.tanh(cw.affine("h", x) + cw.affine("h", h, bias=None, mask=("block_diagonal", 3)))
        return h

    learned = cw.Recurrent(blocked, 2, 4).layer0.h_h != 0
    assert learned.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    with pytest.raises(CellwrightError, match="3 blocks need as many units, not 2"):
        cw.Recurrent(blocked, 2, 2)


def test_heads_of_an_slstm_see_themselves_alone():
    weights = cw.cells.slstm(heads=np.int64(4)).graph.weights
    masks = {name: weight.attributes.get("mask") for name, weight in weights.items()}
    assert {masks[f"{gate}_h"] for gate in "ifzo"} == {("block_diagonal", 4)}
    assert {masks[f"{gate}_x"] for gate in "ifzo"} == {None}


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("forget", ["sigmoid", "exponential"])
def test_an_slstm_reads_numbers_of_any_size(forget, backend):
    torch.manual_seed(0)
    net = cw.Recurrent(
        cw.cells.slstm(forget=forget), 28, 16, backend=backend, learn_initial_state=True
    )
    x = torch.randint(0, 256, (4, 9, 28)).float().requires_grad_()  # grey values, as they are
    y, state = net(x)
    assert y.abs().max() <= 1
    y.sum().backward()
    for value in (*state[0].values(), x.grad, *(weight.grad for weight in net.parameters())):
        assert value.isfinite().all()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_an_slstm_s_first_output_does_not_depend_on_its_input_gate(backend):
    nothing = dict.fromkeys(("input", "recurrent", "bias"), "zeros")
    net = cw.Recurrent("slstm", 1, 1, backend=backend, initialization=nothing)
    layer, x = net.layer0, torch.zeros(1, 3, 1)
    with torch.no_grad():
        layer.z_bias.fill_(1.0)
        for closed in (-1.0, -110.0, -1e30):
            layer.i_bias.fill_(closed)
            _, state = net(x[:, :1])
            assert [state[0][name].item() for name in "nm"] == [1.0, pytest.approx(closed)]
            expected = torch.full((1, 3, 1), 0.5 * math.tanh(1.0))
            torch.testing.assert_close(net(x)[0], expected)


def test_a_depth_gate_lets_the_memory_below_through():
    torch.manual_seed(0)
    net = cw.Recurrent("depth_gated_lstm", 3, [4, 4], backend="reference", dtype=torch.float64)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    tape = cw.record(net, x)
    lower, upper, w = tape[0], tape[1], net.layer1
    before = torch.cat([torch.zeros(2, 1, 4, dtype=torch.float64), upper["c"][:, :-1]], 1)
    d = torch.sigmoid(lower["h"] @ w.d_x.T + w.d_bias + w.d_peep * before + w.d_below * lower["c"])
    c = d * lower["c"] + upper["f"] * before + upper["i"] * upper["g"]
    torch.testing.assert_close(upper["c"], c.detach(), rtol=0, atol=1e-12)
