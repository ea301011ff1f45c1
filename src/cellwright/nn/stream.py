"""A stack fed one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from cellwright.backends import Weights
from cellwright.errors import SettingError, ShapeError, did_you_mean
from cellwright.nn.arguments import check_tensor, whole
from cellwright.nn.chains import Chain, KernelChain, copied, linked
from cellwright.nn.connections import Connections
from cellwright.nn.stack import Direction
from cellwright.pipeline import compile

__all__ = ["Stream", "open_stream"]


@dataclass(frozen=True)
class Words:
    """How a module lays its states out for the user, and reads them back."""

    first: Callable[[int], list[dict[str, Tensor]]]
    to_user: Callable[[list[dict[str, Tensor]]], Any]
    from_user: Callable[[Any, int], list[dict[str, Tensor]]]


class Stream:
    """A stack fed one step at a time: the same numbers, microseconds a step.

    Made by ``net.stream(batch_size)``. It has the weights that the network had then, its own
    states, and nothing is allocated at a step. It runs as in evaluation: nothing is dropped,
    random draws take their expected value, and there are no gradients. Streams are independent
    of each other and may run in threads of their own; one stream belongs to one thread at a
    time.

    Attributes
    ----------
    batch_size
        Sequences that go on side by side.
    state
        A copy of the states, as the network returns them; setting it goes on from there.

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
        self._output_shape, self._dtype, self._device = (
            chain.output.shape,
            chain.output.dtype,
            chain.output.device,
        )
        alone = list(chain.extras) == ["x"]
        self._fast = getattr(chain, "step_alone", None) if alone else None
        self._hand_out(chain.output)
        # A first state that was learned is a weight, too: what it is now counts.
        self._first = copied(words.first(self.batch_size), self._output)
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
        if self._output.data_ptr() != self._address:
            self._renew_output()
        if (
            self._fast
            and not inputs
            and isinstance(x, Tensor)
            and x.shape == self._shape
            and x.dtype is self._dtype
            and x.is_cpu
            and x.layout is torch.strided
            and x.is_contiguous()
            and not x.is_neg()
        ):
            self._fast(x.data_ptr())
        else:
            self._chain.step(self._values({"x": x, **inputs}, None))
        # Autograd does not see a kernel write; whoever kept the output for a gradient is told.
        torch._C._increment_version(self._written)
        return self._output

    @torch.inference_mode(False)
    def _renew_output(self) -> None:
        # Whoever got the output has moved its memory, as a queue to another process does.
        self._chain.output = torch.zeros(self._output_shape, dtype=self._dtype, device=self._device)
        self._hand_out(self._chain.output)

    def _hand_out(self, output: Tensor) -> None:
        self._output, self._written, self._address = output, [output], output.data_ptr()

    def steps(self, x: Tensor, **inputs: Tensor) -> Tensor:
        """Run a chunk of steps.

        Parameters
        ----------
        x
            (batch, time, features), or (time, batch, features) without ``batch_first``.
        **inputs
            The cell's extra inputs, laid out like `x`.

        Returns
        -------
        Tensor
            The outputs, laid out like `x`: a new tensor.

        Raises
        ------
        ShapeError
            A shape or type does not fit.
        """
        at = 1 if self._batch_first else 0
        count = x.shape[at] if isinstance(x, Tensor) and x.dim() == 3 else 0
        values = self._values({"x": x, **inputs}, count)
        output = self._output.new_empty(count, *self._output_shape)
        self._chain.steps(values, output)
        return self._turned(output)

    def _turned(self, value: Tensor) -> Tensor:
        """From the network's layout to time first, and back."""
        return value.transpose(0, 1) if self._batch_first else value

    def reset(self, state: Any = None) -> None:
        """Start anew: from zero, from what was learned, or from a state.

        Parameters
        ----------
        state
            The states before the next step, as the network takes and returns them.

        Raises
        ------
        ShapeError
            The state does not fit; the message names what is wrong.
        """
        if state is None:
            self._chain.reset(self._first)
        else:
            given = self._words.from_user(state, self.batch_size)
            self._chain.reset(copied(given, self._output))

    @property
    def state(self) -> Any:
        """A copy of the states, as the network returns them."""
        return self._words.to_user(self._chain.states())

    @state.setter
    def state(self, state: Any) -> None:
        self.reset(state)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a stream is neither copied nor stored; open another one and give it this one's state"
        )

    def _values(self, given: Mapping[str, Tensor], steps: int | None) -> list[Tensor]:
        """Values as the chain wants them: checked, time first, contiguous."""
        wanted = self._chain.extras
        for name in given:
            if name not in wanted:
                raise ShapeError(f"the stream takes no input {name!r}.{did_you_mean(name, wanted)}")
        found = []
        for name, units in wanted.items():
            if name not in given:
                raise ShapeError(f"the stream needs the input {name!r} at every step")
            self._check(name, given[name], units, steps)
            value = given[name].detach()
            value = value if steps is None else self._turned(value)
            found.append(value.resolve_neg().contiguous())
        return found

    def _check(self, name: str, value: Any, units: int, steps: int | None) -> None:
        check_tensor(name, value)
        axes = {"batch": self.batch_size, "units": units}
        if steps is not None:
            axes["time"] = steps
        order = ("batch", "time", "units") if self._batch_first else ("time", "batch", "units")
        shape = {axis: axes[axis] for axis in order if axis in axes}
        if tuple(value.shape) != tuple(shape.values()):
            free = steps is not None and name == "x"
            shown = [a if a == "time" and free else f"{a}={n}" for a, n in shape.items()]
            raise ShapeError(f"{name}: expected ({', '.join(shown)}), got {tuple(value.shape)}")
        if value.dtype != self._dtype or value.device != self._device:
            raise ShapeError(
                f"{name}: expected {self._dtype} on {self._device} like the weights, got "
                f"{value.dtype} on {value.device}; convert it"
            )


# Its buffers are written later, perhaps outside of an inference mode in which it was opened.
@torch.inference_mode(False)
@torch.no_grad()
def open_stream(
    layers: Sequence[Sequence[Direction]],
    words: Words,
    like: Tensor,
    *,
    batch_size: int,
    batch_first: bool,
    backend: str,
    connections: Connections = "none",
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
    if any(layer[0].reverse for layer in layers):
        raise SettingError("a network that reads from the end cannot be streamed")
    batch_size = whole("batch_size", batch_size)
    stack = [layer[0] for layer in layers]
    kernels = [
        compile(d.graph, d.sizes, backend=backend, device=like.device, dtype=like.dtype)
        for d in stack
    ]
    weights = [Weights.of(d.weights) for d in stack]
    chain: Chain | None
    if connections == "none":
        make = getattr(kernels[0], "chain", None)
        chain = make(kernels[1:], weights, batch_size, like.dtype) if make else None
    else:
        chain = linked(stack, kernels, weights, batch_size, like.dtype, connections)
    if chain is None:
        chain = KernelChain(stack, kernels, batch_size, like, connections)
    return Stream(chain, words, stack[0].units("input"), batch_first)
