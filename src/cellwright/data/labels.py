"""What counts as labels, and which of those that are known they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.arguments import as_array
from cellwright.errors import DataError, ShapeError

__all__ = ["as_labels", "label_numbers", "missing_labels"]

_SHOWN = 10


def as_labels(y: Any, *, name: str = "y") -> npt.NDArray[Any]:
    """Check labels and give them their common form: whole numbers, texts or truths, (sample,).

    Raises
    ------
    DataError
        They are something else, such as numbers with a fraction.
    ShapeError
        They do not have one axis.
    """
    y = as_array(y)
    try:
        labels = np.asarray(y)
    except ValueError as error:
        raise ShapeError(f"{name}: expected (sample,), got rows: {error}") from error
    if labels.ndim != 1:
        raise ShapeError(f"{name}: expected (sample,), got {labels.shape}")
    if labels.dtype == object and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    if labels.dtype.kind not in "biufU":
        raise DataError(f"{name}: expected whole numbers, texts or truths, got {labels.dtype}")
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        raise DataError(f"{name}: not labels: some are not whole numbers")
    return labels


def label_numbers(
    labels: npt.NDArray[Any],
    classes: npt.NDArray[Any],
    *,
    place: Callable[[int], str] = "y[{}]".format,
    asked: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.int64]:
    """Which of the classes each label is, (sample,).

    Where one of the two holds texts, labels are compared as texts: a CSV with the labels 1 and 2
    holds numbers, one with 1, 2 and x holds texts.

    Parameters
    ----------
    labels
        As `as_labels` gives them.
    classes
        Those of the training, each once.
    place
        Says what the user calls the label at a place, such as ``y[3]``.
    asked
        Which labels there are at all, (sample,); None for every one. The number of another
        means nothing.

    Raises
    ------
    DataError
        A label is none of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> label_numbers(np.array(["b", "a"]), np.array(["a", "b"]))
    array([1, 0])
    """
    if "U" in (labels.dtype.kind, classes.dtype.kind):
        labels, classes = labels.astype(str), classes.astype(str)
    unknown = ~np.isin(labels, classes)
    if asked is not None:
        unknown &= asked
    if unknown.any():
        at = int(np.argmax(unknown))
        shown = ", ".join(map(str, classes[:_SHOWN])) + (", …" if len(classes) > _SHOWN else "")
        raise DataError(
            f"{place(at)} is {labels[at].item()!r}, a label never seen in training; known: {shown}"
        )
    order = np.argsort(classes)
    places = np.searchsorted(classes, labels, sorter=order).clip(max=len(order) - 1)
    return np.asarray(order[places], dtype=np.int64)


def missing_labels(learned: npt.NDArray[Any], tested: npt.NDArray[Any]) -> list[str]:
    """Which labels of the training the test lacks; both are compared as `label_numbers` does.

    Examples
    --------
    >>> missing_labels(np.array(["1", "2", "x"]), np.array([1, 2]))
    ['x']
    """
    if "U" in (learned.dtype.kind, tested.dtype.kind):
        learned, tested = learned.astype(str), tested.astype(str)
    return [str(label) for label in np.setdiff1d(learned, tested).tolist()]
