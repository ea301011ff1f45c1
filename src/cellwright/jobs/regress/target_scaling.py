"""Numbers to be told, as a network learns them: in units of their spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.errors import DataError
from cellwright.models import RegressorNetwork

__all__ = ["scale_targets", "scaled_targets"]


def scale_targets(
    network: RegressorNetwork, training: npt.NDArray[np.float64], scaling: str
) -> None:
    """Let a network learn targets in units of their spread, (sample, target).

    Raises
    ------
    DataError
        A target is too large, or the same in all samples.
    """
    if scaling == "none":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = training.mean(0), training.std(0)
    for target, (middle, width) in enumerate(zip(mean, spread, strict=True)):
        if not np.isfinite(width):
            raise DataError(f"y: target {target} is too large to be scaled; give a larger unit")
        if width <= 10 * np.finfo(np.float64).eps * abs(middle):
            raise DataError(
                f"y: target {target} is {middle:g} in all samples that are learned from; there "
                f"is nothing to learn"
            )
    network.target_shift.copy_(torch.from_numpy(mean))
    network.target_spread.copy_(torch.from_numpy(spread))


def scaled_targets(
    network: RegressorNetwork, numbers: npt.NDArray[np.float64], options: Mapping[str, Any]
) -> Tensor:
    """Targets as the network learns them; a `DataError` where its precision cannot hold one."""
    scaled: Tensor = (torch.from_numpy(numbers) - network.target_shift) / network.target_spread
    if options["precision"] == "64-true":
        return scaled
    narrow: Tensor = scaled.float()
    wrong = torch.nonzero(~torch.isfinite(narrow)).tolist()
    if wrong:
        sample, target = wrong[0]
        raise DataError(
            f"y[{sample}] is {numbers[sample, target]:g}, which is beyond single precision; give "
            f"it in a larger unit, or use precision='64-true'"
        )
    return narrow
