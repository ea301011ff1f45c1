"""The drop-ins: what a user of torch.nn counts on beyond equal numbers."""

import copy
import inspect
import io

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import cellwright as cw

PAIRS = [(cw.LSTM, torch.nn.LSTM), (cw.GRU, torch.nn.GRU), (cw.RNN, torch.nn.RNN)]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_they_are_torch_modules(ours, theirs):
    net = ours(3, 4, num_layers=2)
    assert isinstance(net, theirs)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert repr(net) == repr(theirs(3, 4, num_layers=2))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_weights_travel_both_ways(ours, theirs):
    a, b = ours(3, 4, num_layers=2, bidirectional=True), theirs(3, 4, 2, bidirectional=True)
    x = torch.randn(5, 2, 3)
    a.load_state_dict(b.state_dict())
    torch.testing.assert_close(a(x)[0], b(x)[0])
    a.reset_parameters()
    b.load_state_dict(a.state_dict())
    torch.testing.assert_close(a(x)[0], b(x)[0])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_copies_moves_and_files(ours, theirs):
    net = ours(3, 4)
    x = torch.randn(5, 2, 3)
    expected = net(x)[0]
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    buffer.seek(0)
    again = ours(3, 4)
    again.load_state_dict(torch.load(buffer, weights_only=True))
    for other in (copy.deepcopy(net), again):
        assert torch.equal(other(x)[0], expected)
    assert net.double()(x.double())[0].dtype == torch.float64


MISUSES = {
    "too many axes": lambda net: net(torch.zeros(2, 3, 4, 5)),
    "one axis": lambda net: net(torch.zeros(3)),
    "wrong features": lambda net: net(torch.zeros(5, 2, 4)),
    "wrong dtype": lambda net: net(torch.zeros(5, 2, 3, dtype=torch.float64)),
    "no steps": lambda net: net(torch.zeros(0, 2, 3)),
    "state of another batch": lambda net: net(torch.zeros(5, 2, 3), state(net, 3)),
    "state of other units": lambda net: net(torch.zeros(5, 2, 3), state(net, 2, units=5)),
    "batched state for one sequence": lambda net: net(torch.zeros(5, 3), state(net, 2)),
    "state of one sequence for a batch": lambda net: net(torch.zeros(5, 2, 3), state(net, None)),
    "packed with another batch": lambda net: net(
        pack_sequence([torch.zeros(3, 3), torch.zeros(2, 3)]), state(net, 3)
    ),
}


def state(net, batch, units=4):
    shape = (1, units) if batch is None else (1, batch, units)
    one = torch.zeros(shape)
    return (one, one.clone()) if isinstance(net, torch.nn.LSTM) else one


@pytest.mark.parametrize("misuse", MISUSES)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_the_same_misuse_is_refused_with_the_same_kind_of_error(ours, theirs, misuse):
    with pytest.raises(Exception) as expected:
        MISUSES[misuse](theirs(3, 4))
    with pytest.raises(type(expected.value)):
        MISUSES[misuse](ours(3, 4))


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_size": 0},
        {"hidden_size": 2.5},
        {"num_layers": 0},
        {"dropout": 1.5},
        {"bias": 1},
        {"proj_size": 4},
        {"proj_size": -1},
        {"nonlinearity": "sigmoid"},
        {"unknown": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_wrong_arguments_are_refused_as_torch_does(ours, theirs, options):
    arguments = {"input_size": 3, "hidden_size": 4} | options
    with pytest.raises(Exception) as expected:
        theirs(**arguments)
    with pytest.raises(type(expected.value)):
        ours(**arguments)


def test_dropout_of_one_layer_is_warned_of_as_in_torch():
    with pytest.warns(UserWarning, match="dropout"):
        cw.LSTM(3, 4, dropout=0.5)


def test_they_can_be_recorded():
    net = cw.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    x = torch.randn(2, 5, 3)
    tape = cw.record(net, x, lengths=[5, 3])
    assert tape[1]["f"].shape == (2, 5, 2, 4)
    y, _ = net(x)
    torch.testing.assert_close(tape[1]["h"][0, :, 0], y[0, :, :4])


def test_a_weight_that_is_replaced_is_used():
    net = cw.LSTM(3, 4)
    x = torch.randn(5, 2, 3)
    net.weight_ih_l0 = torch.nn.Parameter(torch.zeros(16, 3))
    changed = net(x)[0]
    assert torch.equal(changed, net(torch.randn(5, 2, 3))[0])


def test_functional_calls_and_vmap_of_weights():
    net = cw.GRU(3, 4, batch_first=True)
    x = torch.randn(2, 5, 3)
    weights = {name: torch.stack([p, 2 * p]) for name, p in net.named_parameters()}
    both = torch.vmap(lambda w: torch.func.functional_call(net, w, (x,))[0])(weights)
    torch.testing.assert_close(both[0], net(x)[0])
