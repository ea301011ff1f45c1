"""Counts of parameters: formulas, numbers, torch's, and those printed in a paper."""

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright import affine, sigmoid
from cellwright.errors import GraphError, SettingError
from cellwright.nn.counting import count_learned

NAMES = cw.cells.names()
OWN = 3


def own_sizes(cell):
    return dict.fromkeys(cell.graph.symbols, OWN)


@pytest.mark.parametrize("name", NAMES)
def test_formula_number_and_network_agree(name):
    cell = cw.cells.get(name)
    sizes = own_sizes(cell)
    formula = cell.parameter_formula.replace("·", "*").replace("²", "**2")
    counted = cell.count_parameters(5, 8, sizes)
    assert counted == eval(formula, {}, {"I": 5, "H": 8, **sizes})
    net = cw.Recurrent(cell, 5, 8, sizes=sizes)
    assert counted == sum(weight.numel() for weight in net.parameters())


@pytest.mark.parametrize(
    ("own", "inputs", "units"),
    [
        ({"H": 3, "I": 2}, "input", "hidden"),
        ({"H": 3, "proj": 2}, "I", "hidden"),
        ({"I": 3, "proj": 2}, "input", "H"),
    ],
)
def test_no_letter_of_a_formula_stands_for_two_sizes(own, inputs, units):
    first, second = own

    @cw.cell(state="h")
    def sized(x, h):
        """Two sizes of its own, called as those of every cell are."""
        m = affine("m", x, h, size=first)
        n = affine("n", x, h, size=second)
        h = sigmoid(affine("h", x, m, h, n))
        return h

    formula = sized.parameter_formula
    assert f"{units}·({inputs} + {units})" in formula
    counted = eval(formula.replace("·", "*").replace("²", "**2"), {}, {inputs: 5, units: 8} | own)
    assert counted == sized.count_parameters(5, 8, own)
    rows = cw.explain(sized, 5, 8, own).rows()
    assert ("states", f"h ({units})") in rows
    assert any(f"for {inputs} = 5, {units} = 8, " in line for _, line in rows)


@pytest.mark.parametrize(("ours", "theirs"), [("lstm", "LSTM"), ("gru", "GRU"), ("elman", "RNN")])
def test_two_biases_are_torchs(ours, theirs):
    net = getattr(torch.nn, theirs)(5, 7)
    count = cw.cells.get(ours).count_parameters(5, 7, biases=2)
    assert count == sum(weight.numel() for weight in net.parameters())
    assert cw.cells.get(ours).count_parameters(5, 7) < count


def test_a_bias_beside_one_kind_of_matrix_stays_one():
    assert cw.cells.min_gru.count_parameters(3, 4, biases=2) == 2 * (4 * 3 + 4)


def test_the_character_model_of_65_letters():
    """Two layers of 128 units with torch's biases, and a linear readout: 240,321."""
    lstm = cw.cells.lstm
    layers = sum(lstm.count_parameters(size, 128, biases=2) for size in (65, 128))
    assert layers + (128 * 65 + 65) == 240_321
    net = torch.nn.ModuleList([torch.nn.LSTM(65, 128, 2), torch.nn.Linear(128, 65)])
    assert sum(weight.numel() for weight in net.parameters()) == 240_321


def squashed(value, high):
    return 2 * high * sigmoid(value) - high


def start(learned):
    return 0.0 if learned else None


@cw.cell(state=("y", "h", "c", "i", "o"))
def blocks_of_one(x, y, h, c, i, o, *, cell_bias=True, output_bias=True):
    """The networks of 1997, memory cell blocks of one cell, with their output layer.

    Cells and gates see the input and the whole hidden layer of the last step, gates included;
    the output layer sees the memory cells. H is the number of blocks.
    """
    new_i = sigmoid(affine("i", x, h, i, o))
    new_o = sigmoid(affine("o", x, h, i, o))
    g = squashed(affine("g", x, h, i, o, bias=start(cell_bias)), 2.0)
    c = c + new_i * g
    h = new_o * squashed(c, 1.0)
    y = sigmoid(affine("y", h, bias=start(output_bias), size="output"))
    return y, h, c, new_i, new_o


@cw.cell(state=("y", "h1", "h2", "c1", "c2", "i", "o"))
def blocks_of_two(x, y, h1, h2, c1, c2, i, o, *, cell_bias=True, output_bias=True):
    """The same with blocks of two cells, which share their gates."""
    new_i = sigmoid(affine("i", x, h1, h2, i, o))
    new_o = sigmoid(affine("o", x, h1, h2, i, o))
    g1 = squashed(affine("g1", x, h1, h2, i, o, bias=start(cell_bias)), 2.0)
    g2 = squashed(affine("g2", x, h1, h2, i, o, bias=start(cell_bias)), 2.0)
    c1 = c1 + new_i * g1
    c2 = c2 + new_i * g2
    h1 = new_o * squashed(c1, 1.0)
    h2 = new_o * squashed(c2, 1.0)
    y = sigmoid(affine("y", h1, h2, bias=start(output_bias), size="output"))
    return y, h1, h2, c1, c2, new_i, new_o


