"""What surrounds a recurrent node of an ONNX model: constants, states, lengths, files."""

import numpy as np
import pytest

import cellwright as cw
from cellwright.errors import ArgumentError, ModelFileError, SettingError, ShapeError

pytest.importorskip("onnx")
import onnx
import onnx_models as models
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def test_weights_that_are_given_or_computed():
    weights = models.draw("GRU")
    del weights["W"]
    with pytest.raises(SettingError, match="GRU 'layer': its weights W='W' are not constant"):
        cw.from_onnx(models.model("GRU", weights, ("X", "W")))


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
    with pytest.raises(ShapeError, match=r"initial_h should be .*, but is \(1, 0, 5\)"):
        cw.from_onnx(models.model("GRU", weights | {"initial_h": same[:, :0]}))
    nowhere = models.node("GRU", weights, ("X", "initial_h"))
    with pytest.raises(SettingError, match="initial_h='initial_h' is nowhere in the graph"):
        cw.from_onnx(models.graph_model([nowhere], weights, ["X"], ["Y"]))
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
        evaluated = ReferenceEvaluator(model).run(None, {"X": x})[0]
        got, _ = models.as_standard(ours, x)
        np.testing.assert_allclose(got, evaluated, rtol=0, atol=1e-12)
    computed = helper.make_node("ReduceMean", ["X"], ["initial_h"])
    model = models.graph_model([computed, given], weights, ["X"], ["Y"])
    with pytest.raises(SettingError, match=r"initial_h='initial_h' is computed .* ReduceMean"):
        cw.from_onnx(model)


def expanded(start, layout):
    """A model with both directions whose initial_h is `start`, by Expand to (2, B, 5)."""
    weights = models.draw("GRU", sides=2)
    one, turned = np.array([1]), start.swapaxes(0, 1) if layout and start.ndim == 3 else start
    numbers = {"start": turned, "zero": one - 1, "one": one, "sides": 2 * one, "five": 5 * one}
    begin, end = ("zero", "one") if layout else ("one", "sides")
    parts = ["rows", "sides", "five"] if layout else ["sides", "rows", "five"]
    nodes = [
        helper.make_node("Shape", ["X"], ["all"]),
        helper.make_node("Slice", ["all", begin, end], ["rows"]),
        helper.make_node("Concat", parts, ["shape"], axis=0),
        helper.make_node("Expand", ["start", "shape"], ["initial_h"]),
    ]
    options = {"direction": "bidirectional", "layout": layout}
    nodes.append(models.node("GRU", weights, ("X", "initial_h"), **options))
    return models.graph_model(nodes, weights | numbers, ["X"], ["Y", "Y_h"])


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("shape", [(5,), (1, 1, 5), (2, 1, 1), (2, 1, 5), (1, 4, 5)])
def test_first_states_that_are_repeated_along_every_axis(shape, layout):
    start = np.random.default_rng(3).normal(size=shape)
    if shape == (1, 4, 5):
        start = start[:, :1].repeat(4, axis=1)
    ours = cw.from_onnx(expanded(start, layout))
    rows = np.broadcast_to(start, (2, 4, 5))
    np.testing.assert_array_equal(ours.layer0.initial_h.detach(), rows[0, 0])
    np.testing.assert_array_equal(ours.layer0_reverse.initial_h.detach(), rows[1, 0])
    x = models.sequence()
    wanted = ReferenceEvaluator(expanded(start, 0)).run(None, {"X": x})
    models.assert_close(models.as_standard(ours, x), (wanted[0], {"h": wanted[1]}))


@pytest.mark.parametrize("layout", [0, 1])
def test_first_states_that_cannot_be_repeated(layout):
    words = r"initial_h should be \(directions=2, batch, hidden=5\).*, but is \(3, 1, 5\)"
    with pytest.raises(ShapeError, match=words):
        cw.from_onnx(expanded(np.ones((3, 1, 5)) * np.arange(5), layout))


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
    for name, axes in (("W", "input"), ("R", "hidden")):
        flat = weights | {name: np.array(0.5)}
        words = rf"{name} should be \(directions, gates·hidden, {axes}\), but is \(\)"
        with pytest.raises(ShapeError, match=words):
            cw.from_onnx(models.node("GRU", weights), initializers=flat)
    peep = models.draw("LSTM", peepholes=True)
    with pytest.raises(ShapeError, match=r"P should be \(directions=1, entries=15\)"):
        cw.from_onnx(models.model("LSTM", peep | {"P": peep["P"][:, :10]}))


def test_weights_of_different_types():
    weights = models.draw("GRU")
    mixed = models.model("GRU", weights | {"W": weights["W"].astype("f4")})
    words = "W is torch.float32, R is torch.float64, B is torch.float64; ONNX has one type for all"
    with pytest.raises(SettingError, match=words):
        cw.from_onnx(mixed)
    first = weights | {"initial_h": np.full((1, 4, 5), 0.1, "f4")}
    with pytest.raises(SettingError, match="R is torch.float64, initial_h is torch.float32; ONNX"):
        cw.from_onnx(models.model("GRU", first))


def test_a_node_that_reads_more_than_there_is():
    weights = models.draw("GRU") | {"P": np.ones((1, 15))}
    with pytest.raises(SettingError, match="GRU 'layer' reads 'P' behind initial_h, which is"):
        cw.from_onnx(models.model("GRU", weights))
    plain = models.node("GRU", models.draw("GRU"))
    plain.input.extend(["", "", ""])
    assert cw.from_onnx(plain, initializers=models.draw("GRU")).input_size == 3


def test_a_node_that_reads_nothing():
    node = helper.make_node("LSTM", [], ["Y"])
    for model in (node, models.graph_model([node], {}, ["X"], ["Y"])):
        with pytest.raises(SettingError, match="ONNX LSTM 'Y' has no W"):
            cw.from_onnx(model)
    weights = models.draw("GRU")
    for maker in ("Identity", "Cast"):
        made = helper.make_node(maker, [], ["initial_h"])
        nodes = [made, models.node("GRU", weights, ("X", "initial_h"))]
        with pytest.raises(ModelFileError, match="constant 'initial_h' cannot be computed"):
            cw.from_onnx(models.graph_model(nodes, weights, ["X"], ["Y"]))
    same = helper.make_node("Identity", [], ["X"])
    nodes = [same, models.node("GRU", weights)]
    assert cw.from_onnx(models.graph_model(nodes, weights, [], ["Y"])).input_size == 3
    ring = [helper.make_node("Identity", *names) for names in ((["A"], ["X"]), (["X"], ["A"]))]
    nodes = [*ring, models.node("GRU", weights)]
    assert cw.from_onnx(models.graph_model(nodes, weights, [], ["Y"])).input_size == 3


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


@pytest.mark.filterwarnings("ignore:The onnxtxt format is experimental")
@pytest.mark.parametrize(
    "suffix", ["json", "onnxjson", "textproto", "pbtxt", "prototxt", "onnxtxt"]
)
def test_files_that_onnx_reads_as_text(tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    onnx.save(models.model("GRU", models.draw("GRU")), path)
    assert cw.from_onnx(path).hidden_sizes == (5,)
    path.write_text('{"a": 1}')
    with pytest.raises(ModelFileError, match=f"model.{suffix}: not an ONNX model"):
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
