"""Counting what a network can learn."""

from __future__ import annotations

from torch import nn

from cellwright.cells.parameters import count_left_out
from cellwright.nn.layer import Layer

__all__ = ["count_learned"]


def count_learned(network: nn.Module) -> int:
    """How many numbers of a network a training can change.

    Frozen weights are none of them, nor is what a mask leaves out of a matrix.
    """
    learned = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    for layer in network.modules():
        if isinstance(layer, Layer):
            masked = count_left_out(layer.graph, layer.sizes).items()
            learned -= sum(number for name, number in masked if getattr(layer, name).requires_grad)
    return learned
