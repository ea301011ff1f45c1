"""Weights in an ONNX model: initializers of every kind, and what nodes compute of them."""

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.errors import ArgumentError, ModelFileError, SettingError

pytest.importorskip("onnx")
import ml_dtypes  # comes with onnx
import onnx
import onnx_models as models
from onnx import helper, numpy_helper


def assert_same_weights(ours, weights, kind="GRU"):
    """That they are those of a model in which they simply stand."""
    wanted = cw.from_onnx(models.model(kind, weights)).state_dict()
    for name, value in ours.state_dict().items():
        assert value.dtype is wanted[name].dtype
        assert torch.equal(value, wanted[name]), name


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


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
@pytest.mark.parametrize("imported", ["", "ai.onnx"])
def test_both_names_of_the_standards_domain(imported, domain):
    weights = models.draw("GRU")
    inner = [helper.make_tensor_value_info("inner", onnx.TensorProto.DOUBLE, None)]
    same = helper.make_node("Identity", ["other"], ["inner"], domain=domain)
    branch = helper.make_graph([same], "branch", [], inner)
    constants = weights | {"other": weights["W"], "yes": np.array(True)}
    del constants["W"]
    options = {"then_branch": branch, "else_branch": branch, "domain": domain}
    nodes = [helper.make_node("If", ["yes"], ["W"], **options), models.node("GRU", weights)]
    model = models.graph_model(nodes, constants, ["X"], ["Y"])
    model.opset_import[0].domain = imported
    assert_same_weights(cw.from_onnx(model), weights)


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
    gaps = models.node("LSTM", weights | {"P": weights["B"]})
    with pytest.raises(ArgumentError, match="the node does not read '', but X, W"):
        cw.from_onnx(gaps, initializers=weights | {"": weights["W"]})
    with pytest.raises(SettingError, match="Relu 'Y' is none of LSTM, GRU, RNN"):
        cw.from_onnx(helper.make_node("Relu", ["X"], ["Y"]))


def test_the_default_device_is_another_one():
    weights = models.draw("LSTM") | {"initial_h": np.ones((1, 1, 5))}
    with torch.device("meta"):
        ours = cw.from_onnx(models.model("LSTM", weights))
    assert torch.equal(ours.layer0.i_x, torch.tensor(weights["W"][0, :5]))
    assert bool((ours.layer0.initial_h == 1).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_initializers_that_are_tensors_of_torch(dtype):
    weights = {name: torch.tensor(value).to(dtype) for name, value in models.draw("GRU").items()}
    weights["R"] = torch.nn.Parameter(weights["R"].mT.contiguous()).mT
    ours = cw.from_onnx(models.node("GRU", weights), initializers=weights)
    assert ours.layer0.z_x.dtype is dtype
    assert torch.equal(ours.layer0.z_x, weights["W"][0, :5])
    assert torch.equal(ours.layer0.n_rh, weights["R"][0, 10:])


@pytest.mark.parametrize("turned", [lambda w: w[:, ::-1], lambda w: w.astype(">f8")])
def test_initializers_as_they_lie_in_memory(turned):
    weights = models.draw("GRU")
    given = weights | {"W": turned(weights["W"])}
    ours = cw.from_onnx(models.node("GRU", weights), initializers=given)
    assert_same_weights(ours, weights | {"W": given["W"].astype("f8", order="C")})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w | {"W": w["W"].tolist()}, "'W' should be an array, .* not a list"),
        (lambda w: w | {"W": None}, "'W' should be an array, .* not a NoneType"),
        (lambda w: w | {"W": torch.ones(1, 15, 3).to_sparse()}, "'W' is no array: .*Sparse"),
        (lambda w: w | {"W": torch.ones(1, 15, 3, device="meta")}, "'W' is no array: .*meta"),
        (lambda w: list(w.values()), "not a list with a ndarray in it"),
        (lambda w: w["W"], "not a ndarray with a ndarray in it"),
        (lambda w: models.model("GRU", w), "TensorProtos, not a ModelProto$"),
        (lambda w: 3, "TensorProtos, not a int$"),
    ],
)
def test_initializers_that_are_none(change, words):
    weights = models.draw("GRU")
    with pytest.raises(ArgumentError, match=words):
        cw.from_onnx(models.node("GRU", weights), initializers=change(weights))


