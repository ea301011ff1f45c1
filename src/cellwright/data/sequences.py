"""What counts as sequences, and the checks that they pass before anything is learned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.arguments import as_array
from cellwright.errors import DataError, ShapeError

__all__ = ["Sequences", "are_tables", "as_sequences"]

# Single precision, or double where the data came with more digits than single can keep.
Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Checked sequences: finite numbers, at least one step each, one number of features.

    Attributes
    ----------
    values
        For each sample an array (time, features); one array (sample, time, features) where
        all have the same number of steps.
    names
        What the features are called, if they have names.
    """

    values: Floats | Sequence[Floats]
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Floats]:
        return iter(self.values)

    @property
    def features(self) -> int:
        """Number of features at each step."""
        return int(self.values[0].shape[1])

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of steps of each sample."""
        return np.array([len(value) for value in self.values], dtype=np.int64)

    @property
    def fingerprint(self) -> str:
        """A digest of all numbers, to tell whether two data sets are the same."""
        digest = hashlib.blake2b(self.lengths.tobytes(), digest_size=16)
        for value in self.values:
            digest.update(value.tobytes())
        return digest.hexdigest()

    def take(self, rows: npt.NDArray[np.int64]) -> Sequences:
        """The samples of these rows."""
        if isinstance(self.values, np.ndarray):
            return Sequences(self.values[rows], self.names)
        return Sequences([self.values[row] for row in rows], self.names)

    def in_order(self, names: Sequence[str]) -> Sequences:
        """The features in the order of these names; as they are where they have no names.

        Raises
        ------
        DataError
            A name is missing, or one is there that is unknown.
        """
        if self.names is None or self.names == tuple(names):
            return self
        missing = [name for name in names if name not in self.names]
        unknown = [name for name in self.names if name not in names]
        if missing or unknown:
            parts = {"missing": missing, "unknown": unknown}
            found = "; ".join(f"{what}: {', '.join(n)}" for what, n in parts.items() if n)
            raise DataError(f"the features are not those that were learned from ({found})")
        columns = [self.names.index(name) for name in names]
        if isinstance(self.values, np.ndarray):
            return Sequences(self.values[..., columns], tuple(names))
        return Sequences([value[:, columns] for value in self.values], tuple(names))

    def padded(self, rows: npt.NDArray[np.int64]) -> tuple[Floats, npt.NDArray[np.int64]]:
        """These rows as one array (sample, time, features), zeros behind, and their lengths."""
        if isinstance(self.values, np.ndarray):
            return self.values[rows], self.lengths[rows]
        lengths = self.lengths[rows]
        array = np.zeros((len(rows), lengths.max(initial=0), self.features), dtype=self.dtype)
        for position, row in enumerate(rows):
            array[position, : lengths[position]] = self.values[row]
        return array, lengths

    @property
    def dtype(self) -> np.dtype[Any]:
        """Single or double precision."""
        return self.values[0].dtype

    def moments(self, per_feature: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation over all steps, each (features,)."""
        steps = int(self.lengths.sum())
        axis = (0, 1) if isinstance(self.values, np.ndarray) else 0
        whole = self.values[None] if isinstance(self.values, np.ndarray) else self.values
        # From the first step on, so that a feature that never changes has no spread at all.
        start = self.values[0][0].astype(np.float64)
        mean = start + sum((value - start).sum(axis) for value in whole) / steps
        if not per_feature:
            mean = np.full(self.features, mean.mean())
        square = sum(((value - mean) ** 2).sum(axis) for value in whole) / steps
        if not per_feature:
            square = np.full(self.features, square.mean())
        return np.asarray(mean), np.asarray(np.sqrt(square))


def as_sequences(X: Any, *, features: int | None = None, name: str = "X") -> Sequences:  # noqa: N803
    """Check sequences and give them their common form.

    Parameters
    ----------
    X
        A list of arrays (time, features) of any lengths, or (time,) for one feature; or one
        array (sample, time, features), or (sample, time) for one feature. Steps at the end
        of a sample whose features are all NaN are padding and are cut off. An array that
        ``numpy.load(…, mmap_mode="r")`` maps is read from its file, batch by batch. Of a list of
        tables, such as pandas' data frames, the columns that have texts for names are features
        with these names, in the order of the first table.
    features
        Number of features that is expected, if known.
    name
        What the user calls the argument.

    Raises
    ------
    DataError
        There are no samples, a sample has no steps, a value is not a finite number, or tables
        have not the same columns; the message names sample, step and feature.
    ShapeError
        A sample does not have the expected axes.
    """
    if isinstance(X, Sequences):
        _check_features(X.values, features, name)
        return X
    names = None
    if are_tables(X):
        X, names = _in_one_order(X, name)  # noqa: N806
    if isinstance(X, np.memmap) and X.ndim == 3 and X.dtype in (np.float32, np.float64):
        X = list(X)  # noqa: N806 samples stay where they lie, however many there are
    uniform = _uniform(X, name)
    values: Floats | list[Floats] = (
        [_sample(value, f"{name}[{number}]") for number, value in enumerate(X)]
        if uniform is None
        else uniform
    )
    if len(values) == 0:
        raise DataError(f"{name} is empty; give at least one sequence")
    _check_features(values, features, name)
    if isinstance(values, list):
        wide = any(value.dtype == np.float64 for value in values)
        values = [np.asarray(value, np.float64 if wide else np.float32) for value in values]
    return Sequences(_finite(values, name), names)


