"""From Keras 3 to `Recurrent`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from cellwright.errors import (
    ArgumentError,
    CellwrightWarning,
    SettingError,
    require_extra,
)
from cellwright.exchange.assembly import Side, assemble
from cellwright.exchange.keras_cell import overridden, read_cell
from cellwright.nn import Recurrent

__all__ = ["from_keras"]

_LAYERS = ("LSTM", "GRU", "SimpleRNN", "RNN")
_CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell")


def from_keras(layer: Any) -> Recurrent:
    """Take over a recurrent layer of Keras 3, or a `keras.Sequential` of them.

    Keras' gates ``i f c o`` become ``i f g o`` here, and its ``z r h`` become ``z r n``; in a
    GRU with ``reset_after`` the second bias of the last is ``m_bias``. Keras writes the one of
    `unit_forget_bias` into the bias when a layer is made, so that nothing is added here.

    Parameters
    ----------
    layer
        An ``LSTM``, ``GRU`` or ``SimpleRNN`` with its weights, a `keras.layers.RNN` of their
        cells, such a cell alone, a ``Bidirectional`` of these that concatenates, or a
        ``Sequential`` of these with or without ``Dropout`` between.

    Returns
    -------
    Recurrent
        With the same outputs and last states, batch first, of the same dtype, on the CPU, in
        evaluation mode; in training mode it drops what Keras' layers drop. Weights that are not
        `trainable` are frozen.

        It always returns the whole sequence beside the last states. What Keras returns without
        `return_sequences` is the last state ``h``. Outputs stand at the steps that they belong
        to, also where a layer reads from the end (`go_backwards`).

    Raises
    ------
    ArgumentError
        It is no layer of Keras 3.
    SettingError
        A layer or an option cannot be taken over exactly; the message names it and its value.

    Warns
    -----
    CellwrightWarning
        Keras would return the sequence from its end (`go_backwards` with `return_sequences`), or
        a regularizer or constraint would take part in training it there.

    Examples
    --------
    Where Keras is installed::

        model = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(5)])
        ours = cw.from_keras(model)
        y, state = ours(x)          # state[0]["h"] is what the model returns
    """
    keras = _keras_of(layer)
    if not isinstance(layer, keras.Layer):
        raise ArgumentError(
            f"from_keras takes a layer of Keras 3, not a {type(layer).__module__}."
            f"{type(layer).__name__}{_hint(layer)}"
        )
    parts = _flat(keras, layer)
    # With gradients, because a weight that has none is frozen.
    with torch.inference_mode(False), torch.enable_grad():
        layers, rates, flipped = _read(keras, parts)
    _check_precision(parts)
    _warn_of_training(parts)
    last = parts[-1]
    if flipped and getattr(last, "return_sequences", False):
        warnings.warn(
            f"{_name(last)}: go_backwards=True with return_sequences=True returns the sequence "
            f"from its end in Keras; here an output stands at the step that it belongs to, so "
            f"that output.flip(1) is what Keras returns",
            CellwrightWarning,
            stacklevel=2,
        )
    return assemble(layers, dropout=_one_rate(rates, len(layers))).eval()


def _keras_of(layer: object) -> Any:
    """The module keras, which is there already if this is a layer of it."""
    if "keras" not in sys.modules:
        require_extra("keras", "keras")
        raise ArgumentError(
            f"from_keras takes a layer of Keras 3, not a {type(layer).__name__}{_hint(layer)}"
        )
    return sys.modules["keras"]


def _hint(layer: object) -> str:
    if isinstance(layer, str) or hasattr(layer, "__fspath__"):
        return "; read the file with keras.saving.load_model, and give what that returns"
    if type(layer).__module__.startswith("torch"):
        return "; from_torch takes modules of torch"
    return ""


def _name(layer: Any) -> str:
    return f"Keras' {type(layer).__name__} {layer.name!r}"


def _flat(keras: Any, layer: Any) -> list[Any]:
    """The layers of a Sequential, and of those in it; anything else is one layer."""
    if not isinstance(layer, keras.Sequential):
        return [layer]
    _check_own(layer, keras.Sequential)
    found = [part for inner in layer.layers for part in _flat(keras, inner)]
    if not found:
        raise SettingError(f"{_name(layer)} holds no layers")
    return found


def _read(keras: Any, parts: Sequence[Any]) -> tuple[list[list[Side]], dict[int, float], bool]:
    """The layers, the dropout above each, and whether the output runs from the end."""
    layers: list[list[Side]] = []
    rates: dict[int, float] = {}
    flipped = False
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if type(part) is keras.layers.Dropout and layers and not last:
            if part.noise_shape is not None:
                raise _refused(part, "noise_shape", part.noise_shape)
            before = rates.get(len(layers), 0.0)
            rates[len(layers)] = before + part.rate - before * part.rate
            continue
        _check_layer(keras, part, last)
        if isinstance(part, keras.layers.Bidirectional):
            layers.append(_both(keras, part, flipped))
            continue
        backwards = flipped != getattr(part, "go_backwards", False)
        layers += [[read_cell(keras, _name(part), cell, backwards)] for cell in _cells(keras, part)]
        flipped = backwards
    return layers, rates, flipped


def _check_layer(keras: Any, layer: Any, last: bool) -> None:
    names = (*_LAYERS, *_CELLS, "Bidirectional")
    kinds = [getattr(keras.layers, name) for name in names]
    own = next((kind for kind in kinds if isinstance(layer, kind)), None)
    if own is None:
        held = ", ".join(part.name for part in _inside(layer, kinds))
        raise SettingError(
            f"{_name(layer)} cannot be taken over, only {', '.join(names)}, and Dropout between"
            + (f"; it holds {held}: give that" if held else "")
        )
    _check_own(layer, own)
    if getattr(layer, "stateful", False):
        raise _refused(layer, "stateful", True, "hand the returned state on yourself")
    if not last and not getattr(layer, "return_sequences", False):
        raise _refused(layer, "return_sequences", False, "the layer above needs every step")


def _check_own(layer: Any, own: type) -> None:
    replaced = overridden(layer, own)
    if replaced:
        raise SettingError(
            f"{_name(layer)} overrides the {replaced} of Keras' {own.__name__}, so that its "
            f"weights alone do not say what it computes"
        )


def _check_precision(parts: Sequence[Any]) -> None:
    every = [inner for part in parts for inner in part._flatten_layers()]
    found = {layer.compute_dtype: layer for layer in every}
    if len(found) > 1:
        shown = ", ".join(f"{_name(layer)} in {dtype}" for dtype, layer in found.items())
        raise SettingError(
            f"layers that compute in different precision cannot be taken over exactly: {shown}"
        )


def _warn_of_training(parts: Sequence[Any]) -> None:
    """What changes no output, but what Keras' fit makes of the weights."""
    found: dict[str, None] = {}  # in order; two directions have cells of one name
    for layer in (inner for part in parts for inner in part._flatten_layers()):
        kinds = "_regularizer", "_constraint"
        names = [n for n, value in vars(layer).items() if n.endswith(kinds) and value is not None]
        found |= {f"{name} of {_name(layer)}": None for name in names}
    if found:
        warnings.warn(
            f"{'; '.join(found)}: only Keras' training knows of that, and it is not taken over",
            CellwrightWarning,
            stacklevel=3,
        )


