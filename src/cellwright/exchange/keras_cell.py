"""One cell of Keras: its options, and its weights by our names.

I input, H hidden units; Keras' kernels are (I, gates · H), its gates side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cellwright.cells.cell import Cell
from cellwright.errors import SettingError
from cellwright.exchange.activations import Activation
from cellwright.exchange.assembly import Side, biases, blocks, check_shape, frozen, tensor_of
from cellwright.exchange.dropout import with_dropout
from cellwright.exchange.equations import elman_cell, gru_cell, lstm_cell

__all__ = ["overridden", "read_cell"]

# What a function of `keras.activations` is here, where the name alone does not say it.
_ACTIVATIONS: Mapping[str, Activation] = {
    "celu": Activation("elu"),
    "hard_sigmoid": Activation("hard_sigmoid", (1 / 6, 0.5)),
    "leaky_relu": Activation("leaky_relu", (0.2,)),
    "sparse_sigmoid": Activation("hard_sigmoid", (0.5, 0.5)),
} | {
    name: Activation(name)
    for name in (
        *("elu", "exponential", "hard_shrink", "hard_silu", "hard_tanh", "linear"),
        *("log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu"),
        *("soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "squareplus"),
        *("tanh", "tanh_shrink"),
    )
}


# What a layer or cell computes goes through these, and through methods that are Keras' own affair.
_COMPUTING = ("__call__", "call", "inner_loop", "get_initial_state", "compute_mask")


def overridden(layer: Any, own: type) -> str:
    """The method of Keras' class that a layer replaces where it computes; "" if there is none."""
    kinds = type(layer).__mro__
    for place in (layer, *kinds[: kinds.index(own)]):
        for name in map(str, vars(place)):
            private = name.startswith("_") and not name.startswith("__")
            if (private or name in _COMPUTING) and callable(getattr(own, name, None)):
                return name
    return ""


def read_cell(keras: Any, where: str, cell: Any, reverse: bool) -> Side:
    """One of Keras' cells with its weights, to be read in one direction.

    Raises
    ------
    SettingError
        The cell or an option of it cannot be taken over exactly.
    ShapeError
        A weight does not have the shape that the cell's units ask for.
    """
    kinds = {
        keras.layers.LSTMCell: _lstm,
        keras.layers.GRUCell: _gru,
        keras.layers.SimpleRNNCell: _elman,
    }
    kind = next((kind for kind in kinds if isinstance(cell, kind)), None)
    replaced = overridden(cell, kind) if kind else ""
    if kind is None or replaced:
        raise SettingError(
            f"{where}: the cell {type(cell).__name__} cannot be taken over, only "
            f"{', '.join(kind.__name__ for kind in kinds)}"
            + (f"; it has a {replaced} of its own" if replaced else "")
        )
    if getattr(cell, "kernel", None) is None:
        raise SettingError(f"{where} has no weights yet; call it once, or build it")
    if cell.compute_dtype != cell.variable_dtype:
        raise SettingError(
            f"{where}: dtype={cell.dtype_policy.name!r} computes in {cell.compute_dtype} with "
            f"weights of {cell.variable_dtype}, which cannot be taken over exactly"
        )
    equations, states, gates = kinds[kind](keras, where, cell)
    rates = {"inputs": cell.dropout, "states": cell.recurrent_dropout}
    for option, rate in zip(("dropout", "recurrent_dropout"), rates.values(), strict=True):
        if rate >= 1:
            raise SettingError(f"{where}: {option}={rate!r} leaves nothing, and is refused")
    # As Keras: its faster way to compute a step draws once for all gates.
    by_gate = getattr(cell, "implementation", 2) == 1
    weights = _weights(keras, where, cell, states, gates)
    equations = with_dropout(equations, **rates, by_gate=by_gate)
    return Side(where, equations, weights, int(cell.units), reverse=reverse, frozen=frozen(weights))


_Names = tuple[tuple[str, str], ...]


def _lstm(keras: Any, where: str, cell: Any) -> tuple[Cell, str, _Names]:
    squash = _activation(keras, where, "activation", cell.activation)
    gates = _activation(keras, where, "recurrent_activation", cell.recurrent_activation)
    return lstm_cell(gates, squash, squash, bias=cell.use_bias), "h", _same("ifgo")


def _gru(keras: Any, where: str, cell: Any) -> tuple[Cell, str, _Names]:
    squash = _activation(keras, where, "activation", cell.activation)
    gates = _activation(keras, where, "recurrent_activation", cell.recurrent_activation)
    found = gru_cell(gates, squash, reset_after=cell.reset_after, bias=cell.use_bias)
    if cell.reset_after:
        return found, "h", (*_same("zr"), ("n", "m"))
    return found, "rh", _same("zrn")


def _elman(keras: Any, where: str, cell: Any) -> tuple[Cell, str, _Names]:
    squash = _activation(keras, where, "activation", cell.activation)
    return elman_cell(squash, bias=cell.use_bias), "h", _same("h")


def _same(gates: str) -> _Names:
    return tuple((gate, gate) for gate in gates)


def _activation(keras: Any, where: str, option: str, function: Any) -> Activation:
    name = getattr(function, "__name__", type(function).__name__)
    if getattr(keras.activations, name, None) is function and name in _ACTIVATIONS:
        return _ACTIVATIONS[name]
    if name in _ACTIVATIONS:  # of another module
        name = f"{function.__module__}.{name}"
    raise SettingError(
        f"{where}: {option}={name!r} cannot be taken over; of keras.activations, "
        f"{', '.join(sorted(_ACTIVATIONS))} can"
    )


def _weights(keras: Any, where: str, cell: Any, resets: str, gates: _Names) -> dict[str, Tensor]:
    def weight(name: str) -> Tensor:
        variable = getattr(cell, name)
        value = variable.value
        if isinstance(value, Tensor):  # Keras on torch
            found = value.detach().cpu()
        else:
            found = tensor_of(where, name, keras.ops.convert_to_numpy(value))
        return found.requires_grad_(variable.trainable)

    units, wide = int(cell.units), len(gates) * int(cell.units)
    kernel, recurrent = weight("kernel"), weight("recurrent_kernel")
    check_shape(where, "kernel", kernel, **{"input": kernel.shape[0], "gates·units": wide})
    check_shape(where, "recurrent_kernel", recurrent, **{"units": units, "gates·units": wide})
    found = blocks(kernel.T, [f"{gate}_x" for gate, _ in gates])
    # The reset gate may stand between the state and the last matrix.
    sources = [*["h"] * (len(gates) - 1), resets]
    names = [f"{gate}_{source}" for (_, gate), source in zip(gates, sources, strict=True)]
    found |= blocks(recurrent.T, names)
    if cell.use_bias:
        bias = weight("bias")
        if bias.dim() == 1:
            check_shape(where, "bias", bias, **{"gates·units": wide})
            found |= blocks(bias, [f"{gate}_bias" for gate, _ in gates])
        else:
            check_shape(where, "bias", bias, **{"both": 2, "gates·units": wide})
            found |= biases(bias[0], bias[1], gates)
    return found
