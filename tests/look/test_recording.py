import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.errors import ArgumentError


def test_every_signal_is_recorded_as_the_equations_say():
    net = cw.Recurrent("lstm", 3, [4, 2])
    x = torch.randn(2, 5, 3)
    y, state = net(x)
    tape = cw.record(net, x)
    assert len(tape) == 2
    top = tape[1]
    assert list(top) == ["h", "c", "i", "f", "g", "o"]
    assert len(top) == 6
    torch.testing.assert_close(top["h"], y)
    torch.testing.assert_close(top["c"][:, -1], state[1]["c"])
    torch.testing.assert_close(top["h"], top["o"] * top["c"].tanh())
    assert not top["h"].requires_grad


def test_directions_get_an_axis_and_missing_steps_are_zero():
    net = cw.Recurrent("gru", 3, 4, bidirectional=True)
    x = torch.randn(2, 5, 3)
    tape = cw.record(net, x, lengths=[5, 2])
    assert tape[0]["z"].shape == (2, 5, 2, 4)
    assert not tape[0]["z"][1, 2:].any()
    torch.testing.assert_close(tape[0]["h"].flatten(2), net(x, lengths=[5, 2])[0])


def test_a_drop_in_is_recorded_time_first():
    net = cw.LSTM(3, 4)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(cw.record(net, x)[0]["h"], net(x)[0])


def test_it_starts_from_a_state():
    net = cw.Recurrent("lstm", 3, 4)
    x = torch.randn(2, 5, 3)
    _, state = net(x)
    torch.testing.assert_close(cw.record(net, x, state)[0]["h"], net(x, state)[0])


@pytest.mark.parametrize("training", [True, False])
def test_the_network_runs_in_evaluation_and_is_left_as_it_was(training):
    net = cw.Recurrent("lstm", 3, 4, zoneout=0.5).train(training)
    x = torch.randn(2, 5, 3)
    first = cw.record(net, x)
    assert torch.equal(first[0]["h"], cw.record(net, x)[0]["h"])
    assert all(module.training is training for module in net.modules())


def test_an_unknown_signal_is_named_with_the_known_ones():
    tape = cw.record(cw.Recurrent("gru", 3, 4), torch.randn(1, 2, 3))
    with pytest.raises(KeyError, match="no signal 'f'; this cell has h, r, z"):
        tape[0]["f"]
    assert "h (1, 2, 4)" in repr(tape[0])


def test_what_cannot_be_recorded_is_told_what_can():
    fitted = cw.SequenceClassifier(layers=[2], epochs=1, validation_fraction=0)
    fitted.fit(np.zeros((4, 3, 1)), [0, 1] * 2)
    cases = [(torch.nn.Sequential(), "Sequential; give the one inside"), (3, "int")]
    cases += [(fitted, r"give its \.network_\.recurrent"), (fitted.network_, r"its \.recurrent")]
    for network, words in cases:
        with pytest.raises(ArgumentError, match=f"takes a Recurrent or a drop-in.*{words}"):
            cw.record(network, torch.zeros(1, 3, 1))


@pytest.mark.parametrize("look", [cw.record, cw.gradient_flow])
def test_a_part_that_is_frozen_stays_so(look):
    net = cw.Recurrent("lstm", 3, [4, 4])
    net.layer0.eval()
    look(net, torch.randn(2, 5, 3))
    assert [module.training for module in net.modules()] == [True, False, True]
