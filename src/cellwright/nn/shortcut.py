"""The shortest way from a module to its kernels, where nobody looks on.

A kernel that has run has driven the interpreter out of the processor's caches, and every line
of Python behind it takes ten times as long as it would alone: for a short sequence, as long as
the kernel. So what does not change from call to call is worked out at the first one, and
torch's own guards tell whether anything has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import dropout as drop
from torch.nn.utils import parametrize

from cellwright.backends import Weights
from cellwright.nn.stack import Direction
from cellwright.pipeline import compile

__all__ = ["Shortcut", "Shortcuts", "Shortened"]

_MOST = 64  # shapes that a module has shortcuts for

# Torch does not promise them; without them every call goes the long way.
_Guards: Any = getattr(getattr(torch._C._dynamo, "guards", None), "TensorGuards", None)


def _is_watched() -> bool:
    """Whether somebody looks on whom the guards of a shortcut do not see."""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or forward_ad._current_level >= 0
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


class Shortcut:
    """Layers of one direction each, for batches and first states that are alike.

    Parameters
    ----------
    kernels
        What each layer's backend has made ready for this shape.
    given, weights
        Guards that tell of a batch and of each first state, and of all weights, whether they
        are such as they were, and whether a transform of torch looks on.
    batch_first
        Whether the first axis of batch and output is that of the rows.
    dropout
        Chance that a unit between two layers is dropped.
    training
        Whether the module was in training.
    """

    def __init__(
        self,
        kernels: Sequence[Any],
        given: Sequence[Any],
        weights: Any,
        *,
        batch_first: bool,
        dropout: float,
        training: bool,
    ) -> None:
        self._kernels, self._know = kernels, weights.check
        self._fit = [each.check for each in given]
        self._training = training
        self._batch_first, self._dropout = batch_first, dropout
        self._threads = torch.get_num_threads()

    @staticmethod
    def through(
        layers: Sequence[Sequence[Direction]],
        x: Tensor,
        states: Sequence[Tensor],
        module: Shortened,
        *,
        stacked: bool,
    ) -> Shortcut | None:
        """A shortcut through a stack for batches like `x`; None if there is none.

        Parameters
        ----------
        layers
            What the module runs.
        x, states
            A batch and its first states as the module is given them.
        module
            The module.
        stacked
            Whether states after the last step are (1, B, n), else (B, n).
        """
        if not x.numel() or _Guards is None or any(len(layer) > 1 for layer in layers):
            return None
        time_first = x.transpose(0, 1) if module.batch_first else x
        found: list[Any] = []
        given, blocks = [x], list[Tensor]()
        plain = time_first.is_contiguous() and not x.is_neg()
        begun = module._by_layer(states, len(layers))
        for (direction,), before in zip(layers, begun, strict=True):
            kernel = compile(
                direction.graph,
                direction.sizes,
                backend=module.backend,
                device=x.device,
                dtype=x.dtype,
            )
            make = getattr(kernel, "direct", None)
            if make is None:
                return None
            weights = Weights.of(direction.weights)
            blocks += weights.blocks
            given += [*before, *weights.blocks]
            found.append(
                make(
                    weights,
                    before,
                    time_first.shape[:2],
                    x.dtype,
                    reverse=direction.reverse,
                    stacked=stacked,
                    plain=plain,
                    learns=any(value.requires_grad for value in given),
                )
            )
            plain = True  # what a layer gives to the next
        if not all(found):
            return None
        weights_guards = _guards_of(*blocks)
        if not weights_guards.check(*blocks):  # two layers share one, which guards never let by
            return None
        return Shortcut(
            found,
            [_guards_of(value) for value in (x, *states)],
            weights_guards,
            batch_first=module.batch_first,
            dropout=module.dropout if module.training else 0.0,
            training=module.training,
        )

    def fits(self, given: Sequence[Tensor], *, training: bool) -> bool:
        """Whether a batch and its first states are such as they were, and how they are run.

        Asked before any weight is looked at: those that are computed, as parametrised ones are,
        must be so once a call, for they may be others each time.
        """
        if len(given) != len(self._fit) or training is not self._training:
            return False
        # One by one: the same zeros may well be the first of two states.
        for fit, value in zip(self._fit, given, strict=True):
            if not fit(value):
                return False
        return torch.get_num_threads() == self._threads

    def knows(self, weights: Sequence[Sequence[Tensor]]) -> bool:
        """Whether each layer's blocks of weights are such as they were."""
        known: bool = self._know(*(weights[0] if len(weights) == 1 else chain(*weights)))
        return known

    def run(
        self,
        x: Tensor,
        begun: Sequence[Sequence[Tensor]],
        weights: Sequence[Sequence[Tensor]],
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """The last layer's output, laid out like `x`, and of each layer the states after.

        Parameters
        ----------
        x
            A batch as the module is given it.
        begun
            The first states of each layer.
        weights
            The blocks of weights of each layer.
        """
        if self._batch_first:
            x = x.transpose(0, 1)
        layers: list[list[Tensor]] = []
        for kernel, before, blocks in zip(self._kernels, begun, weights, strict=True):
            if layers and self._dropout:
                x = drop(x, self._dropout)
            x, states = kernel(x, before, blocks)
            layers.append(states)
        return (x.transpose(0, 1) if self._batch_first else x), layers


class Shortcuts(dict[Any, "Shortcut | None"]):
    """The shortcuts of a module by what they hold for; neither copied nor stored with it.

    Attributes
    ----------
    latest
        The one that was found or gone last.
    """

    latest: Shortcut | None = None

    def keep(self, key: Any, shortcut: Shortcut | None) -> None:
        """Remember a shortcut, or that there is none."""
        if len(self) >= _MOST:
            self.clear()
        self[key] = self.latest = shortcut

    def __reduce__(self) -> Any:
        return Shortcuts, ()


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
    """

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

    def _shortest(self, x: Any, states: Sequence[Any], long_way: Callable[[], Any]) -> Any:
        """What the module gives for a batch; the long way checks everything.

        Parameters
        ----------
        x
            A batch.
        states
            Its first states, in the order in which `_by_layer` takes them apart, or none.
        long_way
            What gives the same from any argument.
        """
        if _is_watched():
            return long_way()
        given = (x, *states)
        for value in given:
            # Torch's guards end the process where a tensor knows nothing of strides.
            if type(value) is not Tensor or value.is_nested:
                return long_way()
        latest, found = self._shortcuts.latest, None
        if latest is not None and latest.fits(given, training=self.training):
            found = self._directly(latest, x, states)
        if found is None:
            found = self._otherwise(given, long_way)
        return found

    def _otherwise(self, given: Sequence[Tensor], long_way: Callable[[], Any]) -> Any:
        """The same where the last shortcut cannot be gone: by another one, or the long way."""
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
        latest = shortcuts.latest
        if shortcut and shortcut is not latest and shortcut.fits(given, training=self.training):
            found = self._directly(shortcut, x, states)
            if found is not None:
                shortcuts.latest = shortcut
                return found
        with parametrize.cached():  # weights that are computed are so once a call
            found = long_way()
            shortcuts.keep(key, self._shortcut_for(x, states))
        return found

    def _by_layer(self, states: Sequence[Tensor], layers: int) -> Sequence[Sequence[Tensor]]:
        """First states for each of so many layers; none for each of them if there are none."""
        raise NotImplementedError

    def _directly(self, shortcut: Shortcut, x: Tensor, states: Sequence[Tensor]) -> Any:
        """What the module gives for a batch by a shortcut; None if it cannot be gone now."""
        raise NotImplementedError

    def _shortcut_for(self, x: Tensor, states: Sequence[Tensor]) -> Shortcut | None:
        """The shortcut for batches like this one, if there is any."""
        raise NotImplementedError
