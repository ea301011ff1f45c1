"""What surrounds a recurrent node of an ONNX model: constants, states, lengths, files."""

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.errors import ArgumentError, ModelFileError, SettingError, ShapeError

pytest.importorskip("onnx")
import ml_dtypes  # comes with onnx
import onnx
import onnx_models as models
from onnx import helper, numpy_helper


def test_weights_behind_nodes_that_compute_constants():
    weights = models.draw("GRU")
    halves = {"left": weights["W"][:, :, :1], "right": weights["W"][:, :, 1:], "R": weights["R"]}
    bias = numpy_helper.from_array(weights["B"])
    nodes = [
        helper.make_node("Concat", ["left", "right"], ["W"], axis=2),
        helper.make_node("Constant", [], ["B"], value=bias),
        models.node("GRU", weights),
    ]
    model = models.graph_model(nodes, halves, ["X"], ["Y"])
    plain = cw.from_onnx(models.model("GRU", weights)).state_dict()
    for name, value in cw.from_onnx(model).state_dict().items():
        assert torch.equal(value, plain[name]), name


def test_weights_that_are_given_or_computed():
    weights = models.draw("GRU")
    del weights["W"]
    with pytest.raises(SettingError, match="GRU 'layer': its weights W='W' are not constant"):
        cw.from_onnx(models.model("GRU", weights, ("X", "W")))


def branches(name):
    """An If that draws in one branch and gives a constant in the other."""
    drawn = helper.make_node("RandomNormal", [], ["inner"], shape=[1, 15, 3], dtype=11)
    same = helper.make_node("Identity", ["other"], ["inner"])
    inner = [helper.make_tensor_value_info("inner", onnx.TensorProto.DOUBLE, None)]
    graphs = [helper.make_graph([node], "branch", [], inner) for node in (drawn, same)]
    return helper.make_node("If", ["yes"], [name], then_branch=graphs[0], else_branch=graphs[1])


@pytest.mark.parametrize(
    "draws",
    [
        helper.make_node("RandomNormal", [], ["drawn"], shape=[1, 15, 3], dtype=11),
        helper.make_node("RandomUniform", [], ["drawn"], shape=[1, 15, 3], dtype=11),
        helper.make_node("RandomNormalLike", ["other"], ["drawn"]),
        helper.make_node("RandomUniformLike", ["other"], ["drawn"]),
        helper.make_node("Bernoulli", ["other"], ["drawn"]),
        helper.make_node("Dropout", ["other", "rate", "yes"], ["drawn"]),
        branches("drawn"),
    ],
    ids=lambda node: node.op_type,
)
def test_weights_that_are_drawn_are_not_constant(draws):
    weights = models.draw("GRU")
    other = weights.pop("W")
    weights |= {"other": abs(other) / 10, "rate": np.array(0.5), "yes": np.array(True)}
    nodes = [draws, helper.make_node("Neg", ["drawn"], ["W"])]
    nodes.append(models.node("GRU", weights, ("X", "W")))
    model = models.graph_model(nodes, weights, ["X"], ["Y"], opset=15)
    with pytest.raises(SettingError, match="its weights W='W' are not constant"):
        cw.from_onnx(model)


def test_a_branch_that_reads_what_stands_outside():
    """Constant, or with what is given: either way it is found out, not run into."""
    weights = models.draw("GRU")
    inner = [helper.make_tensor_value_info("inner", onnx.TensorProto.DOUBLE, None)]
    branch = helper.make_graph(
        [helper.make_node("Identity", ["outer"], ["inner"])], "branch", [], inner
    )
    constants = weights | {"other": weights["W"], "yes": np.array(True)}
    del constants["W"]
    chosen = helper.make_node("If", ["yes"], ["W"], then_branch=branch, else_branch=branch)
    node = models.node("GRU", weights)
    for source, given in (("other", ["X"]), ("fed", ["X", "fed"])):
        outer = helper.make_node("Identity", [source], ["outer"])
        model = models.graph_model([outer, chosen, node], constants, given, ["Y"], opset=16)
        if source == "other":
            wanted = cw.from_onnx(models.model("GRU", weights)).layer0.z_x
            assert torch.equal(cw.from_onnx(model).layer0.z_x, wanted)
        else:
            with pytest.raises(SettingError, match="W='W' are not constant"):
                cw.from_onnx(model)


