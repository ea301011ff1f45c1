"""Options of ONNX' LSTM, GRU and RNN against whoever implements them independently.

That is the reference evaluator of the onnx package for what it implements, onnxruntime for
nearly all of it (where it is installed), and the formulas of the standard for the rest.
"""

import copy
import pickle

import numpy as np
import onnx_formulas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cellwright as cw
from cellwright.errors import SettingError

pytest.importorskip("onnx")
import onnx_models as models
from onnx.reference import ReferenceEvaluator

SIDES = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
KINDS = ("LSTM", "GRU", "RNN")
FORMULAS = onnx_formulas.FUNCTIONS
NUMBERS = {"Affine": 2, "ScaledTanh": 2, "HardSigmoid": 2} | dict.fromkeys(
    ("LeakyRelu", "ThresholdedRelu", "Elu"), 1
)
DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


def evaluated(model, feeds):
    """Y and the last states by the reference evaluator, with layout 0."""
    y, *last = ReferenceEvaluator(model).run(None, feeds)
    return y, dict(zip("hc", last, strict=False))


def calls(names, numbers, sides):
    """The functions of each direction, each with its numbers."""

    def call(name, own):
        return lambda value: FORMULAS[name](value, *own)

    made = [call(name, own) for name, own in zip(names, numbers, strict=True)]
    each = len(made) // sides
    return [made[at : at + each] for at in range(0, len(made), each)]


