"""The shortest way through a drop-in gives what the long way gives, or is not taken."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import cellwright as cw
from cellwright.nn.shortcut import Shortcut

KINDS = {"LSTM": cw.LSTM, "GRU": cw.GRU, "RNN": cw.RNN}
OPTIONS = [
    {},
    {"num_layers": 3},
    {"batch_first": True},
    {"bias": False},
    {"num_layers": 2, "dropout": 0.5, "batch_first": True},
    {"proj_size": 3},
]


@pytest.fixture
def taken(monkeypatch):
    """How often the short way was gone to its end."""
    taken = []
    call = Shortcut.__call__

    def counted(self, *arguments):
        found = call(self, *arguments)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(Shortcut, "__call__", counted)
    return taken


def flat(result):
    output, states = result
    return [output, *(states if isinstance(states, tuple) else (states,))]


def equal(found, expected):
    found, expected = flat(found), flat(expected)
    assert [v.shape for v in found] == [v.shape for v in expected]
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_gives_the_same_to_the_bit(kind, options, dtype, taken):
    if "proj_size" in options and kind != "LSTM":
        pytest.skip("torch projects LSTMs only")
    net = KINDS[kind](5, 8, dtype=dtype, **options).eval()
    x = torch.randn(4, 6, 5, dtype=dtype)
    expected = net(x)  # a gradient is wanted: the long way
    with torch.no_grad():
        results = [net(x) for _ in range(3)]
    assert taken == [True, True]  # the first call of a shape finds the way
    assert all(equal(result, expected) for result in results)
    assert flat(results[1])[0].data_ptr() != flat(results[2])[0].data_ptr()


def test_it_sees_every_change_of_the_weights(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)

    def same():
        with torch.no_grad():
            found = net(x)
        assert equal(found, net(x))

    for _ in range(2):
        same()
    net.weight_hh_l0.data[0, 0] += 1
    same()
    with torch.no_grad():
        net.bias_ih_l0.mul_(2)
    same()
    net.weight_ih_l0 = torch.nn.Parameter(torch.randn(32, 5))
    same()
    net.weight_ih_l0 = torch.nn.Parameter(torch.randn(5, 32).T)  # not contiguous
    same()
    net.load_state_dict(cw.LSTM(5, 8).state_dict())
    same()
    assert taken == [True] * 6


def test_weights_that_no_longer_fit_are_refused_as_ever(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    with torch.no_grad():
        net(x), net(x)
        net.double()
        with pytest.raises((ValueError, RuntimeError)):
            net(x)
        assert taken == [True, False]
        assert equal(net(x.double()), net(x.double()))


@pytest.mark.parametrize("what", ["bidirectional", "one sequence", "states", "packed"])
def test_other_calls_go_the_long_way(what, taken):
    net = cw.GRU(5, 8, bidirectional=what == "bidirectional")
    x = torch.randn(4, 6, 5)
    with torch.no_grad():
        for _ in range(3):
            if what == "states":
                net(x, torch.zeros(1, 6, 8))
            elif what == "packed":
                net(torch.nn.utils.rnn.pack_padded_sequence(x, [4] * 6))
            else:
                net(x[:, 0] if what == "one sequence" else x)
    assert not taken


def test_whoever_looks_on_sees_the_operator(taken):
    from torch.utils.flop_counter import FlopCounterMode

    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    with torch.no_grad():
        net(x), net(x)
        with FlopCounterMode(display=False):
            net(x)
        torch.vmap(net)(x.expand(2, *x.shape))
        with torch.autocast("cpu", torch.bfloat16):
            net(x.bfloat16())
    assert taken == [True]


def test_dropout_still_falls_in_training(taken):
    net, x = cw.LSTM(5, 8, num_layers=2, dropout=0.5), torch.randn(4, 6, 5)
    with torch.no_grad():
        assert not equal(net(x), net(x))
        net.eval()
        assert equal(net(x), net(x))
    assert taken == [True, True]


def test_another_backend_is_asked_for_in_between(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    with torch.no_grad():
        first = [net(x) for _ in range(2)]
        net.backend = "reference"
        for _ in range(2):
            torch.testing.assert_close(net(x), first[0])
    assert taken == [True]


def test_the_module_is_copied_and_stored_as_ever(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    with torch.no_grad():
        net(x)
        expected = net(x)
        for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert equal(other(x), expected)
            other.weight_hh_l0.add_(1)
            assert not equal(other(x), expected)
    assert equal(net(x), expected)


def test_hooks_and_parametrizations_count(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    torch.nn.utils.parametrizations.weight_norm(net, "weight_hh_l0")
    with torch.no_grad():
        before = [net(x) for _ in range(2)][1]
        net.parametrizations.weight_hh_l0.original0.mul_(2)
        assert not equal(net(x), before)
    expected = net(x)
    with torch.no_grad():
        assert equal(net(x), expected)


def test_shapes_do_not_pile_up():
    net = cw.RNN(2, 3)
    with torch.no_grad():
        for steps in range(1, 200):
            net(torch.randn(steps, 1, 2))
    assert 0 < len(net._shortcuts) <= 64
