"""Residual and skip connections: the formula, ragged rows, streams, everything around them."""

import pytest
import torch

import cellwright as cw
from cellwright.errors import SettingError

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


@cw.cell(state=("h", "c"))
def sees_below(x, h, c, c_below):
    """A memory that the layer below adds to, as in a depth-gated LSTM."""
    f = cw.sigmoid(cw.affine("f", x, h))
    c = f * c + (1 - f) * cw.tanh(cw.affine("g", x) + 0.5 * c_below)
    h = cw.tanh(c)
    return h, c


def layers_of(net, **options):
    """Each layer of a stack by itself, with the same weights."""
    alone = []
    for number in range(net.num_layers):
        own = {k: v for k, v in net.state_dict().items() if k.startswith(f"layer{number}")}
        own = {k.replace(f"layer{number}", "layer0", 1): v for k, v in own.items()}
        read = net.get_submodule(f"layer{number}").sizes["input"]
        made = cw.Recurrent(
            net.cell,
            read,
            net.hidden_sizes[number],
            bidirectional=net.bidirectional,
            dtype=torch.float64,
            backend="reference",
            **options,
        )
        made.load_state_dict(own)
        alone.append(made)
    return alone


def network(connections, features=3, units=(4, 4, 4), **options):
    options = {"cell": "gru", "dtype": torch.float64, "backend": "reference", **options}
    return cw.Recurrent(input_size=features, hidden_size=units, connections=connections, **options)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("features", [3, 4, 8])
def test_a_residual_stack_adds_what_each_layer_reads(features, bidirectional):
    net = network("residual", features, bidirectional=bidirectional)
    x = torch.randn(2, 6, features, dtype=torch.float64)
    expected = x
    for layer in layers_of(net):
        given, _ = layer(expected)
        fits = given.shape == expected.shape
        expected = given + expected if fits else given
    y, state = net(x)
    close(y, expected)
    assert y.shape[2] == net.output_size
    assert state[2]["h"].shape == ((2, 2, 4) if bidirectional else (2, 4))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_skip_stack_reads_the_input_in_every_layer(bidirectional):
    net = network("skip", 3, (4, 5, 2), bidirectional=bidirectional)
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    first, *others = layers_of(net)
    expected, _ = first(x)
    for layer in others:
        expected, _ = layer(torch.cat([expected, x], 2))
    close(net(x)[0], expected)
    width = 2 if bidirectional else 1
    assert [net.get_submodule(f"layer{n}").sizes["input"] for n in range(3)] == [
        3,
        4 * width + 3,
        5 * width + 3,
    ]


@pytest.mark.parametrize("features", [3, 4])
@pytest.mark.parametrize("connections", ["residual", "skip"])
def test_padding_does_not_matter_and_gives_nothing(connections, features):
    net = network(connections, features, bidirectional=connections == "skip")
    x = torch.randn(3, 5, features, dtype=torch.float64)
    lengths = [5, 2, 0]
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    x.requires_grad_()
    y, state = net(x, lengths=lengths)
    y.square().sum().backward()
    for row, length in enumerate(lengths):
        assert not y[row, length:].any()
        assert not x.grad[row, length:].any()
        alone, last = net(x[row : row + 1, :length])
        close(y[row : row + 1, :length], alone)
        close(state[2]["h"][row], last[2]["h"][0])
    assert bool(x.grad.isfinite().all())


def test_only_what_a_layer_reads_of_the_one_below_is_dropped():
    net = network("residual", 4, (4, 4), dropout=0.9, initialization={"input": "zeros"})
    alone = network("residual", 4, (4, 4), initialization={"input": "zeros"})
    alone.load_state_dict(net.state_dict())
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    # With no weights on what it reads, dropout can only act on what goes past the layers.
    close(net(x)[0], alone(x)[0])
    skip = network("skip", 4, (4, 4), dropout=0.9)
    with torch.no_grad():
        for name, weight in skip.layer1.named_parameters():
            if name.endswith("_x"):
                weight[:, :4] = 0  # what the layer below gives
    close(skip(x)[0], skip(x)[0], rtol=0, atol=0)