def attributes_of(names, numbers):
    """The attributes that say so: numbers in the order of the functions that take them."""
    alphas = [own[0] for own in numbers if own]
    betas = [own[1] for own in numbers if len(own) > 1]
    return {
        "activations": names,
        **({"activation_alpha": alphas} if alphas else {}),
        **({"activation_beta": betas} if betas else {}),
    }


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("direction", SIDES)
@pytest.mark.parametrize(
    ("kind", "options", "cell"),
    [
        ("LSTM", {}, "lstm"),
        ("LSTM", {"peepholes": True}, "peephole_lstm"),
        ("GRU", {}, "gru_reset_before"),
        ("GRU", {"linear_before_reset": 1}, "gru"),
        ("RNN", {}, "elman"),
    ],
)
def test_as_the_reference_evaluator(kind, options, cell, direction, bias):
    options = dict(options)
    sides = len(SIDES[direction])
    weights = models.draw(kind, sides=sides, bias=bias, peepholes=options.pop("peepholes", False))
    model = models.model(kind, weights, direction=direction, **options)
    ours = cw.from_onnx(model)
    assert ours.cell.name == cell
    assert any(name.endswith("bias") for name in ours.state_dict()) == bias
    x = models.sequence()
    models.assert_close(models.as_standard(ours, x), evaluated(model, {"X": x}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", [0, 1])
def test_initial_states_that_are_given(kind, layout):
    weights = models.draw(kind)
    rng = np.random.default_rng(3)
    first = {f"initial_{s}": rng.normal(size=(1, 4, 5)) for s in ("hc" if kind == "LSTM" else "h")}
    feeds = {name: value.swapaxes(0, 1) if layout else value for name, value in first.items()}
    x = models.sequence()
    model = models.model(kind, weights, ("X", *first), layout=layout)
    ours = cw.from_onnx(model)
    assert ours.batch_first == bool(layout)
    state = [{name[-1]: torch.tensor(value[0]) for name, value in first.items()}]
    y, last = evaluated(model, {"X": x.swapaxes(0, 1) if layout else x, **feeds})
    if layout:
        y = np.moveaxis(y, 0, 2)
        last = {name: value.swapaxes(0, 1) for name, value in last.items()}
    models.assert_close(models.as_standard(ours, x, state), (y, last))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", SIDES)
def test_initial_states_that_are_constant_are_learned(kind, direction):
    sides = len(SIDES[direction])
    rng = np.random.default_rng(3)
    names = ("initial_h", "initial_c") if kind == "LSTM" else ("initial_h",)
    rows = {name: np.repeat(rng.normal(size=(sides, 1, 5)), 4, axis=1) for name in names}
    model = models.model(kind, models.draw(kind, sides=sides) | rows, direction=direction)
    ours = cw.from_onnx(model)
    assert torch.equal(ours.layer0.initial_h, torch.tensor(rows["initial_h"][0, 0]))
    assert ours.layer0.initial_h.requires_grad
    x = models.sequence()
    models.assert_close(models.as_standard(ours, x), evaluated(model, {"X": x}))


@pytest.mark.parametrize("direction", SIDES)
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_that_are_given(kind, direction):
    sides = SIDES[direction]
    weights, x = models.draw(kind, sides=len(sides)), models.sequence()
    ours = cw.from_onnx(models.model(kind, weights, ("X", "sequence_lens"), direction=direction))
    lengths = [7, 0, 3, 1]
    functions = calls(
        DEFAULTS[kind] * len(sides), [()] * len(DEFAULTS[kind]) * len(sides), len(sides)
    )
    wanted = onnx_formulas.run(kind, x, weights, functions, directions=sides, lengths=lengths)
    models.assert_close(models.as_standard(ours, x, lengths=lengths), wanted)


@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("input_forget", [0, 1])
def test_options_of_the_lstm(input_forget, peepholes, clip):
    weights, x = models.draw("LSTM", peepholes=peepholes), models.sequence()
    options = {"input_forget": input_forget} | ({"clip": clip} if clip else {})
    ours = cw.from_onnx(models.model("LSTM", weights, **options))
    if clip:
        options["clip"] = float(np.float32(clip))  # as the attribute holds it
    wanted = onnx_formulas.run("LSTM", x, weights, calls(DEFAULTS["LSTM"], [()] * 3, 1), **options)
    models.assert_close(models.as_standard(ours, x), wanted)
    assert ("f_x" in dict(ours.layer0.named_parameters())) != bool(input_forget)


def test_clip_bounds_the_memory_before_the_readout():
    """In the standard's words: what enters every activation; onnxruntime leaves this one out."""
    weights = {"W": np.full((1, 4, 1), 9.0), "R": np.zeros((1, 4, 1))}
    ours = cw.from_onnx(models.model("LSTM", weights, clip=1.0))
    gate, update, c, wanted = 1 / (1 + np.exp(-1.0)), np.tanh(1.0), 0.0, []
    for _ in range(6):
        c = gate * c + gate * update
        wanted.append(gate * np.tanh(min(c, 1.0)))
    assert c > 1.5  # so that it makes a difference
    y, last = models.as_standard(ours, np.ones((6, 1, 1)))
    np.testing.assert_allclose(y.ravel(), wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(last["c"].ravel(), [c], rtol=0, atol=1e-12)


@pytest.mark.parametrize("spread", [0.7, None])
@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_activation(kind, name, spread):
    """In every place where the operator has a function, with numbers and with defaults."""
    if spread is None and name in ("Affine", "ScaledTanh"):
        return  # these have no defaults
    numbers = (0.75, 0.25)[: NUMBERS.get(name, 0)] if spread else ()
    names = [name] * len(DEFAULTS[kind])
    if kind != "RNN" and name in ("Affine", "LeakyRelu", "Relu", "Elu", "Softplus"):
        names[0] = "Sigmoid"  # gates without a bound let numbers grow beyond comparison
    each = [numbers if own == name else () for own in names]
    weights, x = models.draw(kind), models.sequence()
    ours = cw.from_onnx(models.model(kind, weights, **attributes_of(names, each)))
    wanted = onnx_formulas.run(kind, x, weights, calls(names, each, 1))
    # Numbers in attributes are float32; the defaults of the standard are decimal.
    models.assert_close(models.as_standard(ours, x), wanted, atol=1e-12 if spread else 1e-7)


def test_affine_as_the_reference_evaluator():
    weights, x = models.draw("RNN"), models.sequence()
    numbers = attributes_of(["Affine"], [(0.75, 0.25)])
    model = models.model("RNN", weights, **numbers)
    models.assert_close(models.as_standard(cw.from_onnx(model), x), evaluated(model, {"X": x}))


def test_functions_of_their_own_for_each_direction():
    names = ["HardSigmoid", "Softsign", "LeakyRelu", "Sigmoid", "ScaledTanh", "Tanh"]
    numbers = [(0.25, 0.5), (), (0.125,), (), (0.75, 0.5), ()]
    weights, x = models.draw("LSTM", sides=2), models.sequence()
    model = models.model(
        "LSTM", weights, direction="bidirectional", **attributes_of(names, numbers)
    )
    ours = cw.from_onnx(model)
    wanted = onnx_formulas.run(
        "LSTM", x, weights, calls(names, numbers, 2), directions=(False, True)
    )
    models.assert_close(models.as_standard(ours, x), wanted)
    assert "0.75 ⊙ tanh(0.5" in cw.Cell(ours.layer0_reverse.graph).equations


def test_what_came_in_is_a_recurrent_like_any_other():
    names = ["HardSigmoid", "Tanh", "Tanh", "Sigmoid", "Tanh", "Softsign"]
    weights, x = models.draw("LSTM", sides=2), torch.tensor(models.sequence())
    model = models.model("LSTM", weights, direction="bidirectional", activations=names)
    ours = cw.from_onnx(model)
    ours.backend = "reference"
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.equal(other(x)[0], ours(x)[0])
    assert cw.record(ours, x)[0]["f"].shape == (7, 4, 2, 5)
    one = cw.from_onnx(models.model("GRU", models.draw("GRU"), clip=2.0))
    one.backend = "reference"
    stream = one.stream(4)
    steps = torch.stack([stream.step(step).clone() for step in x])
    torch.testing.assert_close(steps, one(x)[0])
    back = cw.from_onnx(models.model("GRU", models.draw("GRU"), direction="reverse"))
    with pytest.raises(SettingError, match="reads from the end cannot be streamed"):
        back.stream()


# Those that grow without bounds stay out: they would compare infinities.
BOUNDED = ("Tanh", "Sigmoid", "Softsign", "HardSigmoid", "ScaledTanh", "ThresholdedRelu")


@settings(max_examples=40)
@given(data=st.data())
def test_any_options_together(data):
    kind = data.draw(st.sampled_from(KINDS))
    direction = data.draw(st.sampled_from([*SIDES]))
    sides = len(SIDES[direction])
    names = data.draw(
        st.lists(
            st.sampled_from(BOUNDED),
            min_size=sides * len(DEFAULTS[kind]),
            max_size=sides * len(DEFAULTS[kind]),
        )
    )
    number = st.sampled_from([-0.5, 0.25, 0.5, 1.0, 1.5])
    numbers = [tuple(data.draw(number) for _ in range(NUMBERS.get(name, 0))) for name in names]
    own = {"LSTM": "input_forget", "GRU": "linear_before_reset"}.get(kind)
    options = {own: data.draw(st.sampled_from([0, 1]))} if own else {}
    if data.draw(st.booleans()):
        options["clip"] = data.draw(st.sampled_from([0.25, 1.0]))
    bias, peepholes = data.draw(st.booleans()), kind == "LSTM" and data.draw(st.booleans())
    weights = models.draw(kind, sides=sides, bias=bias, peepholes=peepholes)
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=2, max_size=2))
    x = models.sequence(steps=4, rows=2)
    model = models.model(
        kind,
        weights,
        ("X", "sequence_lens"),
        direction=direction,
        **attributes_of(names, numbers),
        **options,
    )
    wanted = onnx_formulas.run(
        kind,
        x,
        weights,
        calls(names, numbers, sides),
        directions=SIDES[direction],
        lengths=lengths,
        **options,
    )
    models.assert_close(models.as_standard(cw.from_onnx(model), x, lengths=lengths), wanted, 1e-10)


@pytest.mark.parametrize("direction", SIDES)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {"peepholes": True, "input_forget": 1, "clip": 0.3}),
        ("LSTM", {"names": ["HardSigmoid", "Softsign", "Elu"]}),
        ("LSTM", {"names": ["Sigmoid", "LeakyRelu", "ScaledTanh"], "clip": 2.0}),
        ("GRU", {"linear_before_reset": 1, "clip": 0.3}),
        ("GRU", {"linear_before_reset": 0, "names": ["HardSigmoid", "ThresholdedRelu"]}),
        ("RNN", {"names": ["Softplus"]}),
        ("RNN", {"names": ["Affine"], "clip": 0.3}),
    ],
)
def test_as_onnxruntime(kind, options, direction):
    runtime = pytest.importorskip("onnxruntime")
    options, sides = dict(options), len(SIDES[direction])
    names = options.pop("names", None)
    if names:
        numbers = [(0.75, 0.25)[: NUMBERS.get(name, 0)] for name in names]
        options |= attributes_of(names * sides, numbers * sides)
    peepholes = options.pop("peepholes", False)
    weights = models.draw(kind, sides=sides, peepholes=peepholes, dtype="f4")
    x = models.sequence(dtype="f4")
    model = models.model(kind, weights, ("X", "sequence_lens"), direction=direction, **options)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    lengths = np.array([7, 2, 3, 1], "i4")
    y, *last = session.run(None, {"X": x, "sequence_lens": lengths})
    got = models.as_standard(cw.from_onnx(model), x, lengths=lengths.tolist())
    models.assert_close(got, (y, dict(zip("hc", last, strict=False))), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {"direction": "bidirectional", "peepholes": True}),
        ("GRU", attributes_of(["HardSigmoid", "Softsign"], [(0.25, 0.5), ()])),
    ],
)
def test_compiled_in_single_precision(kind, options):
    options = dict(options)
    sides = len(SIDES[options.get("direction", "forward")])
    weights = models.draw(kind, sides=sides, peepholes=options.pop("peepholes", False), dtype="f4")
    ours = cw.from_onnx(models.model(kind, weights, **options))
    x = torch.tensor(models.sequence(dtype="f4"))
    with torch.no_grad():
        got = ours(x)[0]
        ours.backend = "reference"
        torch.testing.assert_close(got, ours(x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activations": ["Sigmoid", "Tanh", "Tahn"]}, "has 'Tahn'.* Did you mean 'Tanh'?"),
        ({"activations": ["Sigmoid", "Tanh"]}, r"activations=\['Sigmoid', 'Tanh'\] should name 3"),
        (
            {"activations": ["Sigmoid", "Affine", "Tanh"]},
            "with Affine, for which activation_alpha has no default",
        ),
        (
            {"activations": ["Sigmoid", "ScaledTanh", "Tanh"], "activation_alpha": [0.5]},
            "with ScaledTanh, for which activation_beta has no default",
        ),
        (
            {"activations": ["Sigmoid", "Tanh", "Elu"], "activation_alpha": [0.5, 0.25, 2.0]},
            r"activation_alpha=\[0.5, 0.25, 2.0\] .* not clear which",
        ),
        ({"activation_alpha": [0.5]}, r"activation_alpha=\[0.5\] .* not clear which"),
        ({"clip": 0.0}, "clip=0.0 should be positive"),
        ({"direction": "backward"}, "direction='backward' is none of forward, reverse"),
        ({"input_forget": 2}, "input_forget=2 should be 0 or 1"),
        ({"layout": 2}, "layout=2 should be 0 or 1"),
        ({"output_sequence": 1}, "the attribute output_sequence=1 is not known"),
        ({"linear_before_reset": 1}, "the attribute linear_before_reset=1 is not known"),
    ],
)
def test_options_that_are_refused(options, words):
    with pytest.raises(SettingError, match=words):
        cw.from_onnx(models.model("LSTM", models.draw("LSTM"), **options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"direction": ["forward"]}, r"direction=\['forward'\] is of kind STRINGS; .* STRING$"),
        ({"direction": 1}, "direction=1 is of kind INT; it should be of kind STRING$"),
        ({"clip": "a"}, "clip='a' is of kind STRING; it should be of kind FLOAT$"),
        ({"clip": 1}, "clip=1 is of kind INT; it should be of kind FLOAT$"),
        ({"activations": "Tanh"}, "activations='Tanh' is of kind STRING; .* STRINGS$"),
        ({"activations": [1.0]}, r"activations=\[1.0\] is of kind FLOATS; .* STRINGS$"),
        ({"activation_alpha": 0.5}, "activation_alpha=0.5 is of kind FLOAT; .* FLOATS$"),
        ({"hidden_size": "5"}, "hidden_size='5' is of kind STRING; it should be of kind INT$"),
        ({"hidden_size": 5.0}, "hidden_size=5.0 is of kind FLOAT; it should be of kind INT$"),
        ({"input_forget": "no"}, "input_forget='no' is of kind STRING; .* of kind INT$"),
    ],
)
def test_attributes_of_another_kind(options, words):
    with pytest.raises(SettingError, match=f"ONNX LSTM 'layer': {words}"):
        cw.from_onnx(models.model("LSTM", models.draw("LSTM"), **options))


def test_attributes_without_a_value():
    model = models.model("GRU", models.draw("GRU"))
    model.graph.node[0].attribute.add(name="clip")
    with pytest.raises(SettingError, match="clip has no value; it should be of kind FLOAT"):
        cw.from_onnx(model)
    clip = model.graph.node[0].attribute[-1]
    clip.type, clip.ref_attr_name = clip.FLOAT, "outer"
    with pytest.raises(SettingError, match="clip has no value; it should be of kind FLOAT"):
        cw.from_onnx(model)
    clip.CopyFrom(type(clip)(name="direction", type=clip.STRING, s=b"\xff"))
    with pytest.raises(SettingError, match="direction='�' is none of forward"):
        cw.from_onnx(model)


def test_numbers_for_every_function_where_both_readings_agree():
    weights, x = models.draw("LSTM"), models.sequence()
    names = ["LeakyRelu", "Tanh", "Tanh"]
    padded = models.model("LSTM", weights, activations=names, activation_alpha=[0.5, 0.0, 0.0])
    wanted = onnx_formulas.run("LSTM", x, weights, calls(names, [(0.5,), (), ()], 1))
    models.assert_close(models.as_standard(cw.from_onnx(padded), x), wanted)
