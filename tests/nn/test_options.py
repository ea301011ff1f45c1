"""What of a stack may be set once it is built."""

import copy
import pickle

import pytest
import torch

import cellwright as cw
from cellwright.errors import CellwrightError, SettingError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("zoneout", 0.9),
        ("recurrent_dropout", 0.5),
        ("bidirectional", True),
        ("learn_initial_state", True),
        ("hidden_size", 7),
        ("hidden_sizes", (7,)),
        ("input_size", 7),
        ("sizes", {"proj": 7}),
        ("cell", "gru"),
        ("output_size", 7),
    ],
)
def test_what_is_built_in_cannot_be_set(name, value):
    net = cw.Recurrent("lstm", 3, [4, 4])
    shown, weights = repr(net), list(net.state_dict())
    for one in (net, copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        with pytest.raises(SettingError, match=f"{name} is built into the network.*{name}="):
            setattr(one, name, value)
        assert repr(one) == shown
        assert list(one.state_dict()) == weights


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("connections", "residul", "connections must be one of.*Did you mean 'residual'"),
        ("connections", "skip", "gives layers other inputs than their weights are for"),
        ("dropout_per", "seq", "dropout_per='seq': must be 'step' or 'sequence'"),
        ("dropout", 1.5, "dropout must lie in"),
        ("weight_drop", "much", "weight_drop must lie in"),
        ("initialization", "pytorch", "there is no initialization 'pytorch'"),
        ("batch_first", "no", "batch_first must be True or False"),
        ("checkpoint_every", 0, "checkpoint_every must be None, 'auto'"),
        ("backend", "gpu", "there is no backend 'gpu'"),
        ("backend", None, "there is no backend None"),
    ],
)
def test_what_may_be_set_is_checked(name, value, words):
    net = cw.Recurrent("lstm", 3, [4, 4])
    before = getattr(net, name)
    with pytest.raises(CellwrightError, match=words):
        setattr(net, name, value)
    assert getattr(net, name) is before


def test_connections_must_fit_the_layers_that_are_there():
    narrow = cw.Recurrent("lstm", 3, [4, 5])
    with pytest.raises(SettingError, match="layer 1 reads 4 features and gives 5"):
        narrow.connections = "residual"
    skipping = cw.Recurrent("lstm", 3, [4, 4], connections="skip")
    with pytest.raises(SettingError, match="connections='none' instead of 'skip'"):
        skipping.connections = "none"


def test_weights_start_anew_as_the_option_now_says():
    net = cw.Recurrent("lstm", 3, 4)
    net.initialization = {"input": "zeros", "recurrent": "identity"}
    net.reset_parameters()
    assert torch.equal(net.layer0.i_h, torch.eye(4))
    net.initialization = "torch"
    net.reset_parameters()
    assert bool(net.layer0.f_bias.abs().le(0.5).all())


def test_weight_drop_that_is_set_finds_something_to_drop():
    net = cw.Recurrent("min_gru", 3, 4)
    with pytest.raises(SettingError, match="no matrix of cell 'min_gru'"):
        net.weight_drop = 0.5


def test_what_is_set_follows_into_copies_and_compiled_programs():
    torch._dynamo.reset()
    net = cw.Recurrent("lstm", 4, [4, 4]).eval()
    x = torch.randn(2, 5, 4)
    program = torch.compile(net, fullgraph=True, backend="eager")
    torch.testing.assert_close(program(x)[0], net(x)[0])
    plain = net(x)[0]
    net.connections = "residual"
    assert not torch.equal(net(x)[0], plain)
    for other in (program, copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        torch.testing.assert_close(other(x)[0], net(x)[0])
    torch._dynamo.reset()
