"""One node of ONNX: its options, and its weights by our names.

D directions, B batch, I input, H hidden, G gates; W is (D, G · H, I), R (D, G · H, H),
B (D, 2 · G · H) and P (D, 3 · H).
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from cellwright.cells.cell import Cell
from cellwright.errors import SettingError, ShapeError, did_you_mean
from cellwright.exchange.activations import Activation
from cellwright.exchange.assembly import Side, biases, blocks, check_shape, tensor_of
from cellwright.exchange.equations import elman_cell, gru_cell, lstm_cell
from cellwright.exchange.onnx_activations import read_activations
from cellwright.exchange.onnx_graph import OnnxGraph

__all__ = ["inputs_of", "name_of", "options_of", "read_node"]


@dataclass(frozen=True)
class _Operator:
    """What the standard says about one of the three operators.

    Attributes
    ----------
    functions
        The default of each squashing function.
    gates
        The blocks of W and R, by our names.
    inputs
        The names of what it reads, in order.
    options
        Its own attributes, whole numbers, beside those that all have.
    """

    functions: tuple[str, ...]
    gates: str
    inputs: tuple[str, ...]
    options: tuple[str, ...]


_FIRST_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h")
# The attributes of all three, each with its kind in ONNX' words.
_OPTIONS = {
    "activation_alpha": "FLOATS",
    "activation_beta": "FLOATS",
    "activations": "STRINGS",
    "clip": "FLOAT",
    "direction": "STRING",
    "hidden_size": "INT",
    "layout": "INT",
}
_OPERATORS = {
    "LSTM": _Operator(
        ("Sigmoid", "Tanh", "Tanh"), "iofg", (*_FIRST_INPUTS, "initial_c", "P"), ("input_forget",)
    ),
    "GRU": _Operator(("Sigmoid", "Tanh"), "zrn", _FIRST_INPUTS, ("linear_before_reset",)),
    "RNN": _Operator(("Tanh",), "h", _FIRST_INPUTS, ()),
}
_REVERSE = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


def name_of(node: Any) -> str:
    """What a message calls a node."""
    return f"ONNX {node.op_type} {node.name or next(filter(None, node.output), '')!r}"


def inputs_of(node: Any) -> dict[str, str]:
    """The tensors that an LSTM, GRU or RNN reads, by the standard's names; "" is none.

    Raises
    ------
    SettingError
        It reads more than the operator does.
    """
    names = _OPERATORS[node.op_type].inputs
    beyond = [name for name in node.input[len(names) :] if name]
    if beyond:
        raise SettingError(
            f"{name_of(node)} reads {', '.join(map(repr, beyond))} behind {names[-1]}, which is "
            f"the last input of the operator"
        )
    return dict(zip(names, node.input, strict=False))


def options_of(node: Any) -> dict[str, Any]:
    """The attributes of an LSTM, GRU or RNN, text as str.

    Raises
    ------
    SettingError
        One is not known, or of a kind or value that the operator does not take.
    """
    where, operator = name_of(node), _OPERATORS[node.op_type]
    kinds = _OPTIONS | dict.fromkeys(operator.options, "INT")
    options = {a.name: _value(where, a, kinds) for a in node.attribute}
    if options.get("direction", "forward") not in _REVERSE:
        raise SettingError(
            f"{where}: direction={options['direction']!r} is none of {', '.join(_REVERSE)}"
        )
    for name in ("layout", "input_forget", "linear_before_reset"):
        if options.get(name, 0) not in (0, 1):
            raise SettingError(f"{where}: {name}={options[name]!r} should be 0 or 1")
    if not options.get("clip", 1.0) > 0:
        raise SettingError(f"{where}: clip={options['clip']!r} should be positive")
    return options


def _value(where: str, attribute: Any, kinds: Mapping[str, str]) -> Any:
    """What is in an attribute of one of these kinds."""
    from onnx import helper  # noqa: PLC0415 an optional package

    name, kind = attribute.name, attribute.AttributeType.Name(attribute.type)
    # A reference has its value where a function is called, and these nodes are in none.
    value = None if attribute.ref_attr_name else _text(helper.get_attribute_value(attribute))
    if name not in kinds:
        raise SettingError(
            f"{where}: the attribute {name}={reprlib.repr(value)} is not known."
            f"{did_you_mean(name, kinds)}"
        )
    if value is None:
        raise SettingError(f"{where}: {name} has no value; it should be of kind {kinds[name]}")
    if kind != kinds[name]:
        raise SettingError(
            f"{where}: {name}={reprlib.repr(value)} is of kind {kind}; it should be of kind "
            f"{kinds[name]}"
        )
    return value


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_text(entry) for entry in value] if isinstance(value, list) else value


def read_node(graph: OnnxGraph, node: Any) -> tuple[list[Side], bool]:
    """The directions of an LSTM, GRU or RNN with their weights, and whether it is batch first.

    Raises
    ------
    SettingError
        An option or input cannot be taken over exactly; the message names it and its value.
    ShapeError
        A weight does not have the shape that the others ask for.
    """
    where, operator = name_of(node), _OPERATORS[node.op_type]
    options = options_of(node)
    inputs = inputs_of(node)
    weights = _weights(graph, where, operator, options, inputs)
    reverse = _REVERSE[options.get("direction", "forward")]
    cells = _cells(where, node.op_type, options, weights, len(reverse))
    layout = bool(options.get("layout", 0))
    _check_lengths(graph, where, inputs.get("sequence_lens", ""))
    first = {
        state: _first_state(graph, where, f"initial_{state}", inputs, weights["R"], layout)
        for state in ("h", "c")
        if inputs.get(f"initial_{state}")
    }
    sides = []
    for number, cell in enumerate(cells):
        own = {name: value[number] for name, value in weights.items()}
        sides.append(
            Side(
                where,
                cell,
                _by_name(operator, own, options),
                hidden=weights["R"].shape[2],
                reverse=reverse[number],
                first={state: value[number] for state, value in first.items() if value.any()},
            )
        )
    return sides, layout


def _check_lengths(graph: OnnxGraph, where: str, name: str) -> None:
    if not name or graph.is_given(name):
        return
    array = graph.constant(name)
    if array is not None:
        lengths = reprlib.repr(array.tolist())
        raise SettingError(
            f"{where}: sequence_lens={lengths} is constant in the graph; a Recurrent has no "
            f"lengths of its own: make {name!r} an input of the graph and give lengths={lengths}"
        )
    raise SettingError(
        f"{where}: sequence_lens={name!r} is computed in the graph; it can only be given from "
        f"outside, and is lengths= here"
    )


def _weights(
    graph: OnnxGraph,
    where: str,
    operator: _Operator,
    options: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> dict[str, Tensor]:
    found = {}
    for name in ("W", "R", "B", "P"):
        if inputs.get(name):
            array = graph.constant(inputs[name])
            if array is None:
                raise SettingError(
                    f"{where}: its weights {name}={inputs[name]!r} are not constant in the graph"
                )
            found[name] = tensor_of(where, name, array)
        elif name in ("W", "R"):
            raise SettingError(f"{where} has no {name}")
    _check_types(where, found)
    for name, last in (("W", "input"), ("R", "hidden")):
        if found[name].ndim != 3:
            raise ShapeError(
                f"{where}: {name} should be (directions, gates·hidden, {last}), but is "
                f"{tuple(found[name].shape)}"
            )
    sides = len(_REVERSE[options.get("direction", "forward")])
    hidden = options.get("hidden_size", found["R"].shape[-1])
    rows = {"gates·hidden": len(operator.gates) * hidden}
    check_shape(where, "W", found["W"], directions=sides, **rows, input=found["W"].shape[-1])
    check_shape(where, "R", found["R"], directions=sides, **rows, hidden=hidden)
    for name, wide in (("B", 2 * len(operator.gates) * hidden), ("P", 3 * hidden)):
        if name in found:
            check_shape(where, name, found[name], directions=sides, entries=wide)
    return found


def _check_types(where: str, values: Mapping[str, Tensor]) -> None:
    if len({value.dtype for value in values.values()}) > 1:
        types = ", ".join(f"{name} is {value.dtype}" for name, value in values.items())
        raise SettingError(f"{where}: {types}; ONNX has one type for all")


def _cells(
    where: str, kind: str, options: Mapping[str, Any], weights: Mapping[str, Tensor], sides: int
) -> list[Cell]:
    """The cell of each direction."""
    defaults = _OPERATORS[kind].functions
    names = options.get("activations", [*defaults] * sides)
    if kind == "RNN" and sides == 1 and len(set(names)) == 1:
        names = names[:1]  # the default is written twice, whatever the direction
    if len(names) != len(defaults) * sides:
        raise SettingError(
            f"{where}: activations={names} should name {len(defaults)} for each direction"
        )
    given = [options.get(f"activation_{number}", []) for number in ("alpha", "beta")]
    found = read_activations(where, names, *given)
    per_side = [found[at : at + len(defaults)] for at in range(0, len(found), len(defaults))]
    clip, bias = options.get("clip"), "B" in weights
    return [_cell(kind, functions, clip, options, bias, "P" in weights) for functions in per_side]


def _cell(
    kind: str,
    functions: Sequence[Activation],
    clip: float | None,
    options: Mapping[str, Any],
    bias: bool,
    peepholes: bool,
) -> Cell:
    if kind == "LSTM":
        coupled = bool(options.get("input_forget", 0))
        return lstm_cell(*functions, clip=clip, peepholes=peepholes, coupled=coupled, bias=bias)
    if kind == "GRU":
        after = bool(options.get("linear_before_reset", 0))
        return gru_cell(*functions, clip=clip, reset_after=after, bias=bias)
    return elman_cell(*functions, clip=clip, bias=bias)


def _by_name(
    operator: _Operator, own: Mapping[str, Tensor], options: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The weights of one direction by our names."""
    gates = tuple((gate, gate) for gate in operator.gates)
    sources = ["h"] * len(gates)
    if "linear_before_reset" in operator.options:
        if options.get("linear_before_reset", 0):
            gates = (*gates[:-1], ("n", "m"))
        else:
            sources[-1] = "rh"
    found = blocks(own["W"], [f"{gate}_x" for gate, _ in gates])
    names = [f"{gate}_{source}" for (_, gate), source in zip(gates, sources, strict=True)]
    found |= blocks(own["R"], names)
    if "B" in own:
        of_input, of_state = own["B"].chunk(2)
        found |= biases(of_input, of_state, gates)
    if "P" in own:
        found |= blocks(own["P"], ["i_peep", "o_peep", "f_peep"])
    if options.get("input_forget", 0):
        # The forget gate is what the input gate leaves; the standard then reads nothing else.
        found = {name: value for name, value in found.items() if not name.startswith("f_")}
    return found