def test_first_states_of_every_kind():
    weights = models.draw("GRU")
    same = np.tile(np.arange(5.0), (1, 4, 1))
    other = same + np.arange(4.0)[None, :, None]
    with pytest.raises(SettingError, match="'initial_h' differs between the 4 rows"):
        cw.from_onnx(models.model("GRU", weights | {"initial_h": other}))
    with pytest.raises(ShapeError, match=r"initial_h should be \(directions=1, batch, hidden=5\)"):
        cw.from_onnx(models.model("GRU", weights | {"initial_h": same[:, :, :4]}))
    with pytest.raises(ShapeError, match="hidden=5"):
        cw.from_onnx(models.model("GRU", weights | {"initial_h": 0 * same[:, :, :4]}))
    assert not list(
        cw.from_onnx(models.model("GRU", weights | {"initial_h": 0 * same})).layer0.learned
    )
    batch_first = models.model("GRU", weights | {"initial_h": same.swapaxes(0, 1)}, layout=1)
    assert cw.from_onnx(batch_first).layer0.initial_h.tolist() == [0, 1, 2, 3, 4]


def test_first_states_that_take_the_shape_of_the_input():
    weights = models.draw("GRU") | {"start": np.arange(5.0)[None, None], "one": np.array([1])}
    given = models.node("GRU", weights, ("X", "initial_h"))
    shape = [
        helper.make_node("Shape", ["X"], ["all"]),
        helper.make_node("Slice", ["all", "one", "two"], ["rows"]),
        helper.make_node("Concat", ["one", "rows", "five"], ["shape"], axis=0),
    ]
    weights |= {"two": np.array([2]), "five": np.array([5]), "row": np.arange(5.0)}
    half = numpy_helper.from_array(np.array([0.5]))
    for maker, wanted in (
        (helper.make_node("Expand", ["start", "shape"], ["initial_h"]), [0, 1, 2, 3, 4]),
        (helper.make_node("Expand", ["row", "shape"], ["initial_h"]), [0, 1, 2, 3, 4]),
        (helper.make_node("ConstantOfShape", ["shape"], ["initial_h"], value=half), [0.5] * 5),
    ):
        model = models.graph_model([*shape, maker, given], weights, ["X"], ["Y"])
        ours = cw.from_onnx(model)
        assert ours.layer0.initial_h.tolist() == wanted
        x = models.sequence()
        evaluated = onnx.reference.ReferenceEvaluator(model).run(None, {"X": x})[0]
        got, _ = models.as_standard(ours, x)
        np.testing.assert_allclose(got, evaluated, rtol=0, atol=1e-12)
    computed = helper.make_node("ReduceMean", ["X"], ["initial_h"])
    model = models.graph_model([computed, given], weights, ["X"], ["Y"])
    with pytest.raises(SettingError, match=r"initial_h='initial_h' is computed .* ReduceMean"):
        cw.from_onnx(model)


def test_lengths_that_cannot_be_taken_over():
    weights = models.draw("RNN")
    fixed = models.model("RNN", weights | {"sequence_lens": np.array([7, 3], "i4")})
    words = r"sequence_lens=\[7, 3\] is constant .* make 'sequence_lens' an input of the graph"
    with pytest.raises(SettingError, match=words):
        cw.from_onnx(fixed)
    added = helper.make_node("Add", ["lengths", "lengths"], ["sequence_lens"])
    node = models.node("RNN", weights, ("X", "sequence_lens"))
    model = models.graph_model([added, node], weights, ["X", "lengths"], ["Y"])
    with pytest.raises(SettingError, match="sequence_lens='sequence_lens' is computed in the"):
        cw.from_onnx(model)
    cast = helper.make_node("Cast", ["lengths"], ["sequence_lens"], to=onnx.TensorProto.INT32)
    node = models.node("RNN", weights, ("X", "sequence_lens"))
    model = models.graph_model([cast, node], weights, ["X", "lengths"], ["Y"])
    assert cw.from_onnx(model).num_layers == 1


