"""A stack of layers of any cell, as a torch module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cellwright import cells
from cellwright.cells import transform
from cellwright.cells.cell import Cell
from cellwright.errors import SettingError, ShapeError, did_you_mean
from cellwright.ir import INPUT
from cellwright.nn.arguments import bound_sizes, hidden_sizes, rate, rates, whole
from cellwright.nn.initialization import Initialization, resolve
from cellwright.nn.layer import Layer
from cellwright.nn.ragged import active_steps
from cellwright.nn.segments import Every, check_every
from cellwright.nn.stack import StackResult, run_stack
from cellwright.nn.states import State, check_type, join_states, split_states
from cellwright.nn.stream import Stream, Words, open_stream
from cellwright.pipeline import check_backend

__all__ = ["Recurrent"]


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
        Chance that a unit of a state keeps its old value, at each step (Krueger et al. 2017);
        a mapping such as {"h": 0.05, "c": 0.5} for a chance by state.
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
    checkpoint_every
        Train in segments of that many steps: what the cell computes within a step is not kept
        for the backward pass, but computed again from the states between segments, which
        costs one more forward pass. Beside each layer's input, output, per-step draws and
        their gradients, a training step then takes room for everything that one segment
        keeps and for the states between segments. ``"auto"`` takes about the square root of
        all steps, so that this room grows with the square root too; None keeps everything,
        see the page on long sequences.
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
        zoneout: float | Mapping[str, float] = 0.0,
        learn_initial_state: bool = False,
        batch_first: bool = True,
        backend: str = "auto",
        sizes: Mapping[str, int | Sequence[int]] | None = None,
        initialization: str | Mapping[str, str] | Initialization = "standard",
        checkpoint_every: Every = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.cell = cells.get(cell)
        self.input_size = whole("input_size", input_size)
        self.hidden_sizes = hidden_sizes(hidden_size)
        self.bidirectional = bidirectional
        self.dropout = rate("dropout", dropout)
        self.recurrent_dropout = rate("recurrent_dropout", recurrent_dropout)
        self.zoneout = rates("zoneout", zoneout)
        self.batch_first = batch_first
        check_backend(backend)
        self.backend = backend
        self.initialization = resolve(initialization)
        self.checkpoint_every = check_every(checkpoint_every)
        graph = transform.recurrent_dropout(self.cell.graph, self.recurrent_dropout)
        self.graph = transform.zoneout(graph, self.zoneout)
        features = self.input_size
        for layer, bound in enumerate(bound_sizes(self.hidden_sizes, sizes or {})):
            for reverse in self._sides:
                module = Layer(
                    self.graph,
                    {INPUT: features, **bound},
                    reverse=reverse,
                    learn_initial_state=learn_initial_state,
                )
                self.add_module(f"layer{layer}{'_reverse' * reverse}", module)
            features = module.units(self.graph.states[0].size) * len(self._sides)
        self.output_size = features
        self._check_below()
        self.to(device=device, dtype=dtype)
        self.reset_parameters()

    @property
    def _sides(self) -> tuple[bool, ...]:
        return (False, True) if self.bidirectional else (False,)

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return len(self.hidden_sizes)

    def reset_parameters(self) -> None:
        """Start all weights anew, as `initialization` says; learned first states at zero."""
        for layer in self._layers():
            for side in layer:
                side.reset_parameters(self.initialization)

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
            (batch, 2, units) when bidirectional; with ``t``, the steps behind each row, where
            the cell asks for the step. None starts from zero or what was learned.
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
        return output, join_states(result.states)

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
        if isinstance(x, Tensor) and torch.is_autocast_enabled(x.device.type):
            # What came out of an autocast product is narrower than the weights, which decide.
            weight = next(self.parameters(), x)
            x, inputs = x.to(weight.dtype), {n: v.to(weight.dtype) for n, v in inputs.items()}
        self._check_input(x)
        steps, batch = self._time_first(x).shape[:2]
        self._check_extras(inputs, x, batch, steps)
        x = self._time_first(x)
        active = active_steps(batch, steps, x.device, lengths, mask)
        layers = [[side.direction() for side in layer] for layer in self._layers()]
        if state is None:
            states = [[side.start(x) for side in layer] for layer in self._layers()]
        else:
            states = split_states(state, layers, batch, x)
        return run_stack(
            layers,
            x,
            states,
            inputs={name: self._time_first(value) for name, value in inputs.items()},
            active=active,
            dropout=self.dropout,
            training=self.training,
            backend=self.backend,
            record=record,
            checkpoint_every=self.checkpoint_every,
        )

    def stream(self, batch_size: int = 1) -> Stream:
        """Open a stream: this stack as it is now, fed one step at a time.

        Parameters
        ----------
        batch_size
            Sequences that go on side by side.

        Raises
        ------
        SettingError
            The stack is bidirectional.
        """
        layers = [[side.direction() for side in layer] for layer in self._layers()]
        # A cell may have no weights, and the module may be converted later.
        like = next(self.parameters(), torch.empty(0)).new_empty(0)

        def first(rows: int) -> list[dict[str, Tensor]]:
            return [layer[0].start(like.new_empty(0, rows, 0)) for layer in self._layers()]

        def to_user(states: list[dict[str, Tensor]]) -> State:
            names = [layer[0].carried for layer in layers]
            pairs = zip(states, names, strict=True)
            return [{name: state[name] for name in carried} for state, carried in pairs]

        def from_user(state: State, rows: int) -> list[dict[str, Tensor]]:
            return [layer[0] for layer in split_states(state, layers, rows, like)]

        return open_stream(
            layers,
            Words(first, to_user, from_user),
            batch_size=batch_size,
            batch_first=self.batch_first,
            backend=self.backend,
        )

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        shown = [f"{self.cell.name}, {self.input_size}, {list(self.hidden_sizes)}"]
        options = ("bidirectional", "dropout", "recurrent_dropout", "zoneout", "checkpoint_every")
        for name in options:
            if getattr(self, name):
                shown.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(shown)

    def _layers(self) -> list[list[Layer]]:
        flat = [module for module in self.children() if isinstance(module, Layer)]
        wide = len(self._sides)
        return [flat[at : at + wide] for at in range(0, len(flat), wide)]

    def _time_first(self, value: Tensor) -> Tensor:
        return value.transpose(0, 1) if self.batch_first else value

    def _check_input(self, x: Tensor) -> None:
        if not isinstance(x, Tensor):
            packed = "; give the padded batch and lengths=" if hasattr(x, "batch_sizes") else ""
            raise ShapeError(f"x: expected a tensor, got {type(x).__name__}{packed}")
        axes = ("batch", "time") if self.batch_first else ("time", "batch")
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ShapeError(
                f"x: expected ({', '.join(axes)}, input={self.input_size}), got {tuple(x.shape)}"
            )
        weight = next(iter(self._layers()[0][0].direction().weights.values()), x)
        if x.dtype != weight.dtype or x.device != weight.device:
            raise ShapeError(
                f"x: expected {weight.dtype} on {weight.device} like the weights, got {x.dtype} "
                f"on {x.device}; convert one of them"
            )

    def _check_extras(
        self, inputs: Mapping[str, Tensor], x: Tensor, batch: int, steps: int
    ) -> None:
        wanted = {leaf.name: leaf.size for leaf in self.graph.inputs[1:]}
        for name in inputs:
            if name not in wanted:
                raise ShapeError(
                    f"cell {self.cell.name!r} takes no input {name!r}.{did_you_mean(name, wanted)}"
                )
        layer = self._layers()[0][0]
        for name, size in wanted.items():
            if name not in inputs:
                raise ShapeError(f"cell {self.cell.name!r} needs the input {name!r} at every step")
            units = layer.units(size)
            if tuple(self._time_first(inputs[name]).shape) != (steps, batch, units):
                lead = f"batch={batch}, time={steps}"
                lead = lead if self.batch_first else f"time={steps}, batch={batch}"
                raise ShapeError(
                    f"{name}: expected ({lead}, units={units}), got {tuple(inputs[name].shape)}"
                )
            check_type(name, inputs[name], x)

    def _check_below(self) -> None:
        for lower, upper in pairwise(self._layers()):
            for leaf in self.graph.leaves("below"):
                sizes = lower[0].units(leaf.size), upper[0].units(leaf.size)
                if sizes[0] != sizes[1]:
                    raise SettingError(
                        f"cell {self.cell.name!r} reads {leaf.name!r} of the layer below, so "
                        f"both must have as many units; got {sizes[0]} below {sizes[1]}"
                    )
