"""A stack of layers of any cell, as a torch module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from cellwright import cells
from cellwright.cells import transform
from cellwright.cells.cell import Cell
from cellwright.errors import SettingError, ShapeError, did_you_mean
from cellwright.ir import HIDDEN, INPUT, Graph
from cellwright.nn.initialization import Initialization, resolve
from cellwright.nn.ragged import active_steps
from cellwright.nn.stack import Direction, StackResult, run_stack, zero_states
from cellwright.pipeline import check_backend, check_sizes

__all__ = ["Recurrent", "State"]

State: TypeAlias = list[dict[str, Tensor]]


class _Layer(nn.Module):
    """The weights of one cell in one direction."""

    def __init__(self, graph: Graph, sizes: dict[str, int], learn_initial_state: bool) -> None:
        super().__init__()
        check_sizes(graph, sizes)
        self.graph = graph
        self.sizes = sizes
        for name, node in graph.weights.items():
            shape = [self.units(node.size)]
            if node.op == "matrix":
                shape.append(self.units(node.attributes["columns"]))
            # An equation may use a name that nn.Module has taken, such as "half".
            self._parameters[name] = nn.Parameter(torch.empty(shape))
        self.learned = tuple(graph.state_sizes) if learn_initial_state else ()
        for name in self.learned:
            if f"initial_{name}" in self._parameters:
                raise SettingError(f"cell {graph.name!r} has a weight 'initial_{name}' already")
            zeros = torch.zeros(self.units(graph.state_sizes[name]))
            self._parameters[f"initial_{name}"] = nn.Parameter(zeros)

    def units(self, size: object) -> int:
        return size if isinstance(size, int) else self.sizes[str(size)]

    def direction(self, reverse: bool) -> Direction:
        weights = {name: self._parameters[name] for name in self.graph.weights}
        return Direction(self.graph, self.sizes, weights, reverse)  # type: ignore[arg-type]

    def initial_states(self) -> dict[str, Tensor]:
        """State name -> what was learned of it, (n,)."""
        return {name: self._parameters[f"initial_{name}"] for name in self.learned}  # type: ignore[misc]

    def extra_repr(self) -> str:
        sizes = ", ".join(f"{name}={units}" for name, units in self.sizes.items())
        return f"{self.graph.name}: {sizes}"


class Recurrent(nn.Module):
    r"""A stack of recurrent layers of any cell.

    $$(y_t, s_t) = \mathrm{cell}(x_t, s_{t-1}), \quad t = 1 \dots T,$$

    each layer reading the output of the one below.

    Parameters
    ----------
    cell
        A cell, or the name of one in the zoo.
    input_size
        Features of the input at each step.
    hidden_size
        Units of every layer: one number for one layer, or a list with a number a layer.
    bidirectional
        Run a second set of layers from the end, outputs side by side.
    dropout
        Chance that a unit between two layers is dropped, at every step.
    recurrent_dropout
        Chance that a unit of a state is dropped where it enters a matrix, the same units at
        every step of a sequence (Gal and Ghahramani 2016).
    zoneout
        Chance that a unit of a state keeps its old value, at each step (Krueger et al. 2017).
    learn_initial_state
        Learn the states before the first step; they start at zero.
    batch_first
        Whether arrays are (batch, time, features) or (time, batch, features).
    backend
        A backend's name, or "auto" for the first one that can run the cell.
    sizes
        Units of the cell's own sizes, such as {"proj": 32}; a number or a list with one a
        layer.
    initialization
        "standard" (Glorot uniform for the input's matrices, orthogonal for those of states,
        biases as the equations say), "torch", "identity", or a mapping; see
        `cellwright.nn.initialization`.
    device, dtype
        Where and in what precision the weights are made.

    Attributes
    ----------
    cell
        The cell, before zoneout and recurrent dropout are written into its equations.
    output_size
        Features of the output at each step.

    Raises
    ------
    SettingError, GraphError
        An argument is not allowed, or a size of the cell is not bound.

    Examples
    --------
    >>> import cellwright as cw, torch
    >>> net = cw.Recurrent(cw.cells.peephole_lstm, 5, [64, 32], bidirectional=True)
    >>> y, state = net(torch.randn(7, 10, 5), lengths=[10, 3, 0, 7, 10, 1, 2])
    >>> y.shape, state[0]["c"].shape, state[1]["h"].shape
    (torch.Size([7, 10, 64]), torch.Size([7, 2, 64]), torch.Size([7, 2, 32]))
    """

    def __init__(
        self,
        cell: Cell | str,
        input_size: int,
        hidden_size: int | Sequence[int],
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        learn_initial_state: bool = False,
        batch_first: bool = True,
        backend: str = "auto",
        sizes: Mapping[str, int | Sequence[int]] | None = None,
        initialization: str | Mapping[str, str] | Initialization = "standard",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.cell = cells.get(cell)
        self.input_size = _whole("input_size", input_size)
        self.hidden_sizes = _hidden_sizes(hidden_size)
        self.bidirectional = bidirectional
        self.dropout = _rate("dropout", dropout)
        self.recurrent_dropout = _rate("recurrent_dropout", recurrent_dropout)
        self.zoneout = _rate("zoneout", zoneout)
        self.batch_first = batch_first
        check_backend(backend)
        self.backend = backend
        self.initialization = resolve(initialization)
        graph = transform.recurrent_dropout(self.cell.graph, self.recurrent_dropout)
        self.graph = transform.zoneout(graph, self.zoneout)
        features = self.input_size
        for layer, bound in enumerate(_bound_sizes(self.hidden_sizes, sizes or {})):
            for suffix in self._suffixes:
                module = _Layer(self.graph, {INPUT: features, **bound}, learn_initial_state)
                self.add_module(f"layer{layer}{suffix}", module)
            features = module.units(self.graph.states[0].size) * len(self._suffixes)
        self.output_size = features
        self._check_below()
        self.to(device=device, dtype=dtype)
        self.reset_parameters()

    @property
    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return len(self.hidden_sizes)

    def reset_parameters(self) -> None:
        """Start all weights anew, as `initialization` says; learned first states at zero."""
        for module in self._layer_modules():
            if any(weight.is_meta for weight in module.parameters()):
                continue
            direction = module.direction(False)
            self.initialization.apply(self.graph, direction.weights, module.sizes)
            for state in module.initial_states().values():
                nn.init.zeros_(state)

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        **inputs: Tensor,
    ) -> tuple[Tensor, State]:
        """Run the stack over a batch of sequences.

        Parameters
        ----------
        x
            (batch, time, input), or (time, batch, input) without `batch_first`.
        state
            For each layer, name -> state before the first step, (batch, units), or
            (batch, 2, units) when bidirectional. None starts from zero or what was learned.
        lengths
            Steps of each row, (batch,), in any order, zero allowed.
        mask
            True where a step exists, (batch, time); states pass over the gaps.
        **inputs
            The cell's extra inputs, laid out like `x`.

        Returns
        -------
        output
            (batch, time, units); zero where a step does not exist.
        state
            The states after the last step of each row, laid out like `state`.

        Raises
        ------
        ShapeError
            A shape does not fit; the message names argument and axis.
        """
        result = self.run(x, state, lengths=lengths, mask=mask, record=False, **inputs)
        output = result.output.transpose(0, 1) if self.batch_first else result.output
        return output, [self._join(directions) for directions in result.states]

    def run(
        self,
        x: Tensor,
        state: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        record: bool = False,
        **inputs: Tensor,
    ) -> StackResult:
        """Like calling the module, but time first, by direction, and with signals if asked."""
        self._check_input(x)
        steps, batch = self._time_first(x).shape[:2]
        self._check_extras(inputs, batch, steps)
        x = self._time_first(x)
        active = active_steps(batch, steps, x.device, lengths, mask)
        layers = self._directions()
        return run_stack(
            layers,
            x,
            self._initial_states(layers, x) if state is None else self._split(state, layers, x),
            inputs={name: self._time_first(value) for name, value in inputs.items()},
            active=active,
            dropout=self.dropout,
            training=self.training,
            backend=self.backend,
            record=record,
        )

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        shown = [f"{self.cell.name}, {self.input_size}, {list(self.hidden_sizes)}"]
        for name in ("bidirectional", "dropout", "recurrent_dropout", "zoneout"):
            if getattr(self, name):
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join(shown)

    def _layer_modules(self) -> list[_Layer]:
        return [module for module in self.children() if isinstance(module, _Layer)]

    def _directions(self) -> list[list[Direction]]:
        modules, width = self._layer_modules(), len(self._suffixes)
        return [
            [module.direction(bool(side)) for side, module in enumerate(modules[at : at + width])]
            for at in range(0, len(modules), width)
        ]

    def _initial_states(
        self, layers: list[list[Direction]], x: Tensor
    ) -> list[list[dict[str, Tensor]]]:
        states = [[zero_states(direction, x) for direction in row] for row in layers]
        width = len(self._suffixes)
        for position, module in enumerate(self._layer_modules()):
            learned = {k: v.expand(x.shape[1], -1) for k, v in module.initial_states().items()}
            states[position // width][position % width] |= learned
        return states

    def _join(self, directions: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        if not self.bidirectional:
            return directions[0]
        return {n: torch.stack([side[n] for side in directions], 1) for n in directions[0]}

    def _split(
        self, state: State, layers: list[list[Direction]], x: Tensor
    ) -> list[list[dict[str, Tensor]]]:
        if not isinstance(state, (list, tuple)) or len(state) != len(layers):
            raise ShapeError(
                f"state: expected a list with a dictionary for each of the {len(layers)} layers, "
                f"as this module returns it"
            )
        return [
            self._split_layer(f"state[{number}]", given, row, x.shape[1])
            for number, (given, row) in enumerate(zip(state, layers, strict=True))
        ]

    def _split_layer(
        self, where: str, given: dict[str, Tensor], row: list[Direction], batch: int
    ) -> list[dict[str, Tensor]]:
        names = self.graph.state_sizes
        if set(given) != set(names):
            raise ShapeError(f"{where}: expected {sorted(names)}, got {sorted(given)}")
        for name, size in names.items():
            sides = (2,) if self.bidirectional else ()
            wanted = (batch, *sides, row[0].units(size))
            if tuple(given[name].shape) != wanted:
                axes = ("batch", *("direction" for _ in sides), "units")
                raise ShapeError(
                    f"{where}[{name!r}]: expected {_axes(axes, wanted)}, "
                    f"got {tuple(given[name].shape)}"
                )
        if not self.bidirectional:
            return [given]
        return [{name: given[name][:, side] for name in names} for side in range(2)]

    def _time_first(self, value: Tensor) -> Tensor:
        return value.transpose(0, 1) if self.batch_first else value

    def _check_input(self, x: Tensor) -> None:
        axes = ("batch", "time") if self.batch_first else ("time", "batch")
        if not isinstance(x, Tensor) or x.dim() != 3 or x.shape[2] != self.input_size:
            got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(f"x: expected ({', '.join(axes)}, input={self.input_size}), got {got}")
        weight = next(self.parameters())
        if x.dtype != weight.dtype or x.device != weight.device:
            raise ShapeError(
                f"x: expected {weight.dtype} on {weight.device} like the weights, got {x.dtype} "
                f"on {x.device}; convert one of them"
            )

    def _check_extras(self, inputs: Mapping[str, Tensor], batch: int, steps: int) -> None:
        wanted = {leaf.name: leaf.size for leaf in self.graph.inputs[1:]}
        for name in inputs:
            if name not in wanted:
                raise ShapeError(
                    f"cell {self.cell.name!r} takes no input {name!r}.{did_you_mean(name, wanted)}"
                )
        layer = self._layer_modules()[0]
        for name, size in wanted.items():
            if name not in inputs:
                raise ShapeError(f"cell {self.cell.name!r} needs the input {name!r} at every step")
            shape = (steps, batch, layer.units(size))
            if tuple(self._time_first(inputs[name]).shape) != shape:
                raise ShapeError(
                    f"{name}: expected {_axes(('time', 'batch', 'units'), shape)} (time first), "
                    f"got {tuple(inputs[name].shape)}"
                )

    def _check_below(self) -> None:
        layers = self._directions()
        for lower, upper in pairwise(layers):
            for leaf in self.graph.leaves("below"):
                sizes = lower[0].units(leaf.size), upper[0].units(leaf.size)
                if sizes[0] != sizes[1]:
                    raise SettingError(
                        f"cell {self.cell.name!r} reads {leaf.name!r} of the layer below, so "
                        f"both must have as many units; got {sizes[0]} below {sizes[1]}"
                    )


def _axes(names: Sequence[str], shape: Sequence[int]) -> str:
    return "(" + ", ".join(f"{n}={s}" for n, s in zip(names, shape, strict=True)) + ")"


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingError(f"{name} must be a positive whole number, not {value!r}")
    return value


def _rate(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise SettingError(f"{name} must lie in 0..1, 1 excluded, not {value!r}")
    return float(value)


def _hidden_sizes(hidden_size: int | Sequence[int]) -> tuple[int, ...]:
    sizes = (hidden_size,) if isinstance(hidden_size, int) else tuple(hidden_size)
    if not sizes:
        raise SettingError("hidden_size is empty; give the units of at least one layer")
    return tuple(_whole("hidden_size", size) for size in sizes)


def _bound_sizes(
    hidden_sizes: tuple[int, ...], sizes: Mapping[str, int | Sequence[int]]
) -> list[dict[str, int]]:
    bound: list[dict[str, int]] = [{HIDDEN: units} for units in hidden_sizes]
    for name, value in sizes.items():
        units = [value] * len(bound) if isinstance(value, int) else list(value)
        if len(units) != len(bound):
            raise SettingError(f"sizes[{name!r}] has {len(units)} numbers for {len(bound)} layers")
        for layer, number in zip(bound, units, strict=True):
            layer[name] = number
    return bound