def test_weights_of_another_shape():
    weights = models.draw("GRU")
    words = r"ONNX LSTM 'layer': W should be \(directions=1, gates·hidden=20, input=3\)"
    with pytest.raises(ShapeError, match=words):
        cw.from_onnx(models.model("LSTM", weights))
    with pytest.raises(ShapeError, match="directions=2"):
        cw.from_onnx(models.model("GRU", weights, direction="bidirectional"))
    with pytest.raises(ShapeError, match="gates·hidden=18"):
        cw.from_onnx(models.model("GRU", weights, hidden_size=6))
    with pytest.raises(ShapeError, match=r"B should be \(directions=1, entries=30\)"):
        cw.from_onnx(models.model("GRU", weights | {"B": weights["B"][:, :15]}))
    peep = models.draw("LSTM", peepholes=True)
    with pytest.raises(ShapeError, match=r"P should be \(directions=1, entries=15\)"):
        cw.from_onnx(models.model("LSTM", peep | {"P": peep["P"][:, :10]}))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("f2", torch.float16), ("f4", torch.float32), ("f8", torch.float64)],
)
def test_dtypes(kind, dtype):
    weights = models.draw("LSTM", dtype=kind)
    assert cw.from_onnx(models.model("LSTM", weights)).layer0.i_h.dtype is dtype
    narrow = {name: value.astype(ml_dtypes.bfloat16) for name, value in weights.items()}
    assert cw.from_onnx(models.model("LSTM", narrow)).layer0.i_h.dtype is torch.bfloat16
    rounded = {name: value.astype("i4") for name, value in weights.items()}
    with pytest.raises(SettingError, match="W holds int32; only floating-point"):
        cw.from_onnx(models.model("LSTM", rounded))


def test_a_node_with_its_initializers():
    weights = models.draw("LSTM")
    node = models.node("LSTM", weights)
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    wanted = cw.from_onnx(models.model("LSTM", weights)).state_dict()
    for given in (weights, tensors):
        for name, value in cw.from_onnx(node, initializers=given).state_dict().items():
            assert torch.equal(value, wanted[name])
    with pytest.raises(SettingError, match="W='W' are not constant"):
        cw.from_onnx(node)
    with pytest.raises(ArgumentError, match="the node does not read 'weight', but X, W, R, B"):
        cw.from_onnx(node, initializers={"weight": weights["W"]})
    with pytest.raises(SettingError, match="Relu 'Y' is none of LSTM, GRU, RNN"):
        cw.from_onnx(helper.make_node("Relu", ["X"], ["Y"]))


def test_files(tmp_path):
    weights = models.draw("LSTM")
    path = tmp_path / "model.onnx"
    onnx.save(models.model("LSTM", weights), path)
    assert cw.from_onnx(path).hidden_sizes == cw.from_onnx(str(path)).hidden_sizes == (5,)
    with pytest.raises(ModelFileError, match="there is no such file"):
        cw.from_onnx(tmp_path / "other.onnx")
    path.write_bytes(b"no model at all")
    with pytest.raises(ModelFileError, match="not an ONNX model"):
        cw.from_onnx(path)


def test_what_is_no_model():
    with pytest.raises(
        ArgumentError, match="takes a ModelProto, a NodeProto or a path, not a dict"
    ):
        cw.from_onnx({})
    with pytest.raises(ArgumentError, match="belong to a NodeProto"):
        cw.from_onnx(models.model("RNN", models.draw("RNN")), initializers={})
    with pytest.raises(SettingError, match="of opset 3; LSTM, GRU and RNN are read from opset 7"):
        cw.from_onnx(models.model("RNN", models.draw("RNN"), opset=3))
