"""Bringing features to mean 0 and spread 1, in a network that remembers how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.data import Sequences
from cellwright.errors import DataError

__all__ = ["check_range", "set_scaling", "spread_beyond_rounding"]


class _Scaling(Protocol):
    shift: Tensor
    spread: Tensor


def set_scaling(network: _Scaling, training: Sequences, scaling: str) -> None:
    """Let a network bring features to mean 0 and spread 1, as they are in the training data.

    Parameters
    ----------
    network
        Whose buffers ``shift`` and ``spread`` are set.
    training
        What it learns from.
    scaling
        "standard" for each feature by itself, "global" for all together, or "none".

    Raises
    ------
    DataError
        Numbers of a feature are so large that they have no spread.
    """
    if scaling == "none":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = training.moments(per_feature=scaling == "standard")
    if not np.isfinite(spread).all():
        feature = int(np.argmin(np.isfinite(spread)))
        raise DataError(
            f"X: the numbers of feature {feature} are too large to be scaled; give them "
            f"in a larger unit"
        )
    network.shift.copy_(torch.from_numpy(mean))
    network.spread.copy_(torch.from_numpy(spread_beyond_rounding(training, mean, spread)))


def spread_beyond_rounding(
    sequences: Sequences, mean: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Spreads to divide by; 1 for a feature that never changes, or by rounding only.

    Else it would be blown up.
    """
    rounding = 10 * np.finfo(sequences.dtype).eps * np.abs(mean)
    return np.where(spread > rounding, spread, 1)


def check_range(sequences: Sequences, network: _Scaling, options: Mapping[str, Any]) -> None:
    """Complain about a number that the network's precision cannot hold once it is scaled."""
    if sequences.dtype == np.float32 or options["precision"] == "64-true":
        return
    shift, spread = network.shift.numpy(), network.spread.numpy()
    greatest = np.finfo(np.float32).max
    for number, value in enumerate(sequences):
        wrong = np.argwhere(np.abs(value / spread - shift / spread) > greatest)
        if len(wrong):
            step, feature = wrong[0]
            raise DataError(
                f"X[{number}] is {value[step, feature]:g} at step {step}, feature {feature}, "
                f"which is beyond single precision; give it in a larger unit, or use "
                f"scaling='standard' or precision='64-true'"
            )
