"""A training step and an inference pass of any torch module or loop, as candidates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from peers.timing import Candidate, mark_changed

__all__ = ["forward_pass", "training_step"]

Gradients = dict[str, Tensor]


def training_step(
    forward: Callable[[Tensor], Tensor],
    x: Tensor,
    weights: dict[str, Tensor],
    grad: Tensor,
    rename: Callable[[Gradients], Gradients] = lambda gradients: gradients,
) -> Candidate:
    """Forward and backward of a whole sequence.

    Parameters
    ----------
    forward
        Input -> output.
    weights
        Name -> leaf that wants a gradient.
    grad
        The gradient of the output, always the same.
    rename
        Gradients of the weights -> those that the other candidates give.
    """
    x = x.clone().requires_grad_()
    leaves = [x, *weights.values()]

    def call() -> Any:
        output = forward(x)
        return output, torch.autograd.grad(output, leaves, grad)

    def read(result: Any) -> dict[str, Tensor]:
        output, (of_x, *of_weights) = result
        gradients = rename(dict(zip(weights, of_weights, strict=True)))
        named = {f"gradient of {name}": value for name, value in gradients.items()}
        return {"output": output, "gradient of x": of_x, **named}

    return Candidate(call, read, partial(mark_changed, list(weights.values())))


def forward_pass(forward: Callable[[Tensor], Tensor], x: Tensor) -> Candidate:
    """The output alone; to be called in torch's inference mode."""
    return Candidate(lambda: forward(x), lambda output: {"output": output})
