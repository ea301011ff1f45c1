"""Small ONNX models with one recurrent node, and what they compute."""

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
OUTPUTS = {"LSTM": ["Y", "Y_h", "Y_c"], "GRU": ["Y", "Y_h"], "RNN": ["Y", "Y_h"]}


def draw(kind, *, features=3, hidden=5, sides=1, bias=True, peepholes=False, seed=0, dtype="f8"):
    """W, R and what else is asked for, small."""
    rng = np.random.default_rng(seed)
    wide = GATES[kind] * hidden
    shapes = {"W": (sides, wide, features), "R": (sides, wide, hidden)}
    if bias:
        shapes["B"] = (sides, 2 * wide)
    if peepholes:
        shapes["P"] = (sides, 3 * hidden)
    return {name: (0.4 * rng.normal(size=shape)).astype(dtype) for name, shape in shapes.items()}


def sequence(steps=7, rows=4, features=3, seed=1, dtype="f8"):
    return np.random.default_rng(seed).normal(size=(steps, rows, features)).astype(dtype)


def node(kind, constants, given=("X",), name="layer", **attributes):
    """The node, its inputs named as in the standard, trailing ones left out."""
    names = [i if i in (*constants, *given) else "" for i in INPUTS]
    while not names[-1]:
        names.pop()
    attributes.setdefault("hidden_size", constants["R"].shape[2])
    return helper.make_node(kind, names, OUTPUTS[kind], name=name, **attributes)


def model(kind, constants, given=("X",), opset=14, **attributes):
    """A model of one node."""
    made = node(kind, constants, given, **attributes)
    return graph_model([made], constants, given, OUTPUTS[kind], opset=opset)


def graph_model(nodes, constants, given, outputs, opset=14):
    """A model of any nodes; what is given has no declared shape."""
    kind = TensorProto.DOUBLE
    if any(value.dtype == np.float32 for value in constants.values()):
        kind = TensorProto.FLOAT

    def info(name):
        integer = name == "sequence_lens"
        return helper.make_tensor_value_info(name, TensorProto.INT32 if integer else kind, None)

    graph = helper.make_graph(
        nodes,
        "graph",
        [info(name) for name in given],
        [info(name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def as_standard(layer, x, state=None, **options):
    """Y and the last states of a Recurrent, laid out as the standard does with layout 0."""
    layer.backend = "reference"
    sides = 2 if layer.bidirectional else 1
    x = torch.tensor(x)
    with torch.no_grad():
        y, (states,) = layer(x.transpose(0, 1) if layer.batch_first else x, state, **options)
    y = y.transpose(0, 1) if layer.batch_first else y
    y = y.unflatten(2, (sides, -1)).transpose(1, 2).numpy()
    last = {
        name: (value.transpose(0, 1) if sides == 2 else value.unsqueeze(0)).numpy()
        for name, value in states.items()
    }
    return y, last


def assert_close(got, wanted, atol=1e-12):
    np.testing.assert_allclose(got[0], wanted[0], rtol=atol, atol=atol)
    for name, value in wanted[1].items():
        np.testing.assert_allclose(got[1][name], value, rtol=atol, atol=atol, err_msg=name)
