"""The shortest way from a module to its kernels, where nobody looks on.

A kernel that has run has driven the interpreter out of the processor's caches, and every line
of Python behind it takes ten times as long as it would alone: for a short sequence, as long as
the kernel. So what does not change from call to call is worked out at the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
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


def _is_unwatched() -> bool:
    """Whether no tracer, transform or mode of torch looks on; a gradient may be wanted."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or torch._C._are_functorch_transforms_active()
        or torch.is_autocast_enabled("cpu")
        or forward_ad._current_level >= 0
        or torch._C._get_tracing_state() is not None
    )


class Shortcut:
    """Layers of one direction each, for batches of one shape that start from zero states.

    Parameters
    ----------
    kernels
        What each layer's backend has made ready for this shape.
    """

    def __init__(self, kernels: Sequence[Any]) -> None:
        self._kernels = kernels

    @staticmethod
    def through(
        layers: Sequence[Sequence[Direction]], x: Tensor, backend: str, *, stacked: bool
    ) -> Shortcut | None:
        """A shortcut through a stack for batches like `x`, (T, B, n); None if there is none.

        States after the last step are (1, B, n) if `stacked`, else (B, n).
        """
        if not x.numel() or any(len(layer) > 1 for layer in layers):
            return None
        found = []
        for (direction,) in layers:
            kernel = compile(
                direction.graph, direction.sizes, backend=backend, device=x.device, dtype=x.dtype
            )
            make = getattr(kernel, "direct", None)
            if make is None:
                return None
            given = Weights.of(direction.weights), x.shape[:2], x.dtype
            found.append(make(*given, reverse=direction.reverse, stacked=stacked))
        return Shortcut(found) if all(found) else None

    def __call__(
        self, x: Tensor, weights: Iterable[Sequence[Tensor]], dropout: float = 0.0
    ) -> tuple[Tensor, list[list[Tensor]]] | None:
        """The last layer's output, (T, B, n), and of each layer the states after.

        None if the weights are not such as they were when the shortcut was found.

        Parameters
        ----------
        x
            A batch, (T, B, n).
        weights
            The blocks of weights of each layer.
        dropout
            Chance that a unit between two layers is dropped.
        """
        layers: list[list[Tensor]] = []
        for kernel, blocks in zip(self._kernels, weights, strict=True):
            found = kernel(drop(x, dropout) if layers and dropout else x, blocks)
            if found is None:
                return None
            x, states = found
            layers.append(states)
        return x, layers


class Shortcuts(dict[Any, "Shortcut | None"]):
    """The shortcuts of a module by what they hold for; neither copied nor stored with it."""

    def keep(self, key: Any, shortcut: Shortcut | None) -> None:
        """Remember a shortcut, or that there is none."""
        if len(self) >= _MOST:
            self.clear()
        self[key] = shortcut

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
    """

    backend: str
    batch_first: bool

    @cached_property
    def _shortcuts(self) -> Shortcuts:
        return Shortcuts()

    def _shortest(self, x: Any, long_way: Callable[[], Any]) -> Any:
        """What the module gives for `x` from its first states; the long way checks everything."""
        if type(x) is not Tensor or x.layout is not torch.strided or not _is_unwatched():
            return long_way()
        kind = x.dtype, x.device, self.backend, self.batch_first
        key = (x.shape, kind, torch.get_num_threads())
        shortcut = self._shortcuts.get(key)
        found = shortcut and self._directly(shortcut, x)
        if found is None and key in self._shortcuts:
            found = long_way()
        elif found is None:
            with parametrize.cached():  # weights that are computed are so once a call
                found = long_way()
                self._shortcuts.keep(key, self._shortcut_for(x))
        return found

    def _directly(self, shortcut: Shortcut, x: Tensor) -> Any:
        """What the module gives for a batch by a shortcut; None if it cannot be gone now."""
        raise NotImplementedError

    def _shortcut_for(self, x: Tensor) -> Shortcut | None:
        """The shortcut for batches like this one, if there is any."""
        raise NotImplementedError
