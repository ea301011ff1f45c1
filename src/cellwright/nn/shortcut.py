"""The shortest way from a module to its kernels: no gradient is wanted, and nobody looks on.

A kernel that has run has driven the interpreter out of the processor's caches, and every line
of Python behind it takes ten times as long as it would alone: for a short sequence, as long as
the kernel. So what does not change from call to call is worked out at the first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from cellwright.backends import Weights
from cellwright.nn.stack import Direction
from cellwright.pipeline import compile

__all__ = ["Shortcut", "Shortcuts", "is_unwatched"]

_MOST = 64  # shapes that a module has shortcuts for


def is_unwatched() -> bool:
    """Whether no gradient is wanted, and no tracer, transform or mode of torch looks on."""
    return not (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
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
    def through(layers: Sequence[Sequence[Direction]], x: Tensor, backend: str) -> Shortcut | None:
        """A shortcut through a stack for batches like `x`, (T, B, n); None if there is none."""
        if not x.numel() or any(len(layer) > 1 for layer in layers):
            return None
        found = []
        for (direction,) in layers:
            kernel = compile(
                direction.graph, direction.sizes, backend=backend, device=x.device, dtype=x.dtype
            )
            make = getattr(kernel, "direct", None)
            weights = Weights.of(direction.weights)
            found.append(make(weights, x.shape[:2], x.dtype, direction.reverse) if make else None)
        return Shortcut(found) if all(found) else None

    def __call__(
        self, x: Tensor, weights: Iterable[Sequence[Tensor]]
    ) -> tuple[Tensor, list[Tensor]] | None:
        """The last layer's output, (T, B, n), and each state after the last step, (layers, B, n).

        None if the weights are not such as they were when the shortcut was found.
        """
        layers = []
        for kernel, blocks in zip(self._kernels, weights, strict=True):
            found = kernel(x, blocks)
            if found is None:
                return None
            x, states = found
            layers.append(states)
        if len(layers) == 1:
            return x, layers[0]
        return x, [torch.cat(states) for states in zip(*layers, strict=True)]


class Shortcuts(dict[Any, "Shortcut | None"]):
    """The shortcuts of a module by what they hold for; neither copied nor stored with it."""

    def keep(self, key: Any, shortcut: Shortcut | None) -> None:
        """Remember a shortcut, or that there is none."""
        if len(self) >= _MOST:
            self.clear()
        self[key] = shortcut

    def __reduce__(self) -> Any:
        return Shortcuts, ()
