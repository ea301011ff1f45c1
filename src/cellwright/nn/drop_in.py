"""Drop-ins for torch.nn.LSTM, GRU and RNN: the same signatures, weights and results.

They *are* torch's modules (`isinstance` holds, `state_dict` is the same in both directions,
one seed gives the same weights); only what computes the sequence is cellwright's.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from cellwright import cells
from cellwright.backends import Weights
from cellwright.cells import transform
from cellwright.errors import ShapeError
from cellwright.ir import HIDDEN, INPUT, Graph
from cellwright.nn.ragged import active_steps
from cellwright.nn.stack import Direction, StackResult, run_stack

__all__ = ["GRU", "LSTM", "RNN"]


class _DropIn(nn.RNNBase):
    """What the three drop-ins share: torch's calling convention around a cellwright stack."""

    # For each block of torch's packed weights, the names of the affine maps of the input and
    # of the state. Where they are the same, torch's two biases are one; those gates come first.
    gates: ClassVar[tuple[tuple[str, str], ...]]
    backend = "auto"

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Run over a batch, one sequence or a `PackedSequence`, as torch's module does."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ShapeError(
                f"{type(self).__name__}: expected input to be 2D (time, features) or 3D, "
                f"got {input.dim()}D"
            )
        batched = input.dim() == 3
        hx = self._batched_states(hx, batched)
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        output, hx = self._forward_padded(x, hx, None)
        if batched and self.batch_first:
            output = output.transpose(0, 1)
        return (output, hx) if batched else (output.squeeze(1), self._each(hx, _first_row))

    def run(
        self, x: Tensor, state: Any = None, *, lengths: Any = None, record: bool = False
    ) -> StackResult:
        """Like calling the module on a batch, but time first and with signals if asked."""
        x = x.transpose(0, 1) if self.batch_first else x
        active = active_steps(x.shape[1], x.shape[0], x.device, lengths)
        return self._run(x, self._checked_states(x, state), active, record=record)

    @cached_property
    def graph(self) -> Graph:
        """The equations that this module runs."""
        graph = cells.get(self._cell_name()).graph
        return graph if self.bias else transform.without_bias(graph)

    def _cell_name(self) -> str:
        raise NotImplementedError

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        # Ragged rows need no sorting here: pad to the caller's order, and pack like the input.
        x, lengths = pad_packed_sequence(packed)
        active = active_steps(x.shape[1], x.shape[0], x.device, lengths.to(x.device))
        output, hx = self._forward_padded(x, hx, active)
        if packed.sorted_indices is not None:
            output = output.index_select(1, packed.sorted_indices)
        rows = torch.arange(output.shape[1], device=x.device)
        exists = rows < packed.batch_sizes.to(x.device).unsqueeze(1)
        return PackedSequence(output[exists], *packed[1:]), hx

    def _forward_padded(self, x: Tensor, hx: Any, active: Tensor | None) -> tuple[Tensor, Any]:
        states = self._checked_states(x, hx)
        if x.shape[0] == 0:
            raise ShapeError("expected sequence length to be larger than 0")
        result = self._run(x, states, active, record=False)
        flat = [direction for layer in result.states for direction in layer]
        after = tuple(torch.stack([side[name] for side in flat]) for name in flat[0])
        return result.output, after if len(after) > 1 else after[0]

    def _run(
        self, x: Tensor, states: list[list[dict[str, Tensor]]], active: Tensor | None, record: bool
    ) -> StackResult:
        return run_stack(
            self._directions(),
            x,
            states,
            active=active,
            dropout=self.dropout,
            training=self.training,
            backend=self.backend,
            record=record,
        )

    def _checked_states(self, x: Tensor, hx: Any) -> list[list[dict[str, Tensor]]]:
        names = tuple(self.graph.state_sizes)
        self.check_input(x.transpose(0, 1) if self.batch_first else x, None)
        if hx is None:
            wide = self.num_layers * (2 if self.bidirectional else 1), x.shape[1]
            units = {"h": self.proj_size or self.hidden_size, "c": self.hidden_size}
            hx = tuple(x.new_zeros(*wide, units[name]) for name in names)
            hx = hx if len(names) > 1 else hx[0]
        self.check_forward_args(x.transpose(0, 1) if self.batch_first else x, hx, None)
        given = dict(zip(names, hx if len(names) > 1 else (hx,), strict=True))
        sides = 2 if self.bidirectional else 1
        return [
            [
                {n: value[layer * sides + side] for n, value in given.items()}
                for side in range(sides)
            ]
            for layer in range(self.num_layers)
        ]

    def _batched_states(self, hx: Any, batched: bool) -> Any:
        if hx is None:
            return None

        def check(value: Tensor) -> Tensor:
            if value.dim() != (3 if batched else 2):
                raise ShapeError(
                    f"for {'batched 3-D' if batched else 'unbatched 2-D'} input the states "
                    f"should be {3 if batched else 2}-D too, got {value.dim()}-D"
                )
            return value if batched else value.unsqueeze(1)

        return self._each(hx, check)

    def _each(self, hx: Any, change: Any) -> Any:
        return tuple(map(change, hx)) if isinstance(hx, (tuple, list)) else change(hx)

    def _directions(self) -> list[list[Direction]]:
        sides = ("", "_reverse") if self.bidirectional else ("",)
        layers = []
        for layer in range(self.num_layers):
            wide = (self.proj_size or self.hidden_size) * len(sides)
            sizes = {INPUT: wide if layer else self.input_size, HIDDEN: self.hidden_size}
            if self.proj_size:
                sizes["proj"] = self.proj_size
            layers.append(
                [
                    Direction(self.graph, sizes, self._weights(f"l{layer}{side}"), bool(side))
                    for side in sides
                ]
            )
        return layers

    def _weights(self, suffix: str) -> Weights:
        """The packed weights of one layer and direction, under the cell's own names."""
        of_input, of_state = zip(*self.gates, strict=True)
        blocks: dict[tuple[str, ...], Tensor] = {
            tuple(f"{gate}_x" for gate in of_input): getattr(self, f"weight_ih_{suffix}"),
            tuple(f"{gate}_h" for gate in of_state): getattr(self, f"weight_hh_{suffix}"),
        }
        if self.proj_size:
            blocks["r_m",] = getattr(self, f"weight_hr_{suffix}")
        if self.bias:
            blocks |= self._biases(
                getattr(self, f"bias_ih_{suffix}"), getattr(self, f"bias_hh_{suffix}")
            )
        return Weights(blocks)

    def _biases(self, of_input: Tensor, of_state: Tensor) -> dict[tuple[str, ...], Tensor]:
        one = [input for input, state in self.gates if input == state]
        end = len(one) * self.hidden_size
        blocks = {tuple(f"{gate}_bias" for gate in one): of_input[:end] + of_state[:end]}
        for number, (input, state) in enumerate(self.gates[len(one) :]):
            rows = slice(end + number * self.hidden_size, end + (number + 1) * self.hidden_size)
            blocks[f"{input}_bias",] = of_input[rows]
            blocks[f"{state}_bias",] = of_state[rows]
        return blocks


