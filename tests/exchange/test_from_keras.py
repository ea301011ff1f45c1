"""Layers of Keras 3 as Recurrent: the same numbers, every option, refusals by name."""

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.errors import ArgumentError, CellwrightWarning, SettingError
from cellwright.exchange import keras_cell

keras = pytest.importorskip("keras")
L = keras.layers

pytestmark = [
    # torch and numpy about each other, where Keras turns a tensor into an array.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

X = torch.randn(4, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
DOUBLE = {"dtype": "float64"}
SEQUENCE = {"dtype": "float64", "return_sequences": True}


def filled(layer, x=X, spread=0.4):
    """The layer, built, with every weight drawn anew, biases too."""
    generator = np.random.default_rng(2)
    with torch.no_grad():
        layer(x)
    for variable in layer.weights:
        variable.assign(spread * generator.normal(size=variable.shape))
    return layer


def taken(layer):
    ours = cw.from_keras(layer)
    ours.backend = "reference"
    return ours


def assert_same(layer, x=X, spread=0.4):
    # Keras on torch multiplies matrices in single precision whatever the dtype of its layers.
    ours = taken(filled(layer, x, spread))
    with torch.no_grad():
        wanted, (y, states) = layer(x), ours(x)
    got = y if wanted.dim() == 3 else states[-1]["h"].flatten(1)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-6)
    return ours


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kind", "options", "cell"),
    [
        (L.LSTM, {"unit_forget_bias": True}, "lstm"),
        (L.LSTM, {"unit_forget_bias": False}, "lstm"),
        (L.LSTM, {"recurrent_activation": "hard_sigmoid"}, "general_lstm"),
        (L.LSTM, {"activation": "relu", "recurrent_activation": "softsign"}, "general_lstm"),
        (L.LSTM, {"activation": None}, "general_lstm"),
        (L.GRU, {"reset_after": True}, "gru"),
        (L.GRU, {"reset_after": False}, "gru_reset_before"),
        (L.GRU, {"reset_after": True, "recurrent_activation": "hard_sigmoid"}, "general_gru"),
        (L.GRU, {"reset_after": False, "activation": "softmax"}, "general_gru"),
        (L.SimpleRNN, {}, "elman"),
        (L.SimpleRNN, {"activation": "relu"}, "elman_relu"),
        (L.SimpleRNN, {"activation": "linear"}, "general_elman"),
    ],
)
def test_gives_the_same_outputs(kind, options, cell, bias):
    ours = assert_same(kind(5, use_bias=bias, **options, **SEQUENCE))
    assert ours.cell.name == cell
    assert any(name.endswith("bias") for name in ours.state_dict()) == bias


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
def test_gives_the_same_states(kind, both):
    layer = kind(5, return_state=True, **SEQUENCE)
    layer = filled(L.Bidirectional(layer, **DOUBLE) if both else layer)
    _, (states,) = taken(layer)(X)
    with torch.no_grad():
        _, *last = layer(X)
    wanted = iter(last)
    for side in range(1 + both):
        for value in states.values():
            got = value[:, side] if both else value
            torch.testing.assert_close(got, next(wanted), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(keras_cell._ACTIVATIONS))
def test_every_activation(name):
    assert_same(L.SimpleRNN(5, activation=name, **SEQUENCE), spread=0.15)


def test_the_forget_bias_is_in_the_weights_already():
    for one in (True, False):
        layer = L.LSTM(5, unit_forget_bias=one, **DOUBLE)
        layer.build((None, None, 3))
        assert torch.equal(taken(layer).layer0.f_bias, torch.full((5,), float(one)).double())


def test_gate_order():
    layer = filled(L.GRU(5, **DOUBLE))
    ours = taken(layer)
    z, r, n = layer.cell.recurrent_kernel.value.detach().T.chunk(3)
    for name, value in {"z_h": z, "r_h": r, "m_h": n}.items():
        assert torch.equal(getattr(ours.layer0, name), value)
    inputs, states = layer.cell.bias.value.detach()
    assert torch.equal(ours.layer0.n_bias, inputs[10:])
    assert torch.equal(ours.layer0.m_bias, states[10:])


@pytest.mark.parametrize("sequences", [True, False])
def test_both_directions(sequences):
    options = {"return_sequences": sequences, **DOUBLE}
    assert_same(L.Bidirectional(L.GRU(5, **options), **DOUBLE))
    back = L.LSTM(5, activation="relu", go_backwards=True, **options)
    ours = assert_same(L.Bidirectional(L.LSTM(5, **options), backward_layer=back, **DOUBLE))
    assert ours.layer0.graph.name == "lstm"
    assert ours.layer0_reverse.graph.name == "general_lstm"