@cw.cell(state="h", inputs={"gap": 1})
def clocked(x, h, gap, t):
    """It asks for the step and for an extra input."""
    h = cw.where(t % 2 < 1, cw.tanh(cw.affine("h", x, h)), h) * gap
    return h


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("connections", ["residual", "skip"])
def test_a_stream_of_a_cell_with_a_clock_and_an_extra_input(connections, backend):
    net = network(connections, 4, cell=clocked, backend=backend).eval()
    x, gap = torch.randn(2, 6, 4, dtype=torch.float64), torch.rand(2, 6, 1, dtype=torch.float64)
    y, state = net(x, gap=gap)
    stream = net.stream(2)
    close(stream.steps(x[:, :3], gap=gap[:, :3]), y[:, :3])
    for step in range(3, 6):
        close(stream.step(x[:, step], gap=gap[:, step]), y[:, step])
    close(stream.state, state)
    stream.reset()
    close(stream.steps(x, gap=gap), y)


@pytest.mark.parametrize(
    ("backend", "cell"),
    [("reference", "depth_gated_lstm"), ("cpu", "depth_gated_lstm"), ("cpu", "lstm")],
)
@pytest.mark.parametrize("features", [3, 4])
@pytest.mark.parametrize("connections", ["residual", "skip"])
def test_a_stream_gives_the_same_numbers(connections, features, backend, cell):
    options = {"cell": cell, "learn_initial_state": True, "backend": backend}
    net = network(connections, features, **options).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    x = torch.randn(2, 6, features, dtype=torch.float64)
    y, state = net(x)
    stream = net.stream(2)
    steps = [stream.step(x[:, t]).clone() for t in range(4)]
    close(torch.stack(steps, 1), y[:, :4])
    close(stream.steps(x[:, 4:]), y[:, 4:])
    close(stream.state, state)


@pytest.mark.parametrize("connections", ["residual", "skip"])
def test_segments_give_the_same_gradient(connections):
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    found = []
    for every in (None, 4):
        torch.manual_seed(1)
        net = network(connections, bidirectional=True, cell=sees_below, checkpoint_every=every)
        y, _ = net(x, lengths=[9, 5])
        y.square().sum().backward()
        found.append([y, *(weight.grad for weight in net.parameters())])
    close(found[0], found[1])


def test_what_is_recorded_is_what_the_cell_says():
    net = network("residual", 4, (4, 4))
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    tape = cw.record(net, x)
    close(net(x)[0], tape[1]["h"] + tape[0]["h"] + x)


@pytest.mark.parametrize("connections", ["residual", pytest.param("skip", marks=pytest.mark.slow)])
def test_torch_compile_takes_it(connections):
    torch._dynamo.reset()
    net = network(connections, cell="lstm", units=(4, 4), dtype=torch.float32, backend="cpu")
    program = torch.compile(net, fullgraph=True, backend="aot_eager")
    x, lengths = torch.randn(3, 5, 3), torch.tensor([5, 2, 0])
    close(program(x, lengths=lengths)[0], net(x, lengths=lengths)[0])
    torch._dynamo.reset()


def test_sizes_that_cannot_be_added_are_refused_when_built():
    with pytest.raises(SettingError, match="layer 1 reads 4 features and gives 5"):
        network("residual", 4, (4, 5))
    with pytest.raises(SettingError, match="layer 0 reads 3 features and gives 4"):
        network("residual", 3, (4,))
    with pytest.raises(SettingError, match="layer 2 reads 8 features and gives 10"):
        network("residual", 3, (4, 4, 5), bidirectional=True)


def test_an_unknown_kind_is_refused():
    with pytest.raises(SettingError, match="none, residual, skip, not 'residul'.*'residual'"):
        network("residul")
    assert "connections='skip'" in repr(network("skip"))
    assert "connections" not in repr(network("none"))
