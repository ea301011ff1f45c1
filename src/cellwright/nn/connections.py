"""How the layers of a stack are connected, beside each reading the one below.

==============  ===============================================================================
``"none"``      a layer reads the output of the one below
``"residual"``  what a layer reads is added to its output: $y_t = h_t + x_t$ (He et al. 2016)
``"skip"``      a layer reads the network's input beside the output of the one below (Graves
                2013, "Generating sequences with recurrent neural networks")
==============  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from cellwright.errors import SettingError, did_you_mean

__all__ = [
    "Connections",
    "check_connections",
    "check_residual",
    "features_read",
    "handed_on",
    "read_by",
]

Connections: TypeAlias = Literal["none", "residual", "skip"]


def check_connections(value: object) -> Connections:
    """Return `value` if it says how layers are connected, else raise `SettingError`."""
    known = get_args(Connections)
    if value not in known:
        raise SettingError(
            f"connections must be one of {', '.join(known)}, not {value!r}."
            f"{did_you_mean(str(value), known)}"
        )
    return value  # type: ignore[return-value]


def features_read(connections: Connections, below: int, network: int) -> int:
    """Features that a layer reads above one that gives `below`; the network reads `network`."""
    return below + network if connections == "skip" else below


def check_residual(connections: Connections, features: Sequence[int]) -> None:
    """Raise `SettingError` where a layer's input cannot be added to its output.

    Parameters
    ----------
    features
        Features that the first layer reads, then those that each layer gives.
    """
    if connections != "residual":
        return
    gives = features[1:]
    for layer, (read, given) in enumerate(zip(features, gives, strict=False)):
        # A first layer brings the input to the width of the others, if it has another.
        if read != given and (layer or len(gives) == 1):
            raise SettingError(
                f"connections='residual': layer {layer} reads {read} features and gives {given}, "
                f"which cannot be added; give both as many, or use connections='skip'"
            )


def read_by(connections: Connections, below: Tensor, network: Tensor) -> Tensor:
    """What a layer reads, (T, B, n), above one that gives `below`."""
    return torch.cat([below, network], -1) if connections == "skip" else below


def handed_on(
    connections: Connections, read: Tensor, output: Tensor, active: Tensor | None
) -> Tensor:
    """What a layer that gives `output` hands on, (T, B, n); zero where a step does not exist.

    Parameters
    ----------
    read
        What it read, before anything of it was dropped.
    active
        Which steps exist, (T, B); None if all do.
    """
    if connections != "residual" or read.shape[-1] != output.shape[-1]:
        return output
    if active is not None:
        # Padding may hold anything, also what is no number.
        read = read.where(active.unsqueeze(-1), read.new_zeros(()))
    return output + read
