"""Samples of similar length in one batch: less padding, and as random as need be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["bucketed"]

_BATCHES_IN_A_WINDOW = 50


def bucketed(
    order: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64] | None,
    size: int,
    draw: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """An order in which every `size` samples in a row are of similar length.

    A random order is cut into windows of many batches, each sorted by length and cut into
    batches, and these are shuffled. Which samples meet in a batch is still up to chance; the
    smallest batch, if one is left over, comes last.

    Parameters
    ----------
    order
        Samples in random order.
    lengths
        Steps of each sample; None, or all the same, leaves the order as it is.
    size
        Samples in a batch.
    draw
        What shuffles.
    """
    if lengths is None or len(order) <= size or (lengths == lengths[0]).all():
        return order
    window = size * _BATCHES_IN_A_WINDOW
    parts = [order[start : start + window] for start in range(0, len(order), window)]
    found = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
    whole = len(found) // size
    shuffled = draw.permutation(whole)
    batches = found[: whole * size].reshape(whole, size)[shuffled]
    return np.concatenate([batches.ravel(), found[whole * size :]])
