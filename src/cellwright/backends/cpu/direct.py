"""The shortest way to a kernel, in training as well, for batches of one shape.

A kernel that has run has driven the interpreter out of the processor's caches, and every line
of Python behind it takes ten times as long as it would alone. So what does not change from
call to call is worked out at the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from cellwright.backends.contract import are_batched
from cellwright.backends.cpu.engine import Engine
from cellwright.backends.cpu.gradient import first_gradient, save_tensors, saved_tensors
from cellwright.backends.cpu.library import Batch
from cellwright.backends.cpu.memory import readable, room, zeros

__all__ = ["Direct"]


class Direct:
    """A compiled cell for batches of one shape that start at step 0.

    Parameters
    ----------
    engine
        The cell.
    batch
        The shape of a batch.
    begun
        First states like those that will be given, (B, n) or (1, B, n); none for zeros.
    weights
        Blocks of weights like those that will be given.
    stacked
        Whether states after the last step are (1, B, n), as torch.nn has them, or (B, n).
    plain
        Whether input, states and weights can be read by their addresses as they are.
    learns
        Whether the input, a state or a weight wants a gradient.
    """

    def __init__(
        self,
        engine: Engine,
        batch: Batch,
        begun: Sequence[Tensor],
        weights: Sequence[Tensor],
        *,
        stacked: bool,
        plain: bool,
        learns: bool,
    ) -> None:
        self.engine, self.reverse, self._plain, self._learns = engine, batch.reverse, plain, learns
        self._batch = batch
        steps, rows, dtype = batch.steps, batch.rows, engine.dtype
        seen = [room(steps, rows, units, dtype=dtype) for units in engine.units_of_seen()]
        states = [(rows, units) for units in engine.units_of_states()]
        self._found = seen + [
            room(*((1, *shape) if stacked else shape), dtype=dtype) for shape in states
        ]
        self._seen = len(seen)
        self.zeros = [zeros(*shape, dtype) for shape in states if not begun]
        self._first = [zero.data_ptr() for zero in self.zeros]
        *places, count = engine.places_of_saved(steps * rows)
        self._saved = room(count, dtype=dtype)
        self._places = [place * dtype.itemsize for place in places]
        units = engine.spec.units(engine.spec.inputs[0].size)
        self._shapes = [(steps, rows, units), *(value.shape for value in (*begun, *weights))]
        # Of what is kept for the gradient, how much there is of each kind, see `gradient`.
        self.cuts = 1 + len(states) + len(weights), self._seen, bool(places), 0, 0

    # Each when it is first needed: many a batch is never learned from, or comes only once.

    @cached_property
    def _use(self) -> Callable[..., None]:
        return self.engine.ready("use", self._batch)

    @cached_property
    def _train(self) -> Callable[..., None]:
        return self.engine.ready("train", self._batch)

    @cached_property
    def _learn(self) -> Callable[..., None]:
        return self.engine.ready("learn", self._batch)

    @cached_property
    def _gradients(self) -> list[Callable[[], Tensor]]:
        return [room(*shape, dtype=self.engine.dtype) for shape in self._shapes]

    def __call__(
        self, x: Tensor, begun: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The output, (T, B, n), and each state after the last step.

        Nothing is checked here: all must be as it was said to be when this was made.
        """
        given = (x, *begun, *weights)
        if not self._plain:
            # Held until the end: a copy must not be let go while the kernel reads it.
            given = tuple(map(readable, given))
        if self._learns and torch.is_grad_enabled():
            output, *after = _learning(self, *given)
            return output, after
        found = [make() for make in self._found]
        source, *others = [tensor.data_ptr() for tensor in given]
        self._use(source, *self._first, *others, *[tensor.data_ptr() for tensor in found])
        return found[0], found[self._seen :]

    def train(self, given: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What is seen, the states after and what is to be kept, of input, states and weights."""
        found = [make() for make in self._found]
        seen, after = found[: self._seen], found[self._seen :]
        saved = [self._saved()] if self._places else []
        source, *others = [tensor.data_ptr() for tensor in given]
        self._train(
            source,
            *self._first,
            *others,
            *[tensor.data_ptr() for tensor in seen],
            *self._in_saved(saved),
            *[tensor.data_ptr() for tensor in after],
        )
        return seen, after, [given[0], *self.zeros, *given[1:], *seen, *saved]

    def learn(
        self, kept: Sequence[Tensor], gradients: Sequence[Tensor | None], wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """Gradients of the input, states that were given and weights; None where not wanted.

        Parameters
        ----------
        kept
            What `train` has returned last.
        gradients
            Of the output and of the states after; None for zero.
        wanted
            Whether each gradient is wanted.
        """
        inputs, seen, *_ = self.cuts
        found = [make() if w else None for make, w in zip(self._gradients, wanted, strict=True)]
        coming = [None if g is None else readable(g) for g in gradients]
        none = [None] * len(self.zeros)
        self.engine.clear_unreached([found[0], *none, *found[1:]])
        of_x, *of_others = [0 if t is None else t.data_ptr() for t in found]
        self._learn(
            *[tensor.data_ptr() for tensor in kept[: inputs + seen]],
            *self._in_saved(kept[inputs + seen :]),
            *[0 if t is None else t.data_ptr() for t in coming],
            of_x,
            *[0 for _ in none],
            *of_others,
        )
        return found

    def _in_saved(self, saved: Sequence[Tensor]) -> list[int]:
        if not saved:
            return []
        start = saved[0].data_ptr()
        return [start + place for place in self._places]


class _Learning(torch.autograd.Function):
    """A run in training, told to torch's autograd."""

    @staticmethod
    def forward(ctx: Any, direct: Direct, *given: Tensor) -> tuple[Tensor, ...]:
        """Run, and remember what the gradient needs."""
        seen, after, kept = direct.train(given)
        ctx.set_materialize_grads(False)
        ctx.direct = direct
        save_tensors(ctx, kept)
        return (seen[0], *after)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        """Gradients of the tensors that want one."""
        direct, wanted = ctx.direct, ctx.needs_input_grad[1:]
        if not torch.is_grad_enabled() and not are_batched(gradients):
            return (None, *direct.learn(saved_tensors(ctx), gradients, wanted))
        # It is to be differentiated itself, or many at once. There all states are (B, n).
        output, *after = gradients
        begun = slice(1, 1 + len(after))
        kept = list(saved_tensors(ctx))
        shapes = [value.shape for value in kept[begun]]
        kept[begun] = [_in_rows(value) for value in kept[begun]]
        run = SimpleNamespace(
            spec=direct.engine.spec,
            reverse=direct.reverse,
            cuts=direct.cuts,
            saved_tensors=kept,
            kinds=None,
        )
        given = [output, *(g if g is None else _in_rows(g) for g in after)]
        absent = len(direct.zeros)
        found = first_gradient(run, given, [wanted[0], *[False] * absent, *wanted[1:]], None)
        pairs = zip(found[begun], shapes, strict=True)
        found[begun] = [g if g is None else g.reshape(shape) for g, shape in pairs]
        return (None, found[0], *found[1 + absent :])


def _in_rows(state: Tensor) -> Tensor:
    """A state, (1, B, n) or (B, n), as (B, n)."""
    # Not flattened: for many at once, torch has a rule for this alone.
    return state.reshape(state.shape[-2:])


# torch's own `apply` looks among the arguments for what transforms have left behind, and there
# is none of that where this is used.
_learning: Callable[..., tuple[Tensor, ...]] = super(torch.autograd.Function, _Learning).apply
