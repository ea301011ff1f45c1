"""A stack fed one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from cellwright.backends import Call, Kernel, Weights
from cellwright.errors import SettingError, ShapeError
from cellwright.nn.stack import Direction
from cellwright.pipeline import compile

__all__ = ["Stream", "open_stream"]


class Chain(Protocol):
    """Cells on top of each other that are run one step at a time, by one backend."""

    extras: list[str]
    output: Tensor

    def step(self, values: Sequence[Tensor]) -> None:
        """Run one step on contiguous values, (B, n), in the order of `extras`."""

    def steps(self, values: Sequence[Tensor], output: Tensor) -> None:
        """Run several steps, (T, B, n), and write what each gives."""

    def states(self) -> list[dict[str, Tensor]]:
        """States of each layer, (B, n)."""

    def count(self) -> Tensor:
        """How many steps each row has behind it, (B, 1)."""

    def reset(self, states: Sequence[Mapping[str, Tensor]], count: Tensor) -> None:
        """Start from these states, with so many steps behind."""


@dataclass(frozen=True)
class Words:
    """How a module lays its states out for the user, and reads them back."""

    first: Callable[[int], list[dict[str, Tensor]]]
    to_user: Callable[[list[dict[str, Tensor]]], Any]
    from_user: Callable[[Any, int], list[dict[str, Tensor]]]


class Stream:
    """A stack fed one step at a time: the same numbers, microseconds a step.

    Made by ``net.stream(batch_size)``. It has the weights that the network had then, its own
    states, and nothing is allocated at a step. Streams are independent of each other and may
    run in threads of their own; one stream belongs to one thread at a time. No gradients.

    Attributes
    ----------
    state
        The states as the network returns them; setting it goes on from there.

    Examples
    --------
    >>> import cellwright as cw, torch
    >>> net = cw.LSTM(3, 5, batch_first=True)
    >>> stream = net.stream(batch_size=2)
    >>> x = torch.randn(2, 4, 3)
    >>> y = torch.stack([stream.step(x[:, t]).clone() for t in range(4)], 1)
    >>> torch.allclose(y, net(x)[0], atol=1e-6)
    True
    """

    def __init__(self, chain: Chain, words: Words, features: int, batch_first: bool) -> None:
        self._chain, self._words, self._batch_first = chain, words, batch_first
        self.batch_size = len(chain.output)
        self._shape = (self.batch_size, features)
        self._dtype = chain.output.dtype
        self._fast = getattr(chain, "step_alone", None) if chain.extras == ["x"] else None
        self._output = chain.output
        self.reset()

    def step(self, x: Tensor, **inputs: Tensor) -> Tensor:
        """Run one step.

        Parameters
        ----------
        x
            (batch, features).
        **inputs
            The cell's extra inputs, (batch, n).

        Returns
        -------
        Tensor
            The output, (batch, units): always the same tensor, which the next step
            overwrites; clone it to keep it.

        Raises
        ------
        ShapeError
            A shape or type does not fit.
        """
        fits = x.shape == self._shape and x.dtype is self._dtype and x.is_cpu
        if fits and self._fast and not inputs and x.is_contiguous():
            self._fast(x.data_ptr())
        else:
            self._chain.step(self._values({"x": x, **inputs}, ()))
        return self._output

    def steps(self, x: Tensor, **inputs: Tensor) -> Tensor:
        """Run a chunk of steps, laid out as the network wants sequences; a new tensor."""
        if x.dim() != 3:
            raise ShapeError(f"x: expected 3 axes for a chunk of steps, got {tuple(x.shape)}")
        turned = {name: self._turned(value) for name, value in {"x": x, **inputs}.items()}
        count = len(turned["x"])
        values = self._values(turned, (count,))
        output = self._output.new_empty(count, *self._output.shape)
        self._chain.steps(values, output)
        return self._turned(output)

    def _turned(self, value: Tensor) -> Tensor:
        """From the network's layout to time first, and back."""
        return value.transpose(0, 1) if self._batch_first else value

    def reset(self, state: Any = None) -> None:
        """Start anew: from zero, from what was learned, or from a state.

        Raises
        ------
        ShapeError
            The state does not fit; the message names what is wrong.
        """
        rows = self.batch_size
        first = self._words.first(rows) if state is None else self._words.from_user(state, rows)
        counts = [layer["t"] for layer in first if "t" in layer]
        count = counts[0] if counts else torch.zeros(rows, 1, dtype=torch.int64)
        self._chain.reset(first, count)

    @property
    def state(self) -> Any:
        """A copy of the states, as the network returns them."""
        count = self._chain.count()
        layers = [
            {name: value.clone() for name, value in layer.items()} | {"t": count.clone()}
            for layer in self._chain.states()
        ]
        return self._words.to_user(layers)

    @state.setter
    def state(self, state: Any) -> None:
        self.reset(state)

    def _values(self, given: Mapping[str, Tensor], lead: tuple[int, ...]) -> list[Tensor]:
        """Values as the chain wants them: checked, contiguous."""
        wanted = self._chain.extras
        if set(given) != set(wanted):
            raise ShapeError(f"expected the inputs {', '.join(wanted)}; got {', '.join(given)}")
        values = []
        for name in wanted:
            value = given[name]
            if not isinstance(value, Tensor):
                raise ShapeError(f"{name}: expected a tensor, got {type(value).__name__}")
            units = self._shape[1] if name == "x" else value.shape[-1] if value.dim() else 0
            shape = (*lead, self.batch_size, units)
            if value.shape != shape or value.dtype != self._dtype:
                axes = ", ".join(["time"] * len(lead) + [f"batch={self.batch_size}", f"{units}"])
                raise ShapeError(
                    f"{name}: expected ({axes}) of {self._dtype}, got {tuple(value.shape)} "
                    f"of {value.dtype}"
                )
            if value.device != self._output.device:
                raise ShapeError(f"{name}: expected it on {self._output.device}")
            values.append(value.detach().contiguous())
        return values


