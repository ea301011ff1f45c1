"""Modules that go the shortest way to their kernels where nobody looks on.

A kernel that has run has driven the interpreter out of the processor's caches, and every line
of Python behind it takes ten times as long as it would alone: for a short sequence, as long as
the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

from cellwright.backends import Weights
from cellwright.nn.once import Once
from cellwright.nn.shortcut import Shortcut, Shortcuts
from cellwright.nn.stack import Direction
from cellwright.pipeline import compile

__all__ = ["Shortened"]

# Torch does not promise them; without them every call goes the long way.
_Guards: Any = getattr(getattr(torch._C._dynamo, "guards", None), "TensorGuards", None)


def _is_watched() -> bool:
    """Whether somebody looks on whom the guards of a shortcut do not see."""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or forward_ad._current_level >= 0
        # What is computed twice, as a checkpoint does, must save the same both times, and the
        # first call of all goes the long way.
        or torch._C._autograd._top_saved_tensors_default_hooks(True)
    )


def _is_transformed() -> bool:
    """Whether torch does anything else now than it is told; guards made otherwise see it."""
    return bool(
        torch._C._are_functorch_transforms_active()
        or torch.is_autocast_enabled("cpu")
        or torch._C._get_tracing_state() is not None
    )


def _guards_of(*tensors: Tensor) -> Any:
    return _Guards(*tensors, dynamic_dims_sizes=None, dynamic_dims_strides=None)


class Shortened:
    """A module that goes the shortest way where it can: all of `Recurrent` and the drop-ins.

    Attributes
    ----------
    backend
        A backend's name, or "auto".
    batch_first
        Whether a batch's first axis is that of its rows.
    dropout
        Chance that a unit between two layers is dropped in training.
    training
        Whether the module is being trained.
    stacks_states
        Whether states of layers and directions are stacked in one tensor, as torch.nn has them.
    """

    stacks_states: ClassVar[bool] = False
    backend: str
    batch_first: bool
    dropout: float
    training: bool

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        # An option or a layer: nothing may be as it was. Weights are looked at in every call.
        if name != "training" and not isinstance(value, Tensor):
            self._forget()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._forget()

    def add_module(self, name: str, module: Any) -> None:
        """Add a layer or put it in the place of another one, see `torch.nn.Module.add_module`."""
        super().add_module(name, module)  # type: ignore[misc]  # every one of them is a Module
        self._forget()

    def _forget(self) -> None:
        # Behind the change: a call in another thread finds none that knows what was before.
        vars(self).pop("_shortcuts", None)

    @cached_property
    def _shortcuts(self) -> Shortcuts:
        return Shortcuts()

    def _shortest(
        self, x: Any, states: Sequence[Any], long_way: Callable[[], Any], lengths: Any = None
    ) -> Any:
        """What the module gives for a batch; the long way checks everything.

        Parameters
        ----------
        x
            A batch.
        states
            Its first states, in the order in which `_begun` takes them apart, or none.
        long_way
            What gives the same from any argument.
        lengths
            Steps of each row; None where all exist.
        """
        if _is_watched():
            return long_way()
        given = (x, *states)
        for value in given:
            # Torch's guards end the process where a tensor knows nothing of strides.
            if type(value) is not Tensor or value.is_nested:
                return long_way()
        if lengths is not None and not self._are_full(lengths, x):
            return long_way()
        latest, found = self._shortcuts.latest, None
        if latest and not latest.computes and latest.fits(given, training=self.training):
            found = self._directly(latest, x, states)
        if found is None:
            with Once() as once:
                found = self._otherwise(given, long_way, once)
        return found

    def _otherwise(self, given: Sequence[Tensor], long_way: Callable[[], Any], once: Once) -> Any:
        """The same where the last shortcut cannot be gone at once: by another, or the long way."""
        if any(v.layout is not torch.strided for v in given) or _is_transformed():
            return long_way()
        x, *states = given
        kinds = [
            (v.shape, v.stride(), v.dtype, v.requires_grad, v.is_inference(), v.is_neg())
            for v in given
        ]
        # Weights that are computed want a gradient in one mode and not in the other.
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_num_threads()
        key = (*kinds, x.device, self.training, *modes)
        shortcuts = self._shortcuts
        shortcut = shortcuts.get(key)
        if shortcut is None and key in shortcuts:  # there is none for such batches
            return long_way()
        tried = shortcut is shortcuts.latest and not (shortcut and shortcut.computes)
        if shortcut and not tried and shortcut.fits(given, training=self.training):
            found = self._directly(shortcut, x, states)
            if found is not None:
                shortcuts.keep(key, shortcut)
                return found
        if not shortcuts.are_worth(key):
            return long_way()
        found = long_way()
        shortcuts.keep(key, self._find_shortcut(x, states, once) if self._shortenable(x) else None)
        return found

    def _find_shortcut(self, x: Tensor, states: Sequence[Tensor], once: Once) -> Shortcut | None:
        """A shortcut for a batch like `x` and first states like these; None if there is none."""
        if not x.numel() or _Guards is None:
            return None
        time_first = x.transpose(0, 1) if self.batch_first else x
        begun, layers = self._begun(x, states), self._directions()
        sides = iter(begun)
        kernels: list[Any] = []
        blocks = list[Tensor]()
        plain, learns = time_first.is_contiguous() and not x.is_neg(), x.requires_grad
        for layer in layers:
            below = learns
            for direction, before in zip(layer, sides, strict=False):
                weights = Weights.of(direction.weights)
                blocks += weights.blocks
                own = any(value.requires_grad for value in (*before, *weights.blocks))
                learns = learns or own
                kernel = compile(
                    direction.graph,
                    direction.sizes,
                    backend=self.backend,
                    device=x.device,
                    dtype=x.dtype,
                )
                make = getattr(kernel, "direct", None)
                direct = make and make(
                    weights,
                    before,
                    time_first.shape[:2],
                    x.dtype,
                    reverse=direction.reverse,
                    stacked=self.stacks_states,
                    plain=plain,
                    learns=below or own,
                )
                if not direct:
                    return None
                kernels.append(direct)
            plain = True  # what a layer gives to the next
        if not states:  # then they are zero or weights
            blocks += chain.from_iterable(begun)
        weights_guards = _guards_of(*blocks)
        if not weights_guards.check(*blocks):  # two layers share one, which guards never let by
            return None
        return Shortcut(
            kernels,
            [_guards_of(value) for value in (x, *states)],
            weights_guards,
            wide=len(layers[0]),
            absent=() if any(begun) else begun,
            batch_first=self.batch_first,
            dropout=self.dropout if self.training else 0.0,
            training=self.training,
            computes=bool(once.values),
        )

    def _directly(self, shortcut: Shortcut, x: Tensor, states: Sequence[Tensor]) -> Any:
        """What the module gives for a batch by a shortcut; None if it cannot be gone now."""
        weights = self._blocks()
        begun = shortcut.absent or self._begun(x, states)
        learned = not (states or shortcut.absent)
        if not shortcut.knows([*weights, *begun] if learned else weights):
            return None
        output, after = shortcut.run(x, begun, weights)
        return output, self._handed_out(after, x)

    def _are_full(self, lengths: Any, x: Tensor) -> bool:
        """Whether rows are certain to have all steps; where the lengths are wrong, they are not."""
        if type(lengths) is not Tensor or x.dim() != 3 or lengths.dim() != 1:
            return False
        if lengths.dtype is not torch.int64 or lengths.device.type != "cpu":
            return False
        rows, steps = self._rows_and_steps(x)
        known = lengths.tolist()
        return len(known) == rows == known.count(steps)

    def _rows_and_steps(self, x: Tensor) -> Sequence[int]:
        return x.shape[:2] if self.batch_first else x.shape[1::-1]

    def _shortenable(self, x: Tensor) -> bool:
        """Whether the module's options allow for the shortest way."""
        raise NotImplementedError

    def _directions(self) -> Sequence[Sequence[Direction]]:
        """The layers as they are now, each in its directions."""
        raise NotImplementedError

    def _blocks(self) -> Sequence[Sequence[Tensor]]:
        """The blocks of weights of each layer and direction, as they are now."""
        raise NotImplementedError

    def _begun(self, x: Tensor, states: Sequence[Tensor]) -> Sequence[Sequence[Tensor]]:
        """First states of each layer and direction: given ones, or learned ones, or none."""
        raise NotImplementedError

    def _handed_out(self, after: list[list[Tensor]], x: Tensor) -> Any:
        """The states of each layer and direction as the module hands them out."""
        raise NotImplementedError
