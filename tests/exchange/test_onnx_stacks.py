"""Recurrent nodes of an ONNX model that are layers of one stack, and how to choose one."""

import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import cellwright as cw
from cellwright.errors import ArgumentError, ModelFileError, SettingError

pytest.importorskip("onnx")
import onnx
import onnx_models as models
from onnx import helper
from onnx.reference import ReferenceEvaluator


def exported(module, *, dynamic):
    """A module as torch writes it."""
    file = io.BytesIO()
    axes = {"x": {0: "first", 1: "second"}} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch, about its exporters
        torch.onnx.export(
            module.eval(),
            (torch.randn(7, 4, 3),),
            file,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=axes,
        )
    return onnx.load_from_string(file.getvalue())


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.LSTM, {"num_layers": 3, "bidirectional": True}),
        (nn.LSTM, {"num_layers": 2}),
        (nn.GRU, {"num_layers": 2, "bidirectional": True, "bias": False}),
        (nn.GRU, {"num_layers": 1}),
        (nn.RNN, {"num_layers": 3, "nonlinearity": "relu"}),
    ],
)
def test_whole_stacks_as_torch_writes_them(kind, options, dynamic):
    theirs = kind(3, 5, **options)
    ours = cw.from_onnx(exported(theirs, dynamic=dynamic))
    ours.backend = "reference"
    assert ours.hidden_sizes == (5,) * theirs.num_layers
    assert not any(name.startswith("initial") for name, _ in ours.layer0.named_parameters())
    x = torch.randn(6, 2, 3)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=0, atol=1e-6)


def stacked(between, *, kinds=("LSTM", "LSTM"), sides=1, lengths=("", ""), **attributes):
    """Two layers and the nodes between them, which end in the tensor "joined"."""
    constants, nodes, features = {}, [], 3
    for number, kind in enumerate(kinds):
        drawn = models.draw(kind, features=features, sides=sides, seed=number)
        own = {f"{name}{number}": value for name, value in drawn.items()}
        inputs = ["X" if number == 0 else "joined", *own, lengths[number]]
        nodes.append(
            helper.make_node(kind, inputs, [f"Y{number}"], name=f"layer{number}", **attributes)
        )
        constants |= own
        if number == 0:
            nodes += between
        features = 5 * sides
    numbers = {"axes0": [1], "axes1": [2], "joint": [0, 0, -1], "fixed": [7, 4, 5]}
    constants |= {name: np.array(value) for name, value in numbers.items()}
    return models.graph_model(nodes, constants, ["X", "sequence_lens", "others"], ["Y1"])


SQUEEZE = [helper.make_node("Squeeze", ["Y0", "axes0"], ["joined"])]
TRANSPOSE = helper.make_node("Transpose", ["Y0"], ["turned"], perm=[0, 2, 1, 3])
RESHAPE = helper.make_node("Reshape", ["turned", "joint"], ["joined"])


@pytest.mark.parametrize(
    ("between", "options"),
    [
        (SQUEEZE, {}),
        ([TRANSPOSE, RESHAPE], {}),
        ([TRANSPOSE, RESHAPE], {"sides": 2, "direction": "bidirectional"}),
        (
            [
                helper.make_node("Identity", ["Y0"], ["same"]),
                helper.make_node("Squeeze", ["same", "axes0"], ["joined"]),
            ],
            {"direction": "reverse"},
        ),
    ],
)
def test_stacks(between, options):
    model = stacked(between, **options)
    ours = cw.from_onnx(model)
    assert ours.num_layers == 2
    ours.backend = "reference"
    x = models.sequence()
    wanted = ReferenceEvaluator(model).run(None, {"X": x})[0]
    with torch.no_grad():
        got = ours(torch.tensor(x))[0].unflatten(2, (wanted.shape[1], -1)).transpose(1, 2)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=1e-12)


def test_a_stack_with_the_batch_first():
    joining = [helper.make_node("Reshape", ["Y0", "joint"], ["joined"])]
    ours = cw.from_onnx(stacked(joining, sides=2, direction="bidirectional", layout=1))
    assert (ours.batch_first, ours.num_layers) == (True, 2)
    with pytest.raises(SettingError, match="are no stack"):  # this mixes time and direction up
        cw.from_onnx(stacked(joining, sides=2, direction="bidirectional"))