def _first_row(state: Tensor) -> Tensor:
    return state.squeeze(1)


class LSTM(_DropIn, nn.LSTM):
    r"""`torch.nn.LSTM`, with its arguments, ``state_dict``, inputs, outputs and errors.

    $$\begin{aligned}
    i_t &= \sigma(W_{ii} x_t + b_{ii} + W_{hi} h_{t-1} + b_{hi}) \\
    f_t &= \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf}) \\
    g_t &= \tanh(W_{ig} x_t + b_{ig} + W_{hg} h_{t-1} + b_{hg}) \\
    o_t &= \sigma(W_{io} x_t + b_{io} + W_{ho} h_{t-1} + b_{ho}) \\
    c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
    h_t &= o_t \odot \tanh(c_t)
    \end{aligned}$$

    With `proj_size` the output is $W_{hr} h_t$ instead.

    Examples
    --------
    >>> import cellwright as cw, torch
    >>> net = cw.LSTM(28, 128, num_layers=2, batch_first=True)
    >>> y, (h, c) = net(torch.randn(4, 10, 28))
    >>> y.shape, h.shape, c.shape
    (torch.Size([4, 10, 128]), torch.Size([2, 4, 128]), torch.Size([2, 4, 128]))
    """

    gates = (("i", "i"), ("f", "f"), ("g", "g"), ("o", "o"))

    def _cell_name(self) -> str:
        return "projected_lstm" if self.proj_size else "lstm"


class GRU(_DropIn, nn.GRU):
    r"""`torch.nn.GRU`, with its arguments, ``state_dict``, inputs, outputs and errors.

    $$\begin{aligned}
    r_t &= \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr}) \\
    z_t &= \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz}) \\
    n_t &= \tanh(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn})) \\
    h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}
    \end{aligned}$$
    """

    gates = (("r", "r"), ("z", "z"), ("n", "m"))

    def _cell_name(self) -> str:
        return "gru"


class RNN(_DropIn, nn.RNN):
    r"""`torch.nn.RNN`, with its arguments, ``state_dict``, inputs, outputs and errors.

    $$h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh}), \quad
    \phi = \tanh \text{ or } \max(\cdot, 0)$$
    """

    gates = (("h", "h"),)

    def _cell_name(self) -> str:
        return "elman" if self.nonlinearity == "tanh" else "elman_relu"