def sparse(array, *, flat):
    """A sparse tensor named W."""
    places = np.flatnonzero(array) if flat else np.argwhere(array)
    values = numpy_helper.from_array(array[array != 0], "W")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(places), array.shape)


@pytest.mark.parametrize("flat", [True, False])
def test_sparse_initializers(flat):
    weights = models.draw("GRU")
    weights["W"] *= np.random.default_rng(2).random(weights["W"].shape) < 0.3
    others = {name: value for name, value in weights.items() if name != "W"}
    node, found = models.node("GRU", weights), sparse(weights["W"], flat=flat)
    model = models.graph_model([node], others, ["X"], ["Y"])
    model.graph.sparse_initializer.append(found)
    constant = helper.make_node("Constant", [], ["W"], sparse_value=found)
    for ours in (
        cw.from_onnx(model),
        cw.from_onnx(node, initializers=[found, *model.graph.initializer]),
        cw.from_onnx(models.graph_model([constant, node], others, ["X"], ["Y"])),
    ):
        assert_same_weights(ours, weights)


@pytest.mark.parametrize("place", [-1, 45])
@pytest.mark.parametrize("flat", [True, False])
def test_sparse_initializers_that_point_elsewhere(flat, place):
    weights = models.draw("GRU")
    found = sparse(weights.pop("W"), flat=flat)
    places = numpy_helper.to_array(found.indices).copy()
    places.flat[-1] = place
    found.indices.CopyFrom(numpy_helper.from_array(places))
    model = models.graph_model([models.node("GRU", weights, ("X", "W"))], weights, ["X"], ["Y"])
    model.graph.sparse_initializer.append(found)
    with pytest.raises(
        ModelFileError, match=r"the sparse 'W' with dims=\[1, 15, 3\] cannot be read"
    ):
        cw.from_onnx(model)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("raw_data", bytes(8 * 44), r"'W' with data_type=11 and dims=\[1, 15, 3\] cannot be read"),
        ("raw_data", bytes(3), "'W' with data_type=11 .* cannot be read"),
        ("data_type", 117, "'W' with data_type=117 .* cannot be read"),
        ("data_type", 0, "'W' with data_type=0 .* cannot be read"),
        ("data_location", onnx.TensorProto.EXTERNAL, "'W' stand in a file .* with onnx.load"),
    ],
)
def test_initializers_that_cannot_be_read(field, value, words):
    weights = models.draw("GRU")
    model = models.model("GRU", weights)
    setattr(model.graph.initializer[0], field, value)
    with pytest.raises(ModelFileError, match=words):
        cw.from_onnx(model)
    behind = helper.make_node("Identity", ["W"], ["same"])
    model.graph.node[0].input[1] = "same"
    model.graph.node.insert(0, behind)
    with pytest.raises(ModelFileError, match=words):
        cw.from_onnx(model)


def test_numbers_in_a_file_of_their_own(tmp_path):
    weights = models.draw("GRU")
    path = tmp_path / "model.onnx"
    options = {"save_as_external_data": True, "location": "numbers", "size_threshold": 0}
    onnx.save(models.model("GRU", weights), path, **options)
    assert_same_weights(cw.from_onnx(path), weights)
    with pytest.raises(ModelFileError, match="'W' stand in a file of their own"):
        cw.from_onnx(onnx.load(path, load_external_data=False))


def test_a_constant_that_is_computed_from_another_weight():
    weights = models.draw("GRU", features=5)
    weights["R"] = weights["W"][:, :, ::-1]
    numbers = {"half": weights["W"], "five": np.array([4]), "end": np.array([-9])}
    numbers |= {"axis": np.array([2]), "back": np.array([-1]), "B": weights["B"]}
    nodes = [
        helper.make_node("Identity", ["half"], ["W"]),
        helper.make_node("Slice", ["W", "five", "end", "axis", "back"], ["R"]),
        models.node("GRU", weights),
    ]
    assert_same_weights(cw.from_onnx(models.graph_model(nodes, numbers, ["X"], ["Y"])), weights)