@pytest.mark.parametrize(
    ("between", "kinds", "words"),
    [
        (
            [
                helper.make_node("Squeeze", ["Y0", "axes0"], ["s"]),
                helper.make_node("Relu", ["s"], ["joined"]),
            ],
            ("LSTM", "LSTM"),
            "are no stack",
        ),
        ([helper.make_node("Squeeze", ["Y0", "axes1"], ["joined"])], ("LSTM", "LSTM"), "no stack"),
        ([helper.make_node("Reshape", ["Y0", "fixed"], ["joined"])], ("LSTM", "LSTM"), "no stack"),
        (SQUEEZE, ("LSTM", "GRU"), "'layer1' is gru_reset_before, .* 'layer0' below it lstm"),
    ],
)
def test_what_is_no_stack(between, kinds, words):
    model = stacked(between, kinds=kinds)
    with pytest.raises(SettingError, match=words):
        cw.from_onnx(model)
    assert cw.from_onnx(model, "layer1").input_size == 5
    assert cw.from_onnx(model, "Y0").input_size == 3


def test_lengths_hold_for_all_layers():
    same = helper.make_node("Identity", ["sequence_lens"], ["same"])
    cast = helper.make_node("Cast", ["same"], ["cast"], to=onnx.TensorProto.INT32)
    between, lengths = [*SQUEEZE, same, cast], [7, 2, 0, 5]
    model = stacked(between, lengths=("sequence_lens", "cast"))
    y = torch.tensor(models.sequence())
    got, _ = cw.from_onnx(model)(y, lengths=lengths)
    for name in ("layer0", "layer1"):
        y, _ = cw.from_onnx(model, name)(y, lengths=lengths)
    torch.testing.assert_close(got, y, rtol=0, atol=1e-12)
    for other, words in (
        (("sequence_lens", ""), "'layer0' has 'sequence_lens', ONNX LSTM 'layer1' has none"),
        (("", "cast"), "'layer0' has none, ONNX LSTM 'layer1' has 'cast'"),
        (("cast", "others"), "'layer0' has 'cast', ONNX LSTM 'layer1' has 'others'"),
    ):
        model = stacked(between, lengths=other)
        with pytest.raises(SettingError, match=f"sequence_lens differs .*{words}.* with node="):
            cw.from_onnx(model)
        assert cw.from_onnx(model, "layer1").input_size == 5


def test_nodes_that_are_not_there():
    model = stacked(SQUEEZE)
    with pytest.raises(SettingError, match="no node 'layr1'. Did you mean 'layer1'?"):
        cw.from_onnx(model, "layr1")
    with pytest.raises(SettingError, match="Squeeze 'joined' is none of LSTM, GRU, RNN"):
        cw.from_onnx(model, "joined")
    for other in (3, model.graph.node[0]):
        with pytest.raises(ArgumentError, match=f"not a {type(other).__name__}$"):
            cw.from_onnx(model, other)
    nothing = models.graph_model([helper.make_node("Relu", ["X"], ["Y"])], {}, ["X"], ["Y"])
    with pytest.raises(ModelFileError, match="has no node LSTM, GRU or RNN"):
        cw.from_onnx(nothing)
    foreign = models.model("GRU", models.draw("GRU"))
    foreign.graph.node[0].domain = "com.example"
    with pytest.raises(ModelFileError, match="has no node LSTM, GRU or RNN"):
        cw.from_onnx(foreign)


@pytest.mark.parametrize("layout", [2, "first"])
def test_a_stack_with_an_option_that_is_refused(layout):
    with pytest.raises(SettingError, match=f"ONNX LSTM 'layer0': layout={layout!r}"):
        cw.from_onnx(stacked(SQUEEZE, layout=layout))


def test_nodes_of_one_name():
    model = stacked(SQUEEZE)
    assert [node.op_type for node in model.graph.node] == ["LSTM", "Squeeze", "LSTM"]
    model.graph.node[0].name = "layer1"
    with pytest.raises(SettingError, match=r"2 .* 'layer1'; choose .*: 'Y0' \(LSTM\), 'Y1'"):
        cw.from_onnx(model, "layer1")
    assert cw.from_onnx(model, "Y0").input_size == 3
    model.graph.node[0].name = model.graph.node[1].name = "other"
    assert cw.from_onnx(model, "other").input_size == 3
    model.graph.node[0].name = "layer1"
    model.graph.node[1].op_type = "Relu"
    with pytest.raises(SettingError, match=r"are no stack, .*: 'Y0' \(LSTM\), 'Y1' \(LSTM\)"):
        cw.from_onnx(model)
