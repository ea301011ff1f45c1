"""What users give: numbers of NumPy are taken, and what is something else is named."""

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.errors import SettingError, ShapeError

X, H = torch.randn(2, 5, 3), torch.zeros(2, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 2.0}, "hidden_size must be a positive whole number, or a list .*not 2.0"),
        ({"hidden_size": None}, "hidden_size must be a positive whole number, or a list"),
        ({"hidden_size": "12"}, "hidden_size must be a positive whole number, or a list"),
        ({"hidden_size": {4, 5}}, "hidden_size must be a positive whole number, or a list"),
        ({"hidden_size": np.array(4.0)}, "hidden_size must be a positive whole number, or a list"),
        ({"hidden_size": [4, 2.0]}, "hidden_size must be a positive whole number, not 2.0"),
        ({"hidden_size": []}, "hidden_size is empty"),
        ({"input_size": True}, "input_size must be a positive whole number, not True"),
        ({"sizes": {"proj": 2.0}}, r"sizes\['proj'\] must be a positive whole number, or a list"),
        ({"sizes": {"proj": [2, 3]}}, r"sizes\['proj'\] has 2 numbers for 1 layers"),
        ({"sizes": 2}, r"sizes must be a mapping such as \{'proj': 32\}, not 2"),
        ({"sizes": 0}, r"sizes must be a mapping such as \{'proj': 32\}, not 0"),
        ({"dropout": "0.3"}, "dropout must lie in 0..1, 1 excluded, not '0.3'"),
        ({"dropout": True}, "dropout must lie in 0..1, 1 excluded, not True"),
        ({"bidirectional": "no"}, "bidirectional must be True or False, not 'no'"),
        ({"batch_first": "no"}, "batch_first must be True or False, not 'no'"),
        ({"learn_initial_state": "no"}, "learn_initial_state must be True or False, not 'no'"),
        ({"initialization": ["chrono"]}, r"there is no initialization \['chrono'\]"),
    ],
)
def test_settings_of_another_kind_are_named(options, message):
    usual = {"input_size": 3, "hidden_size": 4, "sizes": {"proj": 2}}
    with pytest.raises(SettingError, match=message):
        cw.Recurrent("projected_lstm", **usual | options)


def test_numbers_of_numpy_are_those_of_python():
    net = cw.Recurrent(
        "projected_lstm",
        np.int64(3),
        np.array([4, 5]),
        bidirectional=np.True_,
        dropout=np.float32(0.25),
        zoneout={"h": np.float64(0.5)},
        sizes={"proj": np.array([2, 3])},
        initialization={"chrono": np.int64(9)},
        checkpoint_every=np.int64(64),
    )
    assert repr(net) == repr(
        cw.Recurrent(
            "projected_lstm",
            3,
            [4, 5],
            bidirectional=True,
            dropout=0.25,
            zoneout={"h": 0.5},
            sizes={"proj": [2, 3]},
            checkpoint_every=64,
        )
    )
    assert net(X)[0].shape == (2, 5, 6)
    one = cw.Recurrent("projected_lstm", 3, np.int32(4), sizes={"proj": np.uint8(2)})
    assert one.hidden_sizes == (4,)
    assert one.stream(np.int64(2)).step(X[:, 0]).shape == (2, 2)
    assert cw.GRU(3, 4).stream(np.int64(2)).batch_size == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"mask": [[True] * 5] * 2}, "mask: expected a tensor, got list"),
        ({"lengths": ["5", 2]}, r"lengths: expected whole numbers, got \['5', 2\]"),
        ({"lengths": [None, 2]}, r"lengths: expected whole numbers, got \[None, 2\]"),
        ({"lengths": object()}, "lengths: expected whole numbers, got <object"),
        ({"state": [{"h": 0, "c": 0}]}, r"state\[0\]\['h'\]: expected a tensor, got int"),
        (
            {"state": [{"h": H.numpy(), "c": H.numpy()}]},
            r"state\[0\]\['h'\]: expected a tensor, got ndarray",
        ),
        ({"state": [[H, H]]}, r"state\[0\]: expected a dictionary with h, c, .* got list"),
        ({"state": [(H, H)]}, r"state\[0\]: expected a dictionary with h, c, .* got tuple"),
        ({"state": [H]}, r"state\[0\]: expected a dictionary with h, c, .* got Tensor"),
    ],
)
def test_what_is_no_tensor_is_named(call, message):
    net = cw.Recurrent("lstm", 3, 4)
    with pytest.raises(ShapeError, match=message):
        net(X, **call)
    if "state" in call:
        with pytest.raises(ShapeError, match=message):
            net.stream(2).state = call["state"]


def test_an_extra_input_that_is_no_tensor_is_named():
    @cw.cell(state="h", inputs={"gap": 1})
    def fading(x, h, gap):
        """Reads the time that has passed."""
        h = cw.tanh(cw.affine("h", x, gap * h))
        return h

    net = cw.Recurrent(fading, 3, 4)
    for gap, kind in ((np.ones((2, 5, 1), np.float32), "ndarray"), (None, "NoneType")):
        for autocast in (False, True):
            precision = torch.autocast("cpu", torch.bfloat16, enabled=autocast)
            named = pytest.raises(ShapeError, match=f"gap: expected a tensor, got {kind}")
            with precision, named:
                net(X, gap=gap)
    with pytest.raises(ShapeError, match="gap: expected a tensor, got ndarray"):
        net.stream(2).steps(X, gap=np.ones((2, 5, 1), np.float32))


ONE, THREE = torch.zeros(1, 2, 4), torch.zeros(3, 4)


@pytest.mark.parametrize(
    ("kind", "state", "message"),
    [
        ("LSTM", (ONE, ONE, ONE), r"LSTM: expected the states \(h, c\), got 3 of them"),
        ("LSTM", (ONE,), r"LSTM: expected the states \(h, c\), got 1 of them"),
        ("LSTM", ONE, r"LSTM: expected the states \(h, c\), got Tensor"),
        ("LSTM", (ONE, ONE.numpy()), "LSTM: .*state.*: expected a tensor, got ndarray"),
        ("GRU", (ONE,), "GRU: state h: expected a tensor, got tuple"),
        ("RNN", (ONE, ONE), "RNN: state h: expected a tensor, got tuple"),
        ("GRU", [[0.0]], "GRU: .*state.*: expected a tensor, got list"),
    ],
)
def test_states_of_a_drop_in_are_named(kind, state, message):
    net = getattr(cw, kind)(3, 4, batch_first=True)
    with pytest.raises(ShapeError, match=message):
        net(X, state)
    packed = torch.nn.utils.rnn.pack_padded_sequence(X, [5, 3], batch_first=True)
    with pytest.raises(ShapeError, match=message):
        net(packed, state)
    with pytest.raises(ShapeError, match=message):
        net.stream(2).state = state
