"""Checking what a stack is given to run over, in the user's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor

from cellwright.errors import SettingError, ShapeError, did_you_mean
from cellwright.ir import Graph
from cellwright.nn.arguments import check_tensor
from cellwright.nn.layer import Layer
from cellwright.nn.states import check_type

__all__ = ["check_extras", "check_input", "check_shared"]


def check_input(x: Tensor, features: int, batch_first: bool, weights: Mapping[str, Tensor]) -> None:
    """Raise `ShapeError` unless `x` is a batch of sequences that fits the first layer."""
    ragged = hasattr(x, "batch_sizes") or getattr(x, "is_nested", False)
    check_tensor("x", x, "; give the padded batch and lengths=" if ragged else "")
    axes = ("batch", "time") if batch_first else ("time", "batch")
    if x.dim() != 3 or x.shape[2] != features:
        raise ShapeError(f"x: expected ({', '.join(axes)}, input={features}), got {tuple(x.shape)}")
    weight = next(iter(weights.values()), x)
    if x.dtype != weight.dtype or x.device != weight.device:
        raise ShapeError(
            f"x: expected {weight.dtype} on {weight.device} like the weights, got {x.dtype} "
            f"on {x.device}; convert one of them"
        )


def check_extras(
    name_of_cell: str, inputs: Mapping[str, Tensor], x: Tensor, batch_first: bool, layer: Layer
) -> None:
    """Raise `ShapeError` unless the cell's extra inputs are there and laid out like `x`."""
    wanted = {leaf.name: leaf.size for leaf in layer.graph.inputs[1:]}
    for name in inputs:
        if name not in wanted:
            raise ShapeError(
                f"cell {name_of_cell!r} takes no input {name!r}.{did_you_mean(name, wanted)}"
            )
    for name, size in wanted.items():
        if name not in inputs:
            raise ShapeError(f"cell {name_of_cell!r} needs the input {name!r} at every step")
        check_tensor(name, inputs[name])
        units = layer.units(size)
        if tuple(inputs[name].shape) != (*x.shape[:2], units):
            axes = ("batch", "time") if batch_first else ("time", "batch")
            lead = ", ".join(f"{axis}={n}" for axis, n in zip(axes, x.shape[:2], strict=True))
            raise ShapeError(
                f"{name}: expected ({lead}, units={units}), got {tuple(inputs[name].shape)}"
            )
        check_type(name, inputs[name], x)


def check_shared(name_of_cell: str, graph: Graph, layers: Sequence[Sequence[Layer]]) -> None:
    """Raise `SettingError` where layers with other units read the same values.

    Those are states of the layer below, and the extra inputs, which all layers are given.
    """
    shared = {leaf: f"reads {leaf.name!r} of the layer below" for leaf in graph.leaves("below")}
    shared |= {i: f"reads the input {i.name!r} in every layer" for i in graph.inputs[1:]}
    for lower, upper in pairwise(layers):
        for leaf, what in shared.items():
            sizes = lower[0].units(leaf.size), upper[0].units(leaf.size)
            if sizes[0] != sizes[1]:
                raise SettingError(
                    f"cell {name_of_cell!r} {what}, so all layers must have as many "
                    f"units; got {sizes[0]} below {sizes[1]}"
                )