def test_stacks():
    ours = assert_same(
        keras.Sequential(
            [
                keras.Input((None, 3), dtype="float64"),
                L.Bidirectional(L.LSTM(5, **SEQUENCE), **DOUBLE),
                L.Dropout(0.3, **DOUBLE),
                keras.Sequential([L.Bidirectional(L.LSTM(4, **SEQUENCE), **DOUBLE)]),
                L.Dropout(0.3, **DOUBLE),
                L.Bidirectional(L.LSTM(2, **DOUBLE), **DOUBLE),
            ]
        )
    )
    assert ours.hidden_sizes == (5, 4, 2)
    assert ours.dropout == 0.3
    assert not ours.training
    cells = [L.GRUCell(5, **DOUBLE), L.GRUCell(4, **DOUBLE)]
    stack = L.StackedRNNCells(cells, **DOUBLE)
    assert assert_same(L.RNN(stack, **SEQUENCE)).hidden_sizes == (5, 4)


def test_a_cell_alone():
    cell = L.LSTMCell(5, **DOUBLE)
    cell.build((None, 3))
    wrapped = L.RNN(cell, **SEQUENCE)
    filled(wrapped)
    with torch.no_grad():
        torch.testing.assert_close(taken(cell)(X)[0], wrapped(X), rtol=0, atol=1e-6)


def test_backwards():
    assert_same(L.LSTM(5, go_backwards=True, **DOUBLE))
    # Read from the end, and what that returns from its end again: in order.
    ours = assert_same(
        keras.Sequential(
            [L.LSTM(5, go_backwards=True, **SEQUENCE), L.LSTM(4, go_backwards=True, **SEQUENCE)]
        )
    )
    assert [ours.layer0.reverse, ours.layer1.reverse] == [True, False]
    layer = filled(L.LSTM(5, go_backwards=True, **SEQUENCE))
    with pytest.warns(CellwrightWarning, match=r"output.flip\(1\) is what Keras returns"):
        ours = cw.from_keras(layer)
    with torch.no_grad():
        torch.testing.assert_close(ours(X)[0].flip(1), layer(X), rtol=0, atol=1e-6)
    with pytest.raises(SettingError, match="reads from the end"):
        ours.stream()


def test_masks():
    layer = filled(L.GRU(5, zero_output_for_mask=True, return_state=True, **SEQUENCE))
    mask = torch.ones(4, 7, dtype=torch.bool)
    mask[0, 4:] = False
    mask[1, 2] = False
    y, (state,) = taken(layer)(X, mask=mask)
    with torch.no_grad():
        wanted, last = layer(X, mask=mask)
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(state["h"], last, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (L.LSTM, {"dropout": 0.5}),
        (L.LSTM, {"dropout": 0.5, "recurrent_dropout": 0.25}),
        (L.GRU, {"recurrent_dropout": 0.25}),
        (L.GRU, {"recurrent_dropout": 0.25, "reset_after": False, "dropout": 0.5}),
        (L.SimpleRNN, {"dropout": 0.5, "recurrent_dropout": 0.25}),
    ],
)
def test_dropout_of_the_cell_in_training(kind, options, monkeypatch):
    """With the masks that Keras drew given to ours, both compute the same."""
    layer = filled(kind(5, **options, **SEQUENCE))
    ours = taken(layer).train()
    cell = layer.cell
    with torch.no_grad():
        layer._maybe_config_dropout_masks(cell, X[:, 0], [X.new_zeros(4, 5)])
    masks = {"input": cell._dropout_mask, "state": getattr(cell, "_recurrent_dropout_mask", None)}
    gates = {L.LSTM: "ifgo", L.GRU: "zrn", L.SimpleRNN: "h"}[kind]

    def draw(probabilities):
        kind_of, _, _, *gate = next(names).split("_")
        mask = masks[kind_of]
        if isinstance(mask, list):
            mask = mask[gates.index({"m": "n"}.get(gate[0], gate[0]))]
        assert torch.all((probabilities == 0.5) | (probabilities == 0.75))
        return (mask > 0).double()

    names = iter([leaf.name for leaf in ours.graph.leaves("bernoulli")])
    monkeypatch.setattr(torch, "bernoulli", draw)
    with torch.no_grad():
        wanted, (y, _) = layer(X, training=True), ours(X)
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-6)
    assert next(names, None) is None  # every draw was used
    assert (y - ours.eval()(X)[0]).abs().max() > 1e-3