def _inside(layer: Any, kinds: Sequence[Any]) -> list[Any]:
    """The layers that could be taken over, without what lies inside them."""
    found = []
    for part in layer._flatten_layers(include_self=False, recursive=False):
        known = any(isinstance(part, kind) for kind in kinds)
        found += [part] if known else _inside(part, kinds)
    return found


def _both(keras: Any, layer: Any, flipped: bool) -> list[Side]:
    if layer.merge_mode != "concat":
        raise _refused(layer, "merge_mode", layer.merge_mode, "only 'concat' can be taken over")
    for side in (layer.forward_layer, layer.backward_layer):
        _check_layer(keras, side, True)
    if flipped or layer.forward_layer.go_backwards:
        raise _refused(layer, "go_backwards", True, "in or below a Bidirectional")
    sides = (layer.forward_layer, False), (layer.backward_layer, True)
    found = []
    for side, reverse in sides:
        cell, *others = _cells(keras, side)
        if others:
            raise SettingError(f"{_name(layer)}: a StackedRNNCells inside cannot be taken over")
        found.append(read_cell(keras, _name(side), cell, reverse))
    return found


def _cells(keras: Any, layer: Any) -> list[Any]:
    cell = getattr(layer, "cell", layer)
    if not isinstance(cell, keras.layers.StackedRNNCells):
        return [cell]
    _check_own(cell, keras.layers.StackedRNNCells)
    return list(cell.cells)


def _one_rate(rates: dict[int, float], layers: int) -> float:
    between = {rates.get(number, 0.0) for number in range(1, layers)}
    if len(between) > 1:
        raise SettingError(
            f"Keras' Dropout between the layers has different rates, {sorted(between)}; a "
            f"Recurrent has one: take the layers over one by one"
        )
    return between.pop() if between else 0.0


def _refused(layer: Any, option: str, value: object, why: str = "") -> SettingError:
    return SettingError(
        f"{_name(layer)}: {option}={value!r} cannot be taken over" + (f"; {why}" if why else "")
    )