def are_tables(X: Any) -> bool:  # noqa: N803
    """Whether these are tables, one a sample, whose columns all have texts for names."""
    if not isinstance(X, (list, tuple)) or not X:
        return False
    columns = [getattr(value, "columns", None) for value in X]
    return all(
        found is not None and all(isinstance(column, str) for column in found) for found in columns
    )


def _in_one_order(
    tables: Sequence[Any], name: str
) -> tuple[list[npt.NDArray[Any]], tuple[str, ...]]:
    """Tables as arrays with their columns in the order of the first, and the columns' names."""
    names = tuple(tables[0].columns)
    for number, table in enumerate(tables):
        found = tuple(table.columns)
        twice = [column for column in found if found.count(column) > 1]
        if twice:
            raise DataError(f"{name}[{number}] has two columns {twice[0]!r}")
        if set(found) != set(names):
            odd = ", ".join(sorted(set(found) ^ set(names)))
            raise DataError(
                f"{name}[{number}]: its columns are not those of {name}[0]; one of the two lacks "
                f"{odd}"
            )
    return [np.asarray(table[list(names)]) for table in tables], names


def _check_features(values: Floats | Sequence[Floats], features: int | None, name: str) -> None:
    wanted = features if features is not None else values[0].shape[1]
    for number, value in enumerate(values):
        if value.shape[1] != wanted:
            raise ShapeError(
                f"{name}[{number}]: expected (time, features={wanted}), got {value.shape}"
            )
    if wanted == 0:
        raise ShapeError(f"{name}: the sequences have no features")


def _uniform(X: Any, name: str) -> Floats | None:  # noqa: N803
    """One array if the samples come as one, else None."""
    X = as_array(X)  # noqa: N806
    if hasattr(X, "toarray"):
        raise DataError(f"{name}: expected sequences, got a sparse matrix; give {name}.toarray()")
    if isinstance(X, (str, bytes, dict)) or not hasattr(X, "__len__"):
        raise DataError(f"{name}: expected a list of arrays or one array, got {type(X).__name__}")
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()  # noqa: N806
    if not isinstance(X, np.ndarray) or X.dtype == object:
        return None
    if X.ndim not in (2, 3):
        raise ShapeError(
            f"{name}: expected (sample, time, features) or (sample, time), got {X.shape}"
        )
    return _numbers(X[..., None] if X.ndim == 2 else X, name)


def _sample(value: Any, name: str) -> Floats:
    value = as_array(value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{name}: not an array (time, features): {error}") from error
    if array.ndim not in (1, 2):
        raise ShapeError(f"{name}: expected (time, features) or (time,), got {array.shape}")
    return _numbers(array[:, None] if array.ndim == 1 else array, name)


def _numbers(array: npt.NDArray[Any], name: str) -> Floats:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers, got {array.dtype}")
    wide = np.promote_types(array.dtype, np.float32) != np.float32
    return np.asarray(array, dtype=np.float64 if wide else np.float32)


def _finite(values: Floats | list[Floats], name: str) -> Floats | list[Floats]:
    """Cut padding off; complain about everything else that is not a finite number."""
    if isinstance(values, np.ndarray):
        if values.shape[1] and np.isfinite(values).all():
            return values
        values = list(values)
    values = [_without_padding(value) for value in values]
    for number, value in enumerate(values):
        if len(value) == 0:
            raise DataError(f"{name}[{number}] has no steps")
        wrong = np.argwhere(~np.isfinite(value))
        if len(wrong):
            step, feature = wrong[0]
            what = "NaN" if np.isnan(value[step, feature]) else "infinite"
            raise DataError(
                f"{name}[{number}] is {what} at step {step}, feature {feature}; "
                f"fill or leave out what is missing (steps of NaN alone are padding only at "
                f"the end of a sample)"
            )
    return values


def _without_padding(value: Floats) -> Floats:
    (exists,) = np.nonzero(~np.isnan(value).all(axis=1))
    return value[: int(exists[-1]) + 1] if len(exists) else value[:0]