def test_compiled_in_single_precision():
    x = X.float()
    layer = filled(
        L.Bidirectional(L.LSTM(16, recurrent_activation="hard_sigmoid", return_sequences=True)), x
    )
    with torch.no_grad():
        got, wanted = cw.from_keras(layer)(x)[0], layer(x)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"dropout": 0.5}, {"dropout": 0.5, "recurrent_dropout": 0.5, "reset_after": False}]
)
def test_dropout_compiled_to_be_trained(options):
    x = X.float()
    ours = cw.from_keras(filled(L.GRU(16, return_sequences=True, **options), x)).train()
    results = []
    for backend in ("cpu", "reference"):
        ours.backend = backend
        torch.manual_seed(3)
        y = ours(x)[0]
        results.append((y, torch.autograd.grad(y.square().sum(), ours.layer0.r_x)[0]))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


class Louder(L.LSTM):
    def call(self, sequences, initial_state=None, mask=None, training=False):
        return 2 * super().call(sequences, initial_state, mask, training)


class Awake(L.LSTM):
    def get_initial_state(self, batch_size):
        return [state + 0.5 for state in super().get_initial_state(batch_size)]


class AwakeCell(L.GRUCell):
    def get_initial_state(self, batch_size=None):
        return [state + 0.5 for state in super().get_initial_state(batch_size)]


class Twice(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training, mask)


class Swapped(L.StackedRNNCells):
    def call(self, inputs, states, training=False, **more):
        return super().call(-inputs, states, training=training, **more)


def patched():
    layer = L.LSTM(5)
    given = layer.call
    layer.call = lambda *a, **k: 2 * given(*a, **k)
    return layer


def shout(x):
    return 2 * x


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: L.LSTM(5, stateful=True), "stateful=True cannot be taken over"),
        (lambda: L.LSTM(5, activation="gelu"), "activation='gelu' cannot be taken over"),
        (lambda: L.GRU(5, recurrent_activation=shout), "recurrent_activation='shout'"),
        (lambda: L.LSTM(5, activation=L.LeakyReLU(0.1)), "activation='LeakyReLU'"),
        (lambda: L.LSTM(5, dropout=1.0), "dropout=1.0"),
        (lambda: L.LSTM(5, dtype="mixed_float16"), "dtype='mixed_float16' computes in float16"),
        (lambda: Louder(5), "Louder 'louder' overrides the call of Keras' LSTM"),
        (lambda: Awake(5), "Awake 'awake' overrides the get_initial_state of Keras' LSTM"),
        (lambda: L.RNN(AwakeCell(5)), "AwakeCell cannot .* has a get_initial_state of its own"),
        (lambda: Twice([L.LSTM(5)]), "Twice 'twice' overrides the call of Keras' Sequential"),
        (lambda: L.RNN(Swapped([L.GRUCell(5)])), "Swapped 'swapped' overrides the call"),
        (patched, "LSTM 'lstm.*' overrides the call of Keras' LSTM"),
        (
            lambda: L.Bidirectional(L.LSTM(5, dtype="float32"), dtype="float16"),
            "different precision .* Bidirectional 'bidirectional.*' in float16",
        ),
        (
            lambda: keras.Sequential(
                [
                    L.LSTM(5, return_sequences=True),
                    L.Dropout(0.5, dtype="float16"),
                    L.LSTM(4),
                ]
            ),
            "different precision .* Dropout 'dropout.*' in float16",
        ),
        (lambda: L.LSTM(5, activation=torch.tanh), "activation='torch.*tanh' cannot be taken over"),
        (
            lambda: keras.Model(at := keras.Input((None, 3)), L.LSTM(5, name="inner")(at)),
            "Functional .* cannot be taken over.*; it holds inner: give that",
        ),
        (
            lambda: keras.Sequential(
                [
                    L.LSTM(5, return_sequences=True, dropout=0.25, implementation=1),
                    L.LSTM(4, dropout=0.25),
                ]
            ),
            "drops 0.25 of its input, .* drops 0.25 of its input for each gate anew; one",
        ),
        (lambda: L.Bidirectional(L.LSTM(5), merge_mode="sum"), "merge_mode='sum'"),
        (lambda: L.Bidirectional(L.LSTM(5), merge_mode=None), "merge_mode=None"),
        (
            lambda: L.Bidirectional(L.LSTM(5), backward_layer=L.LSTM(4, go_backwards=True)),
            "different units: 5 and 4",
        ),
        (
            lambda: L.Bidirectional(L.LSTM(5), backward_layer=L.GRU(5, go_backwards=True)),
            "different states and signals",
        ),
        (
            lambda: L.Bidirectional(L.RNN([L.GRUCell(5), L.GRUCell(5)])),
            "StackedRNNCells inside",
        ),
        (
            lambda: keras.Sequential([L.Masking(), L.LSTM(5)]),
            "Masking 'masking.*' cannot be taken over",
        ),
        (lambda: keras.Sequential([L.LSTM(5), L.Dense(2)]), "return_sequences=False"),
        (
            lambda: keras.Sequential([L.LSTM(5, return_sequences=True), L.GRU(4)]),
            "GRU 'gru.*' is gru, Keras' LSTM 'lstm.*' below it lstm; one Recurrent has one cell",
        ),
        (
            lambda: keras.Sequential(
                [L.LSTM(5, return_sequences=True), L.LSTM(4, dropout=0.25, use_bias=False)]
            ),
            "is lstm without bias that drops 0.25 of its input, .* below it lstm; one Recurrent",
        ),
        (
            lambda: keras.Sequential(
                [L.LSTM(5, return_sequences=True), L.LSTM(4, activation="relu")]
            ),
            r"general_lstm\(gates=sigmoid, candidate=relu, readout=relu\)",
        ),
        (
            lambda: keras.Sequential(
                [L.LSTM(5, return_sequences=True), L.Bidirectional(L.LSTM(4))]
            ),
            "2 and 1 directions",
        ),
        (
            lambda: keras.Sequential(
                [L.LSTM(5, go_backwards=True, return_sequences=True), L.Bidirectional(L.LSTM(4))]
            ),
            "go_backwards=True cannot be taken over; in or below a Bidirectional",
        ),
        (lambda: L.ConvLSTM1D(5, 3), "ConvLSTM1D 'conv_lstm1d.*' overrides the call"),
        (lambda: L.Dense(5), "Dense 'dense.*' cannot be taken over"),
    ],
)
def test_refuses_by_name(layer, words):
    layer = layer()
    if not isinstance(layer, L.ConvLSTM1D):
        with torch.no_grad():
            layer(X.float())
    with pytest.raises(SettingError, match=words):
        cw.from_keras(layer)


