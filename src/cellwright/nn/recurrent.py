"""A stack of layers of any cell, as a torch module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from cellwright import cells
from cellwright.backends import are_autocast
from cellwright.cells import transform
from cellwright.cells.cell import Cell
from cellwright.ir import INPUT
from cellwright.nn.arguments import (
    bound_sizes,
    check_precision,
    hidden_sizes,
    rate,
    rates,
    truth,
    whole,
)
from cellwright.nn.checking import check_extras, check_input, check_shared
from cellwright.nn.connections import Connections, check_residual, features_read
from cellwright.nn.initialization import Scheme, resolve
from cellwright.nn.layer import Layer
from cellwright.nn.options import Options
from cellwright.nn.ragged import active_steps
from cellwright.nn.segments import Every
from cellwright.nn.shortened import Shortened
from cellwright.nn.stack import Direction, Per, StackCall, StackResult, run_stack
from cellwright.nn.states import (
    State,
    as_wide,
    by_side,
    flat_states,
    in_parts,
    join_states,
    split_states,
)
from cellwright.nn.stream import Stream, Words, open_stream

__all__ = ["Recurrent"]


class Recurrent(Options, Shortened, nn.Module):
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
        Chance that a unit between two layers is dropped.
    dropout_per
        Whether other units are dropped there at every "step", or the same ones all "sequence"
        long, that is in one call (Gal and Ghahramani 2016).
    recurrent_dropout
        Chance that a unit of a state is dropped where it enters a matrix, the same units at
        every step of a sequence (Gal and Ghahramani 2016).
    zoneout
        Chance that a unit of a state keeps its old value, at each step (Krueger et al. 2017);
        a mapping such as {"h": 0.05, "c": 0.5} for a chance by state.
    weight_drop
        Chance that a single weight of a matrix that multiplies a state, or anything computed
        from one, is dropped in a forward pass of the training, for all rows and steps (Merity
        et al. 2018).
    connections
        "residual" adds what a layer reads to its output (around the first layer only if it
        reads as many features as it gives), "skip" has every layer read the network's input
        beside the layer below, "none" does neither.
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
        biases as the equations say), "torch", "identity", or a mapping such as {"chrono": 100}
        for gates that remember up to 100 steps; see `cellwright.nn.initialization`.
    checkpoint_every
        Train in segments of that many steps: what the cell computes within a step is kept for
        the backward pass of one segment only, and of the others computed again from the states
        between segments, which costs one more forward pass. ``"auto"`` takes about the square
        root of all steps, so that the room for both grows with the square root too; None keeps
        everything, see the page on long sequences.
    device, dtype
        Where and in what precision the weights are made.

    What is not built into equations or weights may be set later, as ``net.dropout = 0.2``, and
    is checked again; what is built in cannot be set.

    Attributes
    ----------
    cell
        The cell, before zoneout and recurrent dropout are written into its equations.
    output_size
        Features of the output at each step.
    features
        Features that the first layer reads, then those that each layer gives.

    Raises
    ------
    SettingError, BackendError, GraphError
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
        dropout_per: Per = "step",
        recurrent_dropout: float = 0.0,
        zoneout: float | Mapping[str, float] = 0.0,
        weight_drop: float = 0.0,
        connections: Connections = "none",
        learn_initial_state: bool = False,
        batch_first: bool = True,
        backend: str = "auto",
        sizes: Mapping[str, int | Sequence[int]] | None = None,
        initialization: Scheme = "standard",
        checkpoint_every: Every = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.cell = cells.get(cell)
        self.input_size = whole("input_size", input_size)
        self.hidden_sizes = hidden_sizes(hidden_size)
        self.bidirectional = truth("bidirectional", bidirectional)
        self.dropout = dropout
        self.dropout_per = dropout_per
        self.recurrent_dropout = rate("recurrent_dropout", recurrent_dropout)
        self.zoneout = rates("zoneout", zoneout)
        self.connections = connections
        self.batch_first = batch_first
        self.backend = backend
        self.initialization = resolve(initialization)
        self.checkpoint_every = checkpoint_every
        graph = transform.recurrent_dropout(self.cell.graph, self.recurrent_dropout)
        self.graph = transform.zoneout(graph, self.zoneout)
        self._counts_steps = bool(self.graph.leaves("step"))
        self.weight_drop = weight_drop
        check_precision(dtype)
        options = {
            "learn_initial_state": truth("learn_initial_state", learn_initial_state),
            "device": device,
            "dtype": dtype,
        }
        self.features = self._add_layers(sizes, options)
        check_residual(self.connections, self.features)
        check_shared(self.cell.name, self.graph, self._layers())
        if next(self.parameters(), None) is None:
            # Where a module is, and in what precision, its weights tell otherwise.
            placed = torch.empty(0, device=device, dtype=dtype)
            self.register_buffer("_placed", placed, persistent=False)
        self.reset_parameters()
        self.output_size = self.features[-1]  # the last: what is built in stays from here on

    def _add_layers(
        self, sizes: Mapping[str, int | Sequence[int]] | None, options: dict[str, Any]
    ) -> tuple[int, ...]:
        """Make the layers; returns the features that the first one reads and that each gives."""
        given = [self.input_size]
        for layer, bound in enumerate(bound_sizes(self.hidden_sizes, sizes)):
            features = given[-1]
            if layer:
                features = features_read(self.connections, features, self.input_size)
            for reverse in self._sides:
                module = Layer(self.graph, {INPUT: features, **bound}, reverse=reverse, **options)
                self.add_module(f"layer{layer}{'_reverse' * reverse}", module)
            given.append(module.units(self.graph.states[0].size) * len(self._sides))
        return tuple(given)

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

        def long_way() -> tuple[Tensor, State]:
            result = self.run(x, state, lengths=lengths, mask=mask, record=False, **inputs)
            return self._time_first(result.output), join_states(result.states)

        states = flat_states(state, self.graph.state_sizes)
        if states is None or mask is not None or inputs:
            return long_way()
        found: tuple[Tensor, State] = self._shortest(x, states, long_way, lengths)
        return found

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
        call = self.prepare(x, state, lengths=lengths, mask=mask, **inputs)
        return run_stack(**vars(call), record=record)

    def prepare(
        self,
        x: Tensor,
        state: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        **inputs: Tensor,
    ) -> StackCall:
        """What `run` runs: everything that was given, checked and time first, and the weights."""
        sides = self._layers()
        layers = self._directions(self.weight_drop if self.training else 0.0)
        if isinstance(x, Tensor) and are_autocast(x.device):
            weight = next(self.parameters(), x)
            x, state, inputs = as_wide((x, state, inputs), weight.dtype)
        check_input(x, self.input_size, self.batch_first, layers[0][0].weights)
        check_extras(self.cell.name, inputs, x, self.batch_first, sides[0][0])
        x = self._time_first(x)
        steps, batch = x.shape[:2]
        if state is None:
            # No count of steps stands for zero, as in the shortest way: both keep the same then.
            states = [[side.start(x) for side in layer] for layer in sides]
            for start in chain.from_iterable(states):
                start.pop("t", None)
        else:
            states = split_states(state, layers, batch, x)
        return StackCall(
            layers=layers,
            x=x,
            states=states,
            inputs={name: self._time_first(value) for name, value in inputs.items()},
            active=active_steps(batch, steps, x.device, lengths, mask),
            dropout=self.dropout,
            training=self.training,
            backend=self.backend,
            checkpoint_every=self.checkpoint_every,
            connections=self.connections,
            dropout_per=self.dropout_per,
        )

    def _shortenable(self, x: Tensor) -> bool:
        drops = self.training and (self.weight_drop or self.dropout_per != "step")
        return not drops and self.connections == "none" and self.checkpoint_every is None

    def _directions(self, weight_drop: float = 0.0) -> list[list[Direction]]:
        # Once a call: a parametrised weight is computed wherever it is looked at.
        return [[side.direction(weight_drop) for side in layer] for layer in self._layers()]

    def _blocks(self) -> list[list[Tensor]]:
        return [side.blocks() for side in self._flat_layers()]

    def _begun(self, x: Tensor, states: Sequence[Tensor]) -> list[list[Tensor]]:
        if states:
            return by_side(states, len(self.graph.state_sizes), len(self._sides))
        rows, _ = self._rows_and_steps(x)
        return [side.learned_states(rows) for side in self._flat_layers()]

    def _handed_out(self, after: list[list[Tensor]], x: Tensor) -> State:
        flat = [dict(zip(self.graph.state_sizes, states, strict=True)) for states in after]
        if self._counts_steps:
            rows, steps = self._rows_and_steps(x)
            for states in flat:
                states["t"] = torch.full((rows, 1), steps, device=x.device)
        return join_states(in_parts(flat, 2)) if self.bidirectional else flat

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
        layers = self._directions()
        # A copy, because the module may be converted later.
        like = next(chain(self.parameters(), self.buffers())).new_empty(0)

        def first(rows: int) -> list[dict[str, Tensor]]:
            return [layer[0].start(like.new_empty(0, rows, 0)) for layer in self._layers()]

        def to_user(states: list[dict[str, Tensor]]) -> State:
            pairs = zip(states, layers, strict=True)
            return [{name: state[name] for name in layer[0].carried} for state, layer in pairs]

        def from_user(state: State, rows: int) -> list[dict[str, Tensor]]:
            return [layer[0] for layer in split_states(state, layers, rows, like)]

        return open_stream(
            layers,
            Words(first, to_user, from_user),
            like,
            batch_size=batch_size,
            batch_first=self.batch_first,
            backend=self.backend,
            connections=self.connections,
        )

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        shown = [f"{self.cell.name}, {self.input_size}, {list(self.hidden_sizes)}"]
        options = ["bidirectional", "dropout", "recurrent_dropout", "zoneout", "weight_drop"]
        for name in (*options, "dropout_per", "connections", "checkpoint_every"):
            if getattr(self, name) not in (None, False, 0, {}, "none", "step"):
                shown.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(shown)

    def _flat_layers(self) -> list[Layer]:
        return [module for module in self._modules.values() if isinstance(module, Layer)]

    def _layers(self) -> list[list[Layer]]:
        return in_parts(self._flat_layers(), len(self._sides))

    def _time_first(self, value: Tensor) -> Tensor:
        return value.transpose(0, 1) if self.batch_first else value
