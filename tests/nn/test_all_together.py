"""Every regulariser, start and connection at once, on every cell: values, gradients, streams."""

import pytest
import torch

import cellwright as cw
from cellwright.errors import CellError
from cellwright.nn.gates import find_gates
from cellwright.nn.weight_drop import recurrent_matrices

close = torch.testing.assert_close
WIDTH = 4


def every_cell(*quick):
    """All cells of the zoo; those that are not named count as slow."""
    slow = pytest.mark.slow
    return [n if n in quick else pytest.param(n, marks=slow) for n in cw.cells.names()]


def everything(name, backend, **more):
    """A stack with every option that this cell can take."""
    torch.manual_seed(0)
    cell = cw.cells.get(name)
    options = {
        "sizes": dict.fromkeys(cell.graph.symbols, WIDTH),
        "dropout": 0.3,
        "zoneout": 0.2,
        "recurrent_dropout": 0.25,
        "learn_initial_state": True,
        "connections": "residual",
        "backend": backend,
        "dtype": torch.float64,
        **more,
    }
    if recurrent_matrices(cell.graph):
        options["weight_drop"] = 0.3
    if find_gates(cell.graph):
        options["initialization"] = {"chrono": 20}
    try:
        net = cw.Recurrent(cell, WIDTH, [WIDTH, WIDTH], **options)
    except CellError:  # no state enters a matrix
        net = cw.Recurrent(cell, WIDTH, [WIDTH, WIDTH], **options | {"recurrent_dropout": 0.0})
    with torch.no_grad():
        for weight in net.parameters():  # peepholes and first states start at zero
            weight.add_(0.1 * torch.randn_like(weight))
    return net


def gradcheck(net, x, lengths):
    names = [name for name, _ in net.named_parameters()]

    def run(x, *weights):
        torch.manual_seed(3)  # the same masks every time
        call = dict(zip(names, weights, strict=True))
        y, state = torch.func.functional_call(net, call, (x,), {"lengths": lengths})
        return y, *(value for layer in state for n, value in layer.items() if n != "t")

    return torch.autograd.gradcheck(
        run, (x, *net.parameters()), fast_mode=True, check_undefined_grad=False
    )


def batch():
    torch.manual_seed(1)
    return torch.randn(3, 4, WIDTH, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("name", every_cell("lstm", "gru", "depth_gated_lstm", "min_gru", "slstm"))
def test_gradients_by_the_reference(name):
    assert gradcheck(everything(name, "reference"), batch(), [4, 2, 0])


@pytest.mark.parametrize("name", every_cell("lstm"))
def test_compiled_kernels_do_the_same(name):
    x, lengths = batch(), [4, 2, 0]
    net, reference = everything(name, "cpu"), everything(name, "reference")
    assert gradcheck(net, x, lengths)
    for mode in (True, False):
        found = []
        for one in (net, reference):
            torch.manual_seed(2)
            found.append(one.train(mode)(x, lengths=lengths))
        close(found[0], found[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("connections", ["none", "residual", "skip"])
@pytest.mark.parametrize("name", every_cell("lstm", "depth_gated_lstm", "jordan", "min_gru"))
def test_a_stream_of_it(name, connections):
    net = everything(name, "reference", connections=connections).eval()
    x = batch().detach()
    with torch.no_grad():
        y, state = net(x)
    stream = net.stream(3)
    close(stream.steps(x), y)
    close(stream.state, state)


@pytest.mark.parametrize("name", ["lstm", "gru", "depth_gated_lstm"])
def test_both_directions_in_segments_and_recorded(name):
    found = []
    for every in (None, 3):
        net = everything(name, "reference", connections="skip", bidirectional=True)
        net.checkpoint_every = every
        x = batch()
        torch.manual_seed(5)
        y, _ = net(x, lengths=[4, 4, 1])
        y.square().sum().backward()
        found.append([y, x.grad, *(weight.grad for weight in net.parameters())])
    close(found[0], found[1])
    tape = cw.record(net, x, lengths=[4, 4, 1])
    close(tape[1]["h"].flatten(2), net.eval()(x, lengths=[4, 4, 1])[0])
