"""The shortest way from a module to its kernels, where nobody looks on.

A kernel that has run has driven the interpreter out of the processor's caches, and every line
of Python behind it takes ten times as long as it would alone: for a short sequence, as long as
the kernel. So what does not change from call to call is worked out at the first one, and one
call of torch's own guards tells whether anything has changed.
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


class Shortcut:
    """Layers of one direction each, for batches that are alike and start from zero states.

    Parameters
    ----------
    kernels
        What each layer's backend has made ready for this shape.
    guards
        Tells of a batch and all weights whether they are such as they were, and whether a
        transform of torch looks on.
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
        guards: Any,
        *,
        batch_first: bool,
        dropout: float,
        training: bool,
    ) -> None:
        self.training = training
        self._kernels, self._fit = kernels, guards.check
        self._batch_first, self._dropout = batch_first, dropout
        self._threads = torch.get_num_threads()

    @staticmethod
    def through(
        layers: Sequence[Sequence[Direction]], x: Tensor, module: Shortened, *, stacked: bool
    ) -> Shortcut | None:
        """A shortcut through a stack for batches like `x`; None if there is none.

        Parameters
        ----------
        layers
            What the module runs.
        x
            A batch as the module is given it.
        module
            The module.
        stacked
            Whether states after the last step are (1, B, n), else (B, n).
        """
        if not x.numel() or _Guards is None or any(len(layer) > 1 for layer in layers):
            return None
        time_first = x.transpose(0, 1) if module.batch_first else x
        found, given, plain = [], [x], time_first.is_contiguous() and not x.is_neg()
        for (direction,) in layers:
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
            given += weights.blocks
            found.append(
                make(
                    weights,
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
        guards = _Guards(*given, dynamic_dims_sizes=None, dynamic_dims_strides=None)
        return Shortcut(
            found,
            guards,
            batch_first=module.batch_first,
            dropout=module.dropout if module.training else 0.0,
            training=module.training,
        )

    def __call__(
        self, x: Tensor, weights: Sequence[Sequence[Tensor]]
    ) -> tuple[Tensor, list[list[Tensor]]] | None:
        """The last layer's output, laid out like `x`, and of each layer the states after.

        None if anything is not such as it was when the shortcut was found.

        Parameters
        ----------
        x
            A batch as the module is given it.
        weights
            The blocks of weights of each layer.
        """
        if not self._fit(x, *(weights[0] if len(weights) == 1 else chain(*weights))):
            return None
        if torch.get_num_threads() != self._threads:
            return None
        if self._batch_first:
            x = x.transpose(0, 1)
        layers: list[list[Tensor]] = []
        for kernel, blocks in zip(self._kernels, weights, strict=True):
            if layers and self._dropout:
                x = drop(x, self._dropout)
            x, states = kernel(x, blocks)
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
        # An option or a layer: nothing may be as it was. Weights are looked at in every call.
        if name != "training" and not isinstance(value, Tensor):
            vars(self).pop("_shortcuts", None)
        super().__setattr__(name, value)

    @cached_property
    def _shortcuts(self) -> Shortcuts:
        return Shortcuts()

    def _shortest(self, x: Any, long_way: Callable[[], Any]) -> Any:
        """What the module gives for `x` from its first states; the long way checks everything."""
        if _is_watched():
            return long_way()
        shortcuts = self._shortcuts
        latest, found = shortcuts.latest, None
        if latest is not None and latest.training is self.training:
            found = self._directly(latest, x)
        if found is None:
            found = self._otherwise(x, long_way)
        return found

    def _otherwise(self, x: Any, long_way: Callable[[], Any]) -> Any:
        """The same where the last shortcut cannot be gone: by another one, or the long way."""
        if type(x) is not Tensor or x.layout is not torch.strided or _is_transformed():
            return long_way()
        kind = x.dtype, x.device, x.requires_grad, x.is_inference(), self.training
        modes = torch.is_inference_mode_enabled(), torch.get_num_threads()
        key = (x.shape, x.stride(), *kind, *modes)
        shortcuts = self._shortcuts
        shortcut = shortcuts.get(key)
        if shortcut is None and key in shortcuts:  # there is none for such batches
            return long_way()
        if shortcut is not None and shortcut is not shortcuts.latest:
            found = self._directly(shortcut, x)
            if found is not None:
                shortcuts.latest = shortcut
                return found
        with parametrize.cached():  # weights that are computed are so once a call
            found = long_way()
            shortcuts.keep(key, self._shortcut_for(x))
        return found

    def _directly(self, shortcut: Shortcut, x: Tensor) -> Any:
        """What the module gives for a batch by a shortcut; None if it cannot be gone now."""
        raise NotImplementedError

    def _shortcut_for(self, x: Tensor) -> Shortcut | None:
        """The shortcut for batches like this one, if there is any."""
        raise NotImplementedError