PAPER = [
    # Embedded Reber grammar, 7 symbols in and out: only the gates have a bias.
    (blocks_of_one(cell_bias=False, output_bias=False), 4, 7, 7, 264),
    (blocks_of_two(cell_bias=False, output_bias=False), 3, 7, 7, 276),
    # The two-sequence problem: cells and gates have a bias, the output unit has none.
    (blocks_of_one(output_bias=False), 3, 1, 1, 102),
    # Adding, and multiplication: two inputs, one output, all units have a bias.
    (blocks_of_two, 2, 2, 1, 93),
    # Temporal order, eight symbols: four classes of two, eight classes of three.
    (blocks_of_two, 2, 8, 4, 156),
    (blocks_of_two, 3, 8, 8, 308),
]


@pytest.mark.parametrize(("cell", "blocks", "inputs", "outputs", "weights"), PAPER)
def test_the_networks_of_1997(cell, blocks, inputs, outputs, weights):
    """Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997)."""
    assert cell.count_parameters(inputs, blocks, {"output": outputs}) == weights
    net = cw.Recurrent(cell, inputs, blocks, sizes={"output": outputs})
    assert sum(weight.numel() for weight in net.parameters()) == weights
    assert net(torch.zeros(1, 3, inputs))[0].shape == (1, 3, outputs)


@pytest.mark.parametrize(
    ("cell", "sizes", "learned"),
    [
        ("clockwork", (28, 128), 13_952),
        (cw.cells.slstm(heads=4), (6, 8), 4 * (8 * 6 + 8 + 4 * 2 * 2)),
        ("lstm", (6, 8), 4 * (8 * (6 + 8) + 8)),
        ("jordan", (6, 8), 8 * (6 + OWN) + 8 + OWN * 8 + OWN),
    ],
)
def test_what_a_mask_leaves_out_is_told_apart(cell, sizes, learned):
    torch.manual_seed(0)
    own = own_sizes(cw.cells.get(cell))
    net = cw.Recurrent(cell, *sizes, sizes=own, backend="reference", dtype=torch.float64)
    x = torch.randn(4, 16, sizes[0], dtype=torch.float64)
    # From states that were reached: from zeros, what scales sLSTM's memory and its normaliser alike
    # cancels, and the gradient of its input gate's bias is what roundings leave of it.
    with torch.no_grad():
        _, reached = net(x)
    net(x, reached)[0].square().sum().backward()
    assert sum(int((weight.grad != 0).sum()) for weight in net.parameters()) == learned
    assert count_learned(net) == learned
    found = cw.explain(cell, *sizes, own)
    assert found.learned_count == found.facts()["learned_count"] == learned
    assert found.parameter_count == sum(weight.numel() for weight in net.parameters())
    assert (f"{learned:,} without what masks leave out" in str(found)) == bool(found.left_out)
    net.layer0.requires_grad_(False)
    assert count_learned(net) == 0


def test_a_layer_that_cannot_be_built_is_not_counted():
    clockwork = cw.cells.clockwork
    words = r"10 units cannot be cut into 4 equal groups.*; take 8 or 12"
    for count in (clockwork.count_parameters, lambda *sizes: cw.explain(clockwork, *sizes)):
        with pytest.raises(GraphError, match=words):
            count(28, 10)
    with pytest.raises(GraphError, match=words):
        cw.Recurrent(clockwork, 28, 10)
    assert cw.explain(clockwork, np.int64(28), np.int64(12)).sizes == {"input": 28, "hidden": 12}


def test_what_cannot_be_counted_is_said():
    lstm, projected = cw.cells.lstm, cw.cells.projected_lstm
    with pytest.raises(SettingError, match=r"hidden_size must be a positive whole number, not 0"):
        lstm.count_parameters(3, 0)
    with pytest.raises(SettingError, match="input_size must be a positive whole number, not True"):
        lstm.count_parameters(True, 3)
    with pytest.raises(SettingError, match=r"a size 'proj' of its own; give sizes=\{'proj': …\}"):
        projected.count_parameters(3, 4)
    with pytest.raises(SettingError, match="no size 'prj'.*Did you mean 'proj'"):
        projected.count_parameters(3, 4, {"prj": 2})
    with pytest.raises(SettingError, match=r"sizes must be a mapping such as .*, not \[2\]"):
        projected.count_parameters(3, 4, [2])
    with pytest.raises(SettingError, match="biases must be 1 or 2, not 3"):
        lstm.count_parameters(3, 4, biases=3)
