"""Drop-ins for torch.nn.LSTM, GRU and RNN: the same signatures, weights and results.

They *are* torch's modules (`isinstance` holds, `state_dict` is the same in both directions,
one seed gives the same weights); only what computes the sequence is cellwright's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from cellwright import cells
from cellwright.backends import Weights, are_autocast
from cellwright.cells import transform
from cellwright.errors import ShapeError
from cellwright.ir import HIDDEN, INPUT
from cellwright.nn.arguments import check_tensor
from cellwright.nn.once import computed_once
from cellwright.nn.ragged import active_steps
from cellwright.nn.shortened import Shortened
from cellwright.nn.stack import Direction, StackResult, leaves_of, run_stack, zero_states
from cellwright.nn.states import as_wide, check_packed, check_type
from cellwright.nn.stream import Stream, Words, open_stream

__all__ = ["GRU", "LSTM", "RNN"]


@dataclass(frozen=True)
class _Side:
    """One layer in one direction, and where its weights stand in torch's module.

    Attributes
    ----------
    bare
        The direction without its weights.
    layout
        The cell's names for what each block of weights holds.
    names
        Torch's names for the matrices, in the same order, and for the two biases, if any.
    biased
        Whether there are biases.
    shared
        How many gates have one bias, the sum of torch's two; each other has both.
    """

    bare: Direction
    layout: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    biased: bool
    shared: int

    def direction(self, module: nn.Module) -> Direction:
        """The direction with its weights as they are now."""
        bare = self.bare
        weights = Weights.laid_out(self.layout, self.blocks(module))
        return Direction(bare.graph, bare.sizes, weights, bare.reverse)

    def blocks(self, module: nn.Module) -> list[Tensor]:
        """The weights as they are now."""
        # A parametrised weight, and those of a replica, are attributes instead.
        known = module._parameters.get
        found = [
            computed_once(module, n, partial(getattr, module, n)) if (w := known(n)) is None else w
            for n in self.names
        ]
        if not self.biased:
            return found
        *matrices, of_input, of_state = found
        alone = (len(self.layout) - len(matrices) - 1) // 2
        if not alone:
            return [*matrices, of_input + of_state]
        return matrices + self._biases(of_input, of_state, alone)

    def _biases(self, of_input: Tensor, of_state: Tensor, alone: int) -> list[Tensor]:
        """The sum of what is shared, and the biases of so many gates that have two."""
        units = len(of_input) // (self.shared + alone)
        end = self.shared * units
        blocks = [of_input[:end] + of_state[:end]]
        for start in range(end, end + alone * units, units):
            blocks += [of_input[start : start + units], of_state[start : start + units]]
        return blocks


@cache
def _unseen() -> Callable[..., StackResult]:
    disable: Callable[..., Callable[..., StackResult]] = torch.compiler.disable
    return disable(run_stack)


class _DropIn(Shortened, nn.RNNBase):
    """What the three drop-ins share: torch's calling convention around a cellwright stack."""

    # For each block of torch's packed weights, the names of the affine maps of the input and
    # of the state. Where they are the same, torch's two biases are one; those gates come first.
    gates: ClassVar[tuple[tuple[str, str], ...]]
    backend = "auto"
    stacks_states = True

    def __init__(self, *args, **kwargs):  # type: ignore[no-untyped-def]  # as torch's own
        super().__init__(*args, **kwargs)
        graph = cells.get(self._cell_name()).graph
        self.graph = graph if self.bias else transform.without_bias(graph)
        self._sides = self._plan_sides()

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Run over a batch, one sequence or a `PackedSequence`, as torch's module does."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() == 2:
            rows = 0 if self.batch_first else 1
            output, hx = self.forward(input.unsqueeze(rows), self._batched_states(hx, False))
            return output.squeeze(rows), self._each(hx, _first_row)
        # A tuple of one state or none is none of torch's, and refused as whatever is no tensor.
        several = type(hx) is tuple and len(hx) > 1
        states = () if hx is None else hx if several else (hx,)
        return self._shortest(input, states, lambda: self._forward(input, hx))

    def _forward(self, input: Any, hx: Any) -> Any:
        if are_autocast(input.device):
            input, hx = as_wide((input, hx), next(self.parameters()).dtype)
        check_tensor(f"{type(self).__name__}: input", input)
        if input.dim() != 3:
            raise ShapeError(
                f"{type(self).__name__}: expected input to be 2D (time, features) or 3D, "
                f"got {input.dim()}D"
            )
        hx = self._batched_states(hx, True)
        x = input.transpose(0, 1) if self.batch_first else input
        output, hx = self._forward_padded(x, hx, None)
        return (output.transpose(0, 1) if self.batch_first else output), hx

    def run(
        self, x: Tensor, state: Any = None, *, lengths: Any = None, record: bool = False
    ) -> StackResult:
        """Like calling the module on a batch, but time first and with signals if asked."""
        if are_autocast(x.device):
            x, state = as_wide((x, state), next(self.parameters()).dtype)
        x = x.transpose(0, 1) if self.batch_first else x
        active = active_steps(x.shape[1], x.shape[0], x.device, lengths)
        return self._run(x, self._checked_states(x, state), active, record=record)

    def stream(self, batch_size: int = 1) -> Stream:
        """Open a stream: this module as it is now, fed one step at a time.

        Its ``state`` is laid out like the states that the module takes and returns.
        """
        like = next(self.parameters()).new_empty(0)  # the module may be converted later

        def first(rows: int) -> list[dict[str, Tensor]]:
            return split(None, rows)

        def to_user(states: list[dict[str, Tensor]]) -> Any:
            found = tuple(torch.stack([layer[n] for layer in states]) for n in names)
            return found if len(found) > 1 else found[0]

        def split(state: Any, rows: int) -> list[dict[str, Tensor]]:
            x = like.new_empty(1, rows, self.input_size)
            return [layer[0] for layer in self._checked_states(x, state)]

        names = tuple(self.graph.state_sizes)
        return open_stream(
            self._directions(),
            Words(first, to_user, split),
            like,
            batch_size=batch_size,
            batch_first=self.batch_first,
            backend=self.backend,
        )

    def _shortenable(self, x: Tensor) -> bool:
        return x.dim() == 3

    def _blocks(self) -> list[list[Tensor]]:
        return [side.blocks(self) for layer in self._sides for side in layer]

    def _begun(self, x: Tensor, states: Sequence[Tensor]) -> Sequence[Sequence[Tensor]]:
        count = self.num_layers * len(self._sides[0])
        return (states,) if count == 1 else [[v[number] for v in states] for number in range(count)]

    def _handed_out(self, after: list[list[Tensor]], x: Tensor) -> Any:
        found = after[0] if len(after) == 1 else list(map(torch.cat, zip(*after, strict=True)))
        return found[0] if len(found) == 1 else tuple(found)

    def _directions(self) -> list[list[Direction]]:
        return [[side.direction(self) for side in layer] for layer in self._sides]

    def _cell_name(self) -> str:
        raise NotImplementedError

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        sizes = packed.batch_sizes
        if len(sizes) and sizes[0] == sizes[-1] and packed.data.dim() == 2:
            return self._forward_full(packed, hx)
        # Ragged rows need no sorting here: pad to the caller's order, and pack like the input.
        x, lengths = pad_packed_sequence(packed)
        if are_autocast(x.device):
            x, hx = as_wide((x, hx), next(self.parameters()).dtype)
        active = active_steps(x.shape[1], x.shape[0], x.device, lengths.to(x.device))
        output, hx = self._forward_padded(x, hx, active)
        output = _in_order(output, packed.sorted_indices)
        rows = torch.arange(output.shape[1], device=x.device)
        exists = rows < sizes.to(x.device).unsqueeze(1)
        return PackedSequence(output[exists], *packed[1:]), hx

    def _forward_full(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """Rows that all have all steps lie as those of a batch do, if in another order."""
        x = packed.data.reshape(len(packed.batch_sizes), -1, packed.data.shape[-1])
        x = _in_order(x, packed.unsorted_indices)
        output, hx = self.forward(x.transpose(0, 1) if self.batch_first else x, hx)
        output = output.transpose(0, 1) if self.batch_first else output
        output = _in_order(output, packed.sorted_indices)
        return PackedSequence(output.flatten(0, 1), *packed[1:]), hx

    def _forward_padded(self, x: Tensor, hx: Any, active: Tensor | None) -> tuple[Tensor, Any]:
        states = self._checked_states(x, hx)
        if x.shape[0] == 0:
            raise ShapeError("expected sequence length to be larger than 0")
        result = self._run(x, states, active, record=False)
        flat = [direction for layer in result.states for direction in layer]
        after = tuple(
            torch.stack([side[name] for side in flat]) if len(flat) > 1 else last.unsqueeze(0)
            for name, last in flat[0].items()
        )
        return result.output, after if len(after) > 1 else after[0]

    def _run(
        self, x: Tensor, states: list[list[dict[str, Tensor]]], active: Tensor | None, record: bool
    ) -> StackResult:
        run = run_stack
        # As long as torch._dynamo.config.allow_rnn is not set, torch.compile does not look into
        # an nn.LSTM; it should not make programs of the pieces that it comes across then.
        if "torch._dynamo" in sys.modules and not torch.compiler.is_compiling():
            run = _unseen()
        return run(
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
        self.check_input(x.transpose(0, 1) if self.batch_first else x, None)
        check_type("input", x, next(self.parameters()))
        if hx is None:
            return [[zero_states(side.bare, x) for side in sides] for sides in self._sides]
        names = [name for name, _ in leaves_of(self.graph).carried]
        check_packed(type(self).__name__, hx, names)
        self.check_forward_args(x.transpose(0, 1) if self.batch_first else x, hx, None)
        given = dict(zip(names, hx if len(names) > 1 else (hx,), strict=True))
        for name, value in given.items():
            check_type(name, value, x)
        numbers = iter(range(self.num_layers * len(self._sides[0])))
        return [
            [
                {name: value[number] for name, value in given.items()}
                for number in islice(numbers, len(sides))
            ]
            for sides in self._sides
        ]

    def _batched_states(self, hx: Any, batched: bool) -> Any:
        if hx is None:
            return None

        def check(value: Tensor) -> Tensor:
            check_tensor(f"{type(self).__name__}: a state", value)
            if value.dim() != (3 if batched else 2):
                raise ShapeError(
                    f"for {'batched 3-D' if batched else 'unbatched 2-D'} input the states "
                    f"should be {3 if batched else 2}-D too, got {value.dim()}-D"
                )
            return value if batched else value.unsqueeze(1)

        return self._each(hx, check)

    def _each(self, hx: Any, change: Any) -> Any:
        return tuple(map(change, hx)) if isinstance(hx, (tuple, list)) else change(hx)

    def _plan_sides(self) -> list[list[_Side]]:
        suffixes = ("", "_reverse") if self.bidirectional else ("",)
        layers = []
        for layer in range(self.num_layers):
            wide = (self.proj_size or self.hidden_size) * len(suffixes)
            sizes = {INPUT: wide if layer else self.input_size, HIDDEN: self.hidden_size}
            if self.proj_size:
                sizes["proj"] = self.proj_size
            layers.append([self._side(f"l{layer}{s}", sizes, bool(s)) for s in suffixes])
        return layers

    def _side(self, suffix: str, sizes: dict[str, int], reverse: bool) -> _Side:
        """What torch's packed weights of one layer and direction hold, by the cell's own names."""
        of_input, of_state = zip(*self.gates, strict=True)
        layout = [
            tuple(f"{gate}_x" for gate in of_input),
            tuple(f"{gate}_h" for gate in of_state),
        ]
        names = [f"weight_ih_{suffix}", f"weight_hh_{suffix}"]
        if self.proj_size:
            layout.append(("r_m",))
            names.append(f"weight_hr_{suffix}")
        one = tuple(input for input, state in self.gates if input == state)
        if self.bias:
            layout.append(tuple(f"{gate}_bias" for gate in one))
            for input, state in self.gates[len(one) :]:
                layout += [(f"{input}_bias",), (f"{state}_bias",)]
            names += [f"bias_ih_{suffix}", f"bias_hh_{suffix}"]
        bare = Direction(self.graph, sizes, {}, reverse)
        return _Side(bare, tuple(layout), tuple(names), self.bias, len(one))


def _in_order(batch: Tensor, order: Tensor | None) -> Tensor:
    return batch if order is None else batch.index_select(1, order)


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
