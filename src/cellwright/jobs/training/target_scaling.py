"""Numbers to be told, as a network learns them: in units of their spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.errors import DataError

__all__ = ["mean_and_spread", "scaled_targets"]


def mean_and_spread(numbers: npt.NDArray[np.float64], name: str) -> tuple[float, float]:
    """Mean and standard deviation of a target where it is learned from.

    Parameters
    ----------
    numbers
        The target, (n,).
    name
        What the user calls it.

    Raises
    ------
    DataError
        It is too large, or always the same.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = float(numbers.mean()), float(numbers.std())
    if not np.isfinite(spread):
        raise DataError(f"{name} is too large to be scaled; give a larger unit")
    if spread <= 10 * np.finfo(np.float64).eps * abs(mean):
        raise DataError(
            f"{name} is {mean:g} wherever it is learned from; there is nothing to learn"
        )
    return mean, spread


def scaled_targets(
    numbers: npt.NDArray[np.float64],
    mean: npt.NDArray[np.float64],
    spread: npt.NDArray[np.float64],
    options: Mapping[str, Any],
    said: Callable[[int, int], str],
) -> Tensor:
    """Targets as the network learns them, in its precision, (row, target).

    Parameters
    ----------
    numbers
        (row, target).
    mean, spread
        Of each target.
    options
        Validated options, with their ``precision``.
    said
        Row and target -> what stands there, in the user's words.

    Raises
    ------
    DataError
        The precision cannot hold one.
    """
    wide = options["precision"] == "64-true"
    with np.errstate(over="ignore"):
        scaled = ((numbers - mean) / spread).astype(np.float64 if wide else np.float32)
    wrong = np.argwhere(~np.isfinite(scaled))
    if len(wrong):
        row, target = wrong[0].tolist()
        hint = "" if wide else ", or use precision='64-true'"
        raise DataError(
            f"{said(row, target)}, which is beyond {'double' if wide else 'single'} precision "
            f"in units of its spread; give it in a larger unit{hint}"
        )
    return torch.from_numpy(scaled)
