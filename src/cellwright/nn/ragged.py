"""Which steps of a padded batch exist."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cellwright.errors import ShapeError
from cellwright.nn.arguments import check_tensor

__all__ = ["active_steps"]


def active_steps(
    batch: int,
    steps: int,
    device: torch.device,
    lengths: Tensor | Sequence[int] | None = None,
    mask: Tensor | None = None,
    axis: str = "time",
) -> Tensor | None:
    """Which steps exist, as (T, B) truths; None where all do.

    Parameters
    ----------
    batch, steps
        Sizes of the padded batch.
    device
        Where the batch lies.
    lengths
        Number of steps of each row, (B,), in any order, zero allowed.
    mask
        (B, T), true where a step exists. Gaps are allowed: the states pass over them.
    axis
        What the user calls the axis of the steps.

    Raises
    ------
    ShapeError
        Both are given, a shape is wrong, or a length lies outside 0..T.
    """
    if lengths is not None and mask is not None:
        raise ShapeError("give lengths or mask, not both")
    if mask is not None:
        check_tensor("mask", mask)
        if mask.shape != (batch, steps):
            raise ShapeError(
                f"mask: expected (batch={batch}, {axis}={steps}), got {tuple(mask.shape)}"
            )
        if mask.dtype != torch.bool:
            raise ShapeError(f"mask: expected true and false (torch.bool), got {mask.dtype}")
        return mask.to(device).T
    if lengths is None:
        return None
    counts = _counted(lengths)
    if counts.shape != (batch,):
        raise ShapeError(f"lengths: expected (batch={batch},), got {tuple(counts.shape)}")
    if counts.is_floating_point() or counts.is_complex() or counts.dtype == torch.bool:
        raise ShapeError(f"lengths: expected whole numbers, got {counts.dtype}")
    counts = counts.long()  # torch does not compare the larger types without a sign
    if torch.compiler.is_compiling():
        counts = counts.to(device)
        # To look at numbers would cut the program in two; it checks them itself, when it runs.
        right = ((counts >= 0) & (counts <= steps)).all()
        torch._assert_async(right, "lengths: must lie between 0 and the steps of the data")
        return torch.arange(steps, device=device).unsqueeze(1) < counts
    if not counts.is_meta:
        known = counts.tolist()  # once: on a GPU each look waits for all that goes on
        least, most = min(known, default=steps), max(known, default=steps)
        if least < 0 or most > steps:
            raise ShapeError(
                f"lengths: must lie in 0..{steps}, with {axis}={steps}; got {least} to {most}"
            )
        if least == steps:
            return None
    return torch.arange(steps, device=device).unsqueeze(1) < counts.to(device)


def _counted(lengths: Tensor | Sequence[int]) -> Tensor:
    if isinstance(lengths, Tensor):
        return lengths
    try:
        counts = torch.as_tensor(lengths, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(f"lengths: expected whole numbers, got {lengths!r}") from error
    return counts if counts.numel() else counts.long()  # no numbers are whole ones