@torch.no_grad()
def open_stream(
    layers: Sequence[Sequence[Direction]],
    words: Words,
    *,
    batch_size: int,
    batch_first: bool,
    backend: str,
) -> Stream:
    """Open a stream over a stack.

    Raises
    ------
    SettingError
        The stack is bidirectional: it would have to know the future.
    """
    if any(len(layer) > 1 for layer in layers):
        raise SettingError(
            "a bidirectional network cannot be streamed: its second direction starts at the end"
        )
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise SettingError(f"batch_size: expected a positive whole number, got {batch_size!r}")
    stack = [layer[0] for layer in layers]
    weight = next(iter(stack[0].weights.values()))
    kernels = [
        compile(d.graph, d.sizes, backend=backend, device=weight.device, dtype=weight.dtype)
        for d in stack
    ]
    weights = [Weights.of(d.weights) for d in stack]
    make = getattr(kernels[0], "chain", None)
    chain = make(kernels[1:], weights, batch_size, weight.dtype) if make else None
    if chain is None:
        chain = _KernelChain(stack, kernels, batch_size, weight)
    return Stream(chain, words, stack[0].units("input"), batch_first)


class _KernelChain:
    """A chain for backends that have none of their own: whole runs of one step."""

    def __init__(
        self, stack: Sequence[Direction], kernels: Sequence[Kernel], batch: int, like: Tensor
    ) -> None:
        self.stack, self.kernels = stack, kernels
        graph = stack[-1].graph
        self.extras = [leaf.name for leaf in stack[0].graph.inputs]
        self.output = like.new_empty(batch, stack[-1].units(graph.states[0].size))
        self.weights = [{n: w.detach().clone() for n, w in d.weights.items()} for d in stack]
        self._states: list[dict[str, Tensor]] = []
        self._count = torch.zeros(batch, 1, dtype=torch.int64, device=like.device)

    @torch.no_grad()
    def step(self, values: Sequence[Tensor]) -> None:
        """Run one step."""
        given = {n: v.unsqueeze(0) for n, v in zip(self.extras, values, strict=True)}
        below: dict[str, Tensor] = {}
        for number, (direction, kernel) in enumerate(zip(self.stack, self.kernels, strict=True)):
            wanted = {leaf.name: leaf.size for leaf in direction.graph.leaves("below")}
            nothing = {
                n: given["x"].new_zeros(1, len(self.output), direction.units(s))
                for n, s in wanted.items()
                if n not in below
            }
            result = kernel(
                Call(
                    inputs=given,
                    states=self._states[number],
                    weights=self.weights[number],
                    below=nothing | {n: below[n] for n in wanted if n in below},
                    start=self._count,
                )
            )
            self._states[number] = result.states
            below = {n: s.unsqueeze(0) for n, s in result.states.items()}
            given = {**given, "x": result.output}
        self._count = self._count + 1
        self.output.copy_(given["x"][0])

    def steps(self, values: Sequence[Tensor], output: Tensor) -> None:
        """Run several steps."""
        for step in range(len(output)):
            self.step([value[step] for value in values])
            output[step] = self.output

    def states(self) -> list[dict[str, Tensor]]:
        """States of each layer."""
        return self._states

    def count(self) -> Tensor:
        """How many steps each row has behind it."""
        return self._count

    def reset(self, states: Sequence[Mapping[str, Tensor]], count: Tensor) -> None:
        """Start from these states."""
        self._states = [
            {n: layer[n].detach().clone() for n in direction.graph.state_sizes}
            for layer, direction in zip(states, self.stack, strict=True)
        ]
        self._count = count.to(self.output.device).clone()
