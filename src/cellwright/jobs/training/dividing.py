"""Which samples are learned from, and which are kept to watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from cellwright.errors import DataError, SettingError, ShapeError

__all__ = ["Rows", "divide"]

Rows: TypeAlias = npt.NDArray[np.int64]


def divide(
    samples: int,
    options: Mapping[str, Any],
    *,
    classes: npt.NDArray[Any] | None = None,
    groups: Any = None,
) -> tuple[Rows, Rows | None]:
    """Rows for training and for validation, as `validation_fraction` and the seed say.

    Parameters
    ----------
    samples
        How many there are.
    options
        Validated `TrainingOptions`.
    classes
        Of which each part is to have its share, (sample,).
    groups
        Samples that go into the same part, (sample,): windows of one machine, say.

    Returns
    -------
    training, validation
        None where nothing is kept.

    Raises
    ------
    SettingError
        Somebody wants to watch what is not kept.
    DataError, ShapeError
        The samples cannot be divided so.
    """
    fraction, everything = options["validation_fraction"], np.arange(samples)
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != (samples,):
            raise ShapeError(f"groups: expected ({samples},) like X, got {groups.shape}")
    if fraction == 0:
        if options["patience"] is not None:
            raise SettingError("patience watches validation data; give a validation_fraction")
        return everything, None
    seed = options["random_state"]
    try:
        if groups is not None:
            splitter = GroupShuffleSplit(n_splits=1, test_size=fraction, random_state=seed)
            training, validation = next(splitter.split(everything, groups=groups))
        else:
            training, validation = train_test_split(
                everything, test_size=fraction, random_state=seed, stratify=classes
            )
    except ValueError as error:
        raise DataError(
            f"validation_fraction={fraction}: the data cannot be divided ({error}); give more "
            f"samples or validation_fraction=0"
        ) from error
    return training, validation
