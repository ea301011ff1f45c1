"""Squashing functions and cells of other libraries, against torch's own functions."""

import pytest
import torch
import torch.nn.functional as F

import cellwright as cw
from cellwright.exchange.activations import FUNCTIONS, SIGMOID, TANH, Activation
from cellwright.exchange.equations import elman_cell, gru_cell, lstm_cell

THEIRS = {
    "elu": F.elu,
    "exponential": torch.exp,
    "hard_shrink": F.hardshrink,
    "hard_sigmoid": lambda x: (0.25 * x + 0.5).clamp(0, 1),
    "hard_silu": F.hardswish,
    "hard_tanh": F.hardtanh,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.25),
    "line": lambda x: 0.25 * x + 0.5,
    "linear": lambda x: x,
    "log_sigmoid": F.logsigmoid,
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "mish": F.mish,
    "relu": F.relu,
    "relu6": F.relu6,
    "scaled_tanh": lambda x: 0.25 * torch.tanh(0.5 * x),
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "soft_shrink": F.softshrink,
    "softmax": lambda x: F.softmax(x, -1),
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "softsign": F.softsign,
    "sparse_plus": lambda x: torch.where(x >= 1, x, torch.where(x <= -1, 0, (x + 1) ** 2 / 4)),
    "squareplus": lambda x: (x + (x**2 + 4).sqrt()) / 2,
    "tanh": torch.tanh,
    "tanh_shrink": F.tanhshrink,
    "thresholded_relu": lambda x: F.threshold(x, 0.25, 0.0),
}
NUMBERS = {
    "hard_sigmoid": (0.25, 0.5),
    "leaky_relu": (0.25,),
    "line": (0.25, 0.5),
    "scaled_tanh": (0.25, 0.5),
    "thresholded_relu": (0.25,),
}
FINITE = sorted(FUNCTIONS.keys() - {"exponential"})
SHARES = [1 / (2 + number) for number in range(len(FINITE))]

# Small and so large that an exponential overflows; away from the kinks, where slopes differ.
X = torch.tensor([[-900.0, -7.3, -2.1, -0.7, -0.2, 0.3, 0.8, 2.2, 6.7, 40.0]]).double()


def applied(cell, x, backend):
    """What a cell without a past makes of its input, unit by unit."""
    units = x.shape[1]
    net = cw.Recurrent(cell, units, units, dtype=x.dtype, backend=backend)
    with torch.no_grad():
        net.layer0.h_x.copy_(torch.eye(units))
        net.layer0.h_h.zero_()
        net.layer0.h_bias.zero_()
    return net(x.unsqueeze(1))[0].squeeze(1)


def compared(cell, theirs, backend, far):
    x = torch.cat([X, torch.full_like(X[:, :1], far)], 1).requires_grad_()
    weights = torch.linspace(-1, 1, x.shape[1], dtype=x.dtype)
    results = [applied(cell, x, backend), theirs(x)]
    slopes = [torch.autograd.grad((weights * y).sum(), x)[0] for y in results]
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_slopes(name):
    cell = elman_cell(Activation(name, NUMBERS.get(name, ())))
    compared(cell, THEIRS[name], "reference", far=50.0 if name == "exponential" else 900.0)


@cw.cell(state="h")
def all_of_them(x, h):
    value = cw.affine("h", x, h)
    terms = [Activation(name, NUMBERS.get(name, ()))(value) for name in FINITE]
    h = sum(share * term for share, term in zip(SHARES, terms, strict=True))
    return h


@pytest.mark.slow
def test_values_and_slopes_compiled():
    def theirs(x):
        return sum(share * THEIRS[name](x) for share, name in zip(SHARES, FINITE, strict=True))

    compared(all_of_them, theirs, "cpu", far=900.0)


def test_the_zoos_cells_where_they_are_meant():
    assert lstm_cell() is cw.cells.lstm
    assert lstm_cell(peepholes=True) is cw.cells.peephole_lstm
    assert lstm_cell(projected=True) is cw.cells.projected_lstm
    assert gru_cell() is cw.cells.gru
    assert gru_cell(reset_after=False) is cw.cells.gru_reset_before
    assert elman_cell() is cw.cells.elman
    assert elman_cell(Activation("relu")) is cw.cells.elman_relu
    for other in (lstm_cell(clip=1.0), lstm_cell(coupled=True), lstm_cell(TANH), gru_cell(TANH)):
        assert other.name.startswith("general")


@pytest.mark.parametrize("peepholes", [False, True])
def test_the_general_cell_computes_what_the_zoos_does(peepholes):
    same = Activation("scaled_tanh", (1.0, 1.0))  # other words for tanh
    cells = [lstm_cell(SIGMOID, squash, TANH, peepholes=peepholes) for squash in (same, TANH)]
    assert [cell.name.startswith("general") for cell in cells] == [True, False]
    ours, zoos = (cw.Recurrent(cell, 3, 5, backend="reference") for cell in cells)
    ours.load_state_dict(zoos.state_dict())
    x = torch.randn(2, 6, 3)
    torch.testing.assert_close(ours(x)[0], zoos(x)[0])


def test_without_bias():
    for cell in (lstm_cell(bias=False), gru_cell(TANH, bias=False), elman_cell(bias=False)):
        assert not any(name.endswith("_bias") for name in cell.graph.weights)