def test_what_is_not_trainable_is_frozen():
    def frozen(layer):
        ours = cw.from_keras(layer)
        return {name for name, value in ours.named_parameters() if not value.requires_grad}

    layer = filled(L.GRU(5, **DOUBLE))
    assert not frozen(layer)
    layer.cell.recurrent_kernel.trainable = False
    with torch.inference_mode():
        assert frozen(layer) == {"layer0.r_h", "layer0.z_h", "layer0.m_h"}
    layer = filled(L.Bidirectional(L.LSTM(5, **DOUBLE), **DOUBLE))
    layer.forward_layer.trainable = False
    names = {name for name, _ in cw.from_keras(layer).layer0.named_parameters()}
    assert frozen(layer) == {f"layer0.{name}" for name in names}


def test_says_what_took_part_in_training_alone():
    layer = L.LSTM(5, kernel_regularizer="l2", bias_constraint="non_neg", activity_regularizer="l1")
    filled(layer, X.float())
    with pytest.warns(CellwrightWarning, match="only Keras' training") as caught:
        cw.from_keras(layer)
    (message,) = [str(warning.message) for warning in caught]
    assert "kernel_regularizer of Keras' LSTMCell 'lstm_cell" in message
    assert "bias_constraint of" in message
    assert "activity_regularizer of Keras' LSTM 'lstm" in message
    assert "recurrent" not in message


def test_refuses_what_is_not_ready_and_what_is_not_keras():
    with pytest.raises(SettingError, match="has no weights yet"):
        cw.from_keras(L.LSTM(5))
    with pytest.raises(SettingError, match="holds no layers"):
        cw.from_keras(keras.Sequential())
    with pytest.raises(ArgumentError, match="from_torch takes modules of torch"):
        cw.from_keras(torch.nn.LSTM(3, 5))
    with pytest.raises(ArgumentError, match="read the file with keras.saving.load_model"):
        cw.from_keras("model.keras")


def test_dropout_between_layers():
    def stack(*rates):
        parts = [L.LSTM(5, return_sequences=True)]
        for rate in rates:
            parts += [L.Dropout(rate), L.LSTM(5, return_sequences=True)]
        model = keras.Sequential(parts)
        with torch.no_grad():
            model(X.float())
        return model

    assert cw.from_keras(stack(0.5, 0.5)).dropout == 0.5
    with pytest.raises(SettingError, match=r"different rates, \[0.25, 0.5\]"):
        cw.from_keras(stack(0.5, 0.25))
    above = keras.Sequential([L.LSTM(5, return_sequences=True), L.Dropout(0.5)])
    with torch.no_grad():
        above(X.float())
    with pytest.raises(SettingError, match="Dropout 'dropout.*' cannot be taken over"):
        cw.from_keras(above)


def test_it_comes_out_of_a_file(tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), L.LSTM(5), L.Dense(2)])
    model.save(tmp_path / "model.keras")
    read = keras.saving.load_model(tmp_path / "model.keras")
    ours = cw.from_keras(read.layers[0])
    with torch.no_grad():
        wanted, (_, (state,)) = model.layers[0](X.float()), ours(X.float())
    torch.testing.assert_close(state["h"], wanted, rtol=0, atol=1e-6)
