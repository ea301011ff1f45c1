"""torch's LSTM and GRU as one ONNX node, run by ONNX Runtime.

ONNX orders an LSTM's gates i o f c and a GRU's z r h; torch i f g o and r z n.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from peers.timing import Candidate

__all__ = ["STATES", "inference", "session"]

ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
STATES = {"LSTM": ("h", "c"), "GRU": ("h",)}


def session(net: nn.RNNBase, steps: int, batch: int) -> Any:
    """An inference session: inputs x and the states before, outputs y and the states after."""
    import onnxruntime  # noqa: PLC0415 an optional peer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        _model(net, steps, batch), options, providers=["CPUExecutionProvider"]
    )


def inference(net: nn.RNNBase, x: Tensor) -> Candidate:
    """One forward pass over (time, batch, input) from zero states."""
    steps, batch, _ = x.shape
    run = session(net, steps, batch)
    zero = np.zeros((1, batch, net.hidden_size), np.float32)
    given = {"x": x.numpy(), **{f"{state}_before": zero for state in STATES[net.mode]}}

    def call() -> Any:
        return run.run(None, given)

    def read(result: Any) -> dict[str, Tensor]:
        return {"output": torch.from_numpy(result[0][:, 0])}

    return Candidate(call, read)


def _model(net: nn.RNNBase, steps: int, batch: int) -> bytes:
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 an optional peer

    def value(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    kind, hidden = net.mode, net.hidden_size
    states = STATES[kind]
    # With linear_before_reset=1 the GRU is torch's.
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(
        kind,
        ["x", "W", "R", "B", "", *(f"{state}_before" for state in states)],
        ["y", *states],
        hidden_size=hidden,
        **more,
    )
    inputs = [value("x", steps, batch, net.input_size)]
    inputs += [value(f"{state}_before", 1, batch, hidden) for state in states]
    outputs = [value("y", steps, 1, batch, hidden)]
    outputs += [value(state, 1, batch, hidden) for state in states]
    arrays = {
        "W": _ordered(net.weight_ih_l0, kind),
        "R": _ordered(net.weight_hh_l0, kind),
        "B": np.concatenate([_ordered(net.bias_ih_l0, kind), _ordered(net.bias_hh_l0, kind)], 1),
    }
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([node], kind, inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8  # old enough for any ONNX Runtime of the last years
    return model.SerializeToString()


def _ordered(weight: Tensor, kind: str) -> np.ndarray:
    """With the gates in ONNX's order and an axis for the one direction."""
    blocks = weight.detach().chunk(len(ORDER[kind]))
    return torch.cat([blocks[place] for place in ORDER[kind]]).numpy()[None]
