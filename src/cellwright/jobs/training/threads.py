"""How many CPU threads a network is worth.

Threads that share a product of small matrices wait for each other longer than they
compute, and on a busy machine, where they wait spinning, many times as long. Measured on
two cores: a batch of 32 with 128 units gains nothing from a second thread on an idle
machine and loses a factor of 30 and more beside two busy processes; with 128 rows it gains 1.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["cpu_threads"]

_WORTH_SHARING = 2**14  # rows times units


@contextmanager
def cpu_threads(network: nn.Module, batch_size: int, threads: int | None) -> Iterator[None]:
    """Compute with that many threads, or with as many as the network is worth.

    The choice depends on network and batch alone, so that a training that is resumed rounds
    as it did before.

    Parameters
    ----------
    network
        What computes.
    batch_size
        Rows of a batch.
    threads
        What the user asked for, if anything.
    """
    before = torch.get_num_threads()
    units = max((len(weight) for weight in network.parameters()), default=0)
    chosen = threads or (before if batch_size * units >= _WORTH_SHARING else 1)
    torch.set_num_threads(chosen)
    try:
        yield
    finally:
        torch.set_num_threads(before)