def _first_state(
    graph: OnnxGraph,
    where: str,
    option: str,
    inputs: Mapping[str, str],
    recurrent: Tensor,
    layout: bool,
) -> Tensor:
    """A state before the first step, (D, H), zero if it is given from outside."""
    name, (sides, _, hidden) = inputs[option], recurrent.shape
    zeros = recurrent.new_zeros(sides, hidden)
    if graph.is_given(name):
        return zeros
    array = graph.constant(name)
    if array is None:
        everywhere = graph.uniform(name)
        if everywhere is not None:
            return zeros + everywhere
        array = graph.repeated(name, (None, sides, hidden) if layout else (sides, None, hidden))
    maker = graph.maker(name)
    if array is None and maker is None:
        raise SettingError(f"{where}: {option}={name!r} is nowhere in the graph")
    if array is None:
        raise SettingError(
            f"{where}: {option}={name!r} is computed in the graph, by {maker.op_type}; cut the "
            f"graph there with onnx.utils.extract_model, so that it is given from outside"
        )
    if array.ndim == 3 and layout:
        array = array.swapaxes(0, 1)
    if array.ndim != 3 or array.shape != (sides, array.shape[1] or 1, hidden):
        raise ShapeError(
            f"{where}: {option} should be (directions={sides}, batch, hidden={hidden})"
            f"{' with the batch in front' * layout}, but is {array.shape}"
        )
    if not np.all(array == array[:, :1]):
        raise SettingError(
            f"{where}: {option}={name!r} differs between the {array.shape[1]} rows of a batch; a "
            f"learned initial state is the same for all"
        )
    first = tensor_of(where, option, array[:, 0])
    _check_types(where, {"R": recurrent, option: first})
    return first
