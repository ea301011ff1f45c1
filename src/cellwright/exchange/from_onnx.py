"""From ONNX to `Recurrent`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellwright.errors import (
    ArgumentError,
    ModelFileError,
    SettingError,
    did_you_mean,
    require_extra,
)
from cellwright.exchange.assembly import Side, assemble
from cellwright.exchange.onnx_graph import OPERATORS, OnnxGraph, standard
from cellwright.exchange.onnx_node import name_of, read_node
from cellwright.exchange.onnx_stack import find_stack, listed, names_of
from cellwright.nn import Recurrent

__all__ = ["from_onnx"]


def from_onnx(
    model: Any,
    node: str | None = None,
    *,
    initializers: Mapping[str, Any] | Sequence[Any] | None = None,
) -> Recurrent:
    """Take over the recurrent layers of an ONNX model: its nodes LSTM, GRU and RNN.

    All their options are known: peepholes, `input_forget`, `linear_before_reset`, every
    squashing function of the standard with its numbers, for each direction, `clip`, directions
    and layouts, missing inputs. Where a cell of the zoo is exactly meant, it is taken.

    Parameters
    ----------
    model
        A ModelProto of opset 7 or later, the path of one, or a NodeProto.
    node
        Name of the one to take, or of one of its outputs. Without it, the only one of the
        model, or all of them if each reads what the one before writes, as exporters write a
        stack.
    initializers
        For a NodeProto: its constant inputs, name -> array or tensor, or TensorProtos.

    Returns
    -------
    Recurrent
        With the same outputs and last states, of the same dtype, on the CPU, in evaluation
        mode; batch first if `layout` is 1. Output ``Y`` holds the directions on an axis of their
        own, here they stand side by side: (time, batch, directions · units).

        Initial states that are constant in the graph become learned ones, unless they are
        zero. Inputs that are given when the graph runs are given when the layer runs too:
        ``initial_h`` and ``initial_c`` as `state`, ``sequence_lens`` as `lengths`.

    Raises
    ------
    ArgumentError
        `model`, `node` or `initializers` is something else.
    ModelFileError
        The file or a tensor in it cannot be read, or there is no recurrent node.
    SettingError
        A node or an option cannot be taken over exactly; the message names it and its value.
    ShapeError
        A weight has another shape than the others ask for.

    Examples
    --------
    Where onnx is installed::

        encoder = cw.from_onnx("model.onnx", "/encoder/LSTM")
        y, state = encoder(x, lengths=lengths)
    """
    require_extra("onnx", "onnx")
    graph = _graph(model, initializers)
    nodes = [_chosen(graph, node)] if node is not None else find_stack(graph)
    layers: list[list[Side]] = []
    layouts = set()
    for part in nodes:
        sides, batch_first = read_node(graph, part)
        layers.append(sides)
        layouts.add(batch_first)
    if len(layouts) > 1:
        raise SettingError(f"layout=0 and layout=1 in one stack: {listed(nodes)}")
    return assemble(layers, batch_first=layouts.pop()).eval()


def _graph(model: Any, initializers: Any) -> OnnxGraph:
    import onnx  # noqa: PLC0415 an optional package

    if isinstance(model, (str, Path)):
        model = _read(Path(model))
    if isinstance(model, onnx.ModelProto):
        if initializers is not None:
            raise ArgumentError("initializers= belong to a NodeProto; a model has its own")
        return OnnxGraph.of_model(model)
    if isinstance(model, onnx.NodeProto):
        if model.op_type not in OPERATORS or not standard(model):
            raise SettingError(f"{name_of(model)} is none of {', '.join(OPERATORS)} of ONNX")
        return OnnxGraph.of_node(model, initializers)
    raise ArgumentError(
        f"from_onnx takes a ModelProto, a NodeProto or a path, not a {type(model).__name__}"
    )


def _read(path: Path) -> Any:
    import onnx  # noqa: PLC0415

    if not path.is_file():
        raise ModelFileError(f"{path}: there is no such file")
    try:
        return onnx.load(path)
    except Exception as error:  # each of the formats that onnx tells by the suffix has its own
        raise ModelFileError(f"{path}: not an ONNX model: {error}") from error


def _chosen(graph: OnnxGraph, name: Any) -> Any:
    if not isinstance(name, str):
        raise ArgumentError(
            f"node= is the name of a node or of one of its outputs, not a {type(name).__name__}"
        )
    named = [part for part in graph.nodes if name and name in (part.name, *part.output)]
    recurrent = graph.recurrent()
    found = [part for part in recurrent if part in named]
    if len(found) > 1:
        raise SettingError(
            f"{len(found)} recurrent nodes have the name {name!r}; choose one by the name of an "
            f"output: {listed(found)}"
        )
    if named and not found:
        raise SettingError(f"{name_of(named[0])} is none of {', '.join(OPERATORS)} of ONNX")
    if not found:
        raise SettingError(
            f"there is no node {name!r}.{did_you_mean(name, names_of(recurrent))} Recurrent nodes: "
            f"{listed(recurrent) or 'none'}"
        )
    return found[0]
