"""From the layers of another library, read and checked, to one `Recurrent`.

B batch, T time, I input, H hidden units, D directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from cellwright.cells.cell import Cell
from cellwright.errors import SettingError, ShapeError
from cellwright.ir import HIDDEN, INPUT, units_of
from cellwright.nn.layer import Layer
from cellwright.nn.recurrent import Recurrent

__all__ = ["Side", "assemble", "biases", "blocks", "check_shape", "frozen", "tensor_of"]


@dataclass(frozen=True)
class Side:
    """One layer in one direction, as it came from elsewhere.

    Attributes
    ----------
    where
        What the user calls it, for messages.
    cell
        Its equations.
    weights
        By the cell's own names, each in the cell's own shape.
    hidden
        H.
    reverse
        Whether it reads from the end.
    first
        State -> its value before the first step, (units,), where that is not zero.
    sizes
        Further sizes of the cell, such as that of a projection.
    frozen
        Weights that are not to be trained.
    """

    where: str
    cell: Cell
    weights: Mapping[str, Tensor]
    hidden: int
    reverse: bool = False
    first: Mapping[str, Tensor] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    frozen: Sequence[str] = ()

    @property
    def reads(self) -> int:
        """Features of its input."""
        return next(w.shape[1] for name, w in self.weights.items() if name.endswith("_x"))

    @property
    def writes(self) -> int:
        """Features of its output."""
        return units_of(self.cell.graph.states[0].size, {HIDDEN: self.hidden, **self.sizes})


def check_shape(where: str, name: str, value: Tensor, **wanted: int) -> None:
    """Raise `ShapeError` unless a weight has the shape wanted, axis by axis."""
    if tuple(value.shape) != tuple(wanted.values()):
        axes = ", ".join(f"{axis}={units}" for axis, units in wanted.items())
        raise ShapeError(f"{where}: {name} should be ({axes}), but is {tuple(value.shape)}")


def blocks(value: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """A weight that holds several, one below the other, cut into them."""
    return dict(zip(names, value.chunk(len(names)), strict=True))


def biases(
    of_input: Tensor, of_state: Tensor, gates: Sequence[tuple[str, str]]
) -> dict[str, Tensor]:
    """The biases of a library that has two for each gate.

    Parameters
    ----------
    of_input, of_state
        (gates · H,) each.
    gates
        For each gate the names of its affine map of the input and of that of the state. Where
        they are one map, the two biases are one, their sum.
    """
    found: dict[str, Tensor] = {}
    pairs = zip(gates, of_input.chunk(len(gates)), of_state.chunk(len(gates)), strict=True)
    for (reads, feeds_back), here, there in pairs:
        if reads == feeds_back:
            found[f"{reads}_bias"] = here + there
        else:
            found |= {f"{reads}_bias": here, f"{feeds_back}_bias": there}
    return found


def frozen(weights: Mapping[str, Tensor]) -> list[str]:
    """The names of weights that their library does not train: they want no gradient."""
    return [name for name, value in weights.items() if not value.requires_grad]


def tensor_of(where: str, name: str, array: NDArray[Any]) -> Tensor:
    """An array as a tensor of its own, on the CPU.

    Raises
    ------
    SettingError
        It does not hold floating-point numbers of a kind that torch has.
    """
    kind = array.dtype.name
    if kind not in ("float16", "float32", "float64", "bfloat16"):
        raise SettingError(f"{where}: {name} holds {kind}; only floating-point weights can be read")
    # Whatever torch's default device is: weights would be lost on "meta".
    if kind == "bfloat16":
        return torch.tensor(array.astype("float32"), device="cpu").to(torch.bfloat16)
    return torch.tensor(array, device="cpu")


def assemble(
    layers: Sequence[Sequence[Side]],
    *,
    batch_first: bool = True,
    dropout: float = 0.0,
) -> Recurrent:
    """Stack layers into one module with their weights, of their type and where they are.

    Parameters
    ----------
    layers
        For each layer its directions.
    batch_first, dropout
        As for `Recurrent`.

    Raises
    ------
    SettingError
        The layers have different cells or numbers of directions, or their weights different
        types or devices.
    ShapeError
        A layer does not read what the one below it writes.
    """
    for layer in layers:
        _check_sides(layer)
    for lower, upper in pairwise(layers):
        _check_neighbours(lower, upper)
    sides = [side for layer in layers for side in layer]
    _check_alike(sides)
    weight = next(iter(sides[0].weights.values()))
    network = Recurrent(
        sides[0].cell,
        sides[0].reads,
        [layer[0].hidden for layer in layers],
        bidirectional=len(layers[0]) > 1,
        dropout=dropout,
        batch_first=batch_first,
        sizes={name: [layer[0].sizes[name] for layer in layers] for name in sides[0].sizes},
        # Nothing is drawn for weights that will be overwritten.
        device="meta",
        dtype=weight.dtype,
    )
    for name, side in zip(list(network._modules), sides, strict=True):
        network.add_module(name, _layer(side, any(s.first for s in sides)))
    return network


def _layer(side: Side, learned: bool) -> Layer:
    weight = next(iter(side.weights.values()))
    layer = Layer(
        side.cell.graph,
        {INPUT: side.reads, HIDDEN: side.hidden, **side.sizes},
        reverse=side.reverse,
        learn_initial_state=learned,
        device=weight.device,
        dtype=weight.dtype,
    )
    first = {f"initial_{state}": layer.get_parameter(f"initial_{state}") for state in layer.learned}
    values = {name: torch.zeros_like(start) for name, start in first.items()}
    values |= {f"initial_{state}": value for state, value in side.first.items()}
    values |= side.weights
    for name, parameter in layer.named_parameters():
        value = values.pop(name)
        check_shape(side.where, name, value, **_axes(parameter))
        with torch.no_grad():
            parameter.copy_(value)
        parameter.requires_grad_(name not in side.frozen)
    if values:
        raise SettingError(f"{side.where}: nothing in cell {side.cell.name!r} takes {[*values]}")
    return layer


def _check_alike(sides: Sequence[Side]) -> None:
    """Weights that do not go together anywhere else are not made to here."""
    found: dict[str, str] = {}
    for side in sides:
        for name, value in side.weights.items():
            kind = f"{value.dtype} on {value.device}"
            found.setdefault(kind, f"{side.where}: {name} is {kind}")
    if len(found) > 1:
        raise SettingError("; ".join(found.values()) + "; one Recurrent has one type and device")


def _axes(parameter: Tensor) -> dict[str, int]:
    return dict(zip(("units", "columns"), parameter.shape, strict=False))


def _check_sides(layer: Sequence[Side]) -> None:
    first, *others = layer
    for other in others:
        for what, here, there in (
            ("units", first.hidden, other.hidden),
            ("features to read", first.reads, other.reads),
            ("states and signals", [*first.cell.graph.observable], [*other.cell.graph.observable]),
        ):
            if here != there:
                raise SettingError(
                    f"{first.where} and {other.where} are two directions of one layer, but have "
                    f"different {what}: {here} and {there}"
                )


def _check_neighbours(lower: Sequence[Side], upper: Sequence[Side]) -> None:
    if len(lower) != len(upper):
        raise SettingError(
            f"{upper[0].where} and {lower[0].where} below it have {len(upper)} and {len(lower)} "
            f"directions; one Recurrent has the same everywhere: take them over one by one"
        )
    for below, above in zip(lower, upper, strict=True):
        if below.cell.graph != above.cell.graph:
            raise SettingError(
                f"{above.where} is {_described(above.cell)}, {below.where} below it "
                f"{_described(below.cell)}; one Recurrent has one cell: take them over one by one"
            )
    wide = sum(side.writes for side in lower)
    for side in upper:
        if side.reads != wide:
            raise ShapeError(
                f"{side.where} reads {side.reads} features, but {lower[0].where} below it "
                f"writes {wide}"
            )


def _described(cell: Cell) -> str:
    options = [f"{n}={v}" for n, v in cell.options.items() if v is not None and v is not False]
    text = cell.name + (f"({', '.join(options)})" if options else "")
    if not any(name.endswith("_bias") for name in cell.graph.weights):
        text += " without bias"
    rates: dict[str, list[float]] = {}
    for leaf in cell.graph.leaves("bernoulli"):
        dropped = 1 - float(str(leaf.attributes["probability"]))
        rates.setdefault(leaf.name.split("_")[0], []).append(dropped)
    for of, (rate, *others) in rates.items():
        text += f" that drops {rate:g} of its {of}" + (" for each gate anew" if others else "")
    return text
