"""Update rules, and the course of their learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

__all__ = ["learning_rate_factor", "make_optimizer"]

# Fused: one call for all weights, where torch otherwise makes a dozen for each.
_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True, fused=True),
    "rmsprop": torch.optim.RMSprop,
}


def make_optimizer(network: nn.Module, options: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The update rule that the options ask for, on all weights of a network."""
    # Decay pulls matrices to zero; a bias or a peephole has a start of its own to keep.
    matrices = [weight for weight in network.parameters() if weight.dim() > 1]
    vectors = [weight for weight in network.parameters() if weight.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": options["weight_decay"]},
        {"params": vectors, "weight_decay": 0.0},
    ]
    make = _OPTIMIZERS[options["optimizer"]]
    return make([group for group in groups if group["params"]], lr=options["learning_rate"])


def learning_rate_factor(schedule: str, done: float) -> float:
    """Share of the highest learning rate after `done` (0 to 1) of the training.

    ``one_cycle`` climbs for a quarter of the training and then falls to nothing, both along
    a cosine (Smith and Topin 2017); ``cosine`` only falls (Loshchilov and Hutter 2017).
    """
    if schedule == "constant":
        return 1.0
    warm_up, low = (0.25, 0.04) if schedule == "one_cycle" else (0.0, 1.0)
    if done < warm_up:
        return low + (1 - low) * (1 - math.cos(math.pi * done / warm_up)) / 2
    return (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2
