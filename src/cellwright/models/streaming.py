"""What all networks that are fed one step at a time have in common."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

__all__ = ["for_streaming"]

Network = TypeVar("Network", bound=nn.Module)


def for_streaming(network: Network) -> Network:
    """A copy of a network on the CPU, in evaluation.

    A step is too little work for a GPU, and what the user does to the network afterwards, or
    whether it is in training, does not concern a stream that has been opened.
    """
    return copy.deepcopy(network).cpu().eval()
