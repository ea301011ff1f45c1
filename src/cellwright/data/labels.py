"""What counts as labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.errors import DataError, ShapeError

__all__ = ["as_labels"]


def as_labels(y: Any, *, name: str = "y") -> npt.NDArray[Any]:
    """Check labels and give them their common form: whole numbers, texts or truths, (sample,).

    Raises
    ------
    DataError
        They are something else, such as numbers with a fraction.
    ShapeError
        They do not have one axis.
    """
    if hasattr(y, "detach"):
        y = y.detach().cpu().numpy()
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise ShapeError(f"{name}: expected (sample,), got {labels.shape}")
    if labels.dtype == object and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    if labels.dtype.kind not in "biufU":
        raise DataError(f"{name}: expected whole numbers, texts or truths, got {labels.dtype}")
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        raise DataError(f"{name}: not labels: some are not whole numbers")
    return labels
