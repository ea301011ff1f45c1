"""The classifier's network: its formula, and that padding does not matter."""

import pytest
import torch

from cellwright.models import ClassifierNetwork

OPTIONS = [
    {},
    {"projection": 3},
    {"bidirectional": True, "layers": [4, 3]},
    {"cell": "projected_lstm", "sizes": {"proj": 2}},
    {"cell": "gru", "layers": [5, 2]},
    {"cell": "gru", "layers": [3, 3], "connections": "residual"},
    {"layers": [4, 4], "bidirectional": True, "connections": "skip", "learn_initial_state": True},
    {"layers": [4, 4, 4], "projection": 8, "bidirectional": True},
    {"layers": [4, 4], "projection": 8, "bidirectional": True, "connections": "residual"},
]


def network(pooling="last", **options):
    torch.manual_seed(0)
    made = ClassifierNetwork(3, 4, **{"cell": "lstm", "layers": [4], "pooling": pooling, **options})
    made.shift.fill_(0.5)
    made.spread.fill_(2.0)
    return made.eval()


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_padded_batch_gives_what_each_sequence_gives_alone(pooling, options):
    net = network(pooling, **options)
    lengths = [5, 1, 3]
    x = torch.randn(3, 5, 3)
    together = net(x, torch.tensor(lengths))
    assert together.shape == (3, 4)
    for row, length in enumerate(lengths):
        alone = net(x[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone)


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_the_scores_are_the_formula(pooling):
    net = network(pooling, projection=2)
    x = torch.randn(2, 6, 3)
    y, state = net.recurrent(net.projection((x - 0.5) / 2))
    pooled = {"last": y[:, -1], "mean": y.mean(1), "max": y.amax(1)}[pooling]
    torch.testing.assert_close(net(x), net.readout(pooled))
    torch.testing.assert_close(y[:, -1], state[-1]["h"])


def test_dropout_before_the_readout_acts_in_training_only():
    net = network(dropout=0.5)
    x = torch.randn(2, 6, 3)
    assert torch.equal(net(x), net(x))
    net.train()
    assert not torch.equal(net(x), net(x))


@pytest.mark.parametrize("projection", [None, 3])
def test_half_precision_passes_through(projection):
    net = network(projection=projection)
    x = torch.randn(2, 6, 3)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(x)
    torch.testing.assert_close(half.float(), net(x), rtol=0.1, atol=0.05)


def test_whole_numbers_are_scaled_as_what_they_are():
    made = network()
    made.spread.fill_(0.25)
    x = torch.randint(-3, 4, (2, 5, 3))
    torch.testing.assert_close(made(x), made(x.double()), rtol=0, atol=0)


def test_the_scaling_stays_in_double_precision():
    net = network().float().bfloat16()
    assert net.shift.dtype == net.spread.dtype == torch.float64
    assert net.readout.weight.dtype == torch.bfloat16
    net = network()
    x = torch.randn(2, 6, 3)
    net.shift.fill_(1.7e9)
    torch.testing.assert_close(net.scaled(x.double() + 1.7e9), x / 2)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_last_of_a_residual_stack_is_all_that_it_hands_on(bidirectional):
    net = network(layers=[6, 6], projection=6 * (1 + bidirectional), bidirectional=bidirectional)
    plain = network(layers=[6, 6], projection=6 * (1 + bidirectional), bidirectional=bidirectional)
    plain.load_state_dict(net.state_dict())
    net.recurrent.connections = "residual"
    x, lengths = torch.randn(3, 5, 3), torch.tensor([5, 2, 0])
    y, _ = net.recurrent(net.projection(net.scaled(x)), lengths=lengths)
    ends = torch.stack([y[0, 4, :6], y[1, 1, :6], torch.zeros(6)])
    pooled = torch.cat([ends, y[:, 0, 6:]], 1)
    torch.testing.assert_close(net(x, lengths), net.readout(pooled))
    assert not torch.allclose(net(x, lengths), plain(x, lengths))
