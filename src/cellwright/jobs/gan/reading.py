"""Reading sequences of which more are to be made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from cellwright.data import Dataset, Labelled, Sequences, as_labels, as_sequences
from cellwright.data.checks import refuse_given
from cellwright.data.sines import two_tone_sines
from cellwright.data.tables import read_csv, read_npz
from cellwright.data.windows import Series, column_names, read_series, windows
from cellwright.errors import DataError, did_you_mean
from cellwright.jobs.options.gan import GANReading

__all__ = ["read_dataset", "read_labelled"]

# Seeds of the sines that are learned from, and of those that are kept for the test.
_SINES = {"train": (2000, 1), "test": (1000, 2)}


def read_dataset(source: str, folder: Path | None, reading: Mapping[str, Any]) -> Dataset:
    """Read sequences with a test part: the end of a series, or sequences at random.

    Parameters
    ----------
    source
        ``"sines"``; a ``.npz`` with ``X``, or ``X_train`` and ``X_test``, and labels ``y``
        if there are any; a ``.csv`` in long form (``id, step, features…, label``, the label
        if there is one); or any other ``.csv``, which is one series in the order of time.
    folder
        Of no use here; a `DataError` if it is given.
    reading
        Validated `GANReading`.

    Raises
    ------
    DataError
        The source is unknown or malformed, the message names file and line; or an option was
        given that means nothing to it.
    """
    _refuse_folder(source, folder)
    if source == "sines":
        _refuse_ignored(source, reading, ("window",))
        return _sines(reading)
    path = _existing(source)
    if path.suffix == ".npz":
        arrays = read_npz(path)
        if "X_train" in arrays:
            _refuse_ignored(source, reading, ())
            parts = [_from_npz(path, arrays, part) for part in ("_train", "_test")]
            return Dataset(path.stem, *parts)
        _refuse_ignored(source, reading, ("test_fraction",))
        return _divided(path, _from_npz(path, arrays, ""), reading["test_fraction"])
    if _is_long(path):
        _refuse_ignored(source, reading, ("test_fraction",))
        return _divided(path, Labelled(*read_csv(path)), reading["test_fraction"])
    series = _series(path, reading)
    kept = round(len(series) * reading["test_fraction"])
    cut = len(series) - kept
    parts = []
    for part, values in (("training", series.values[:cut]), ("test", series.values[cut:])):
        if len(values) < reading["window"]:
            raise DataError(
                f"{path}: the {part} part of the series has {len(values)} steps, fewer than the "
                f"window of {reading['window']}; choose a smaller window"
            )
        parts.append(_windowed(Series(values, series.names), reading))
    return Dataset(path.stem, *parts)


def read_labelled(source: str, folder: Path | None, reading: Mapping[str, Any]) -> Labelled:
    """Read sequences to hold made ones against: the test part of what is named, or a file.

    Raises
    ------
    DataError
        The source is unknown or malformed.
    """
    _refuse_folder(source, folder)
    # Options that mean nothing here may be left from the data that were learned from.
    if source == "sines":
        return _sines(reading).test
    path = _existing(source)
    if path.suffix == ".npz":
        arrays = read_npz(path)
        return _from_npz(path, arrays, "_test" if "X_test" in arrays else "")
    if _is_long(path):
        return Labelled(*read_csv(path))
    return _windowed(_series(path, reading), reading)


def _refuse_folder(source: str, folder: Path | None) -> None:
    if folder is not None:
        raise DataError(f"a data folder goes with data that lie in one, not with {source!r}")


def _refuse_ignored(source: str, reading: Mapping[str, Any], meant: Collection[str]) -> None:
    """Complain about an option that means nothing to the data."""
    defaults = vars(GANReading())
    refuse_given(
        source, {name: (reading[name], value, name in meant) for name, value in defaults.items()}
    )


def _sines(reading: Mapping[str, Any]) -> Dataset:
    parts = [
        _unlabelled(two_tone_sines(count, steps=reading["window"], seed=seed))
        for count, seed in _SINES.values()
    ]
    return Dataset("sines", *parts)


def _existing(source: str) -> Path:
    path = Path(source)
    if path.suffix not in (".npz", ".csv"):
        raise DataError(
            f"there is no data set {source!r}.{did_you_mean(source, ['sines'])} Known: sines, or "
            f"a path that ends in .npz or .csv"
        )
    if not path.is_file():
        raise DataError(f"there is no file {source}")
    return path


def _is_long(path: Path) -> bool:
    return {"id", "step"} <= set(column_names(path))


def _series(path: Path, reading: Mapping[str, Any]) -> Series:
    columns = reading["columns"]
    return read_series(path, columns=[columns] if isinstance(columns, str) else columns)


def _windowed(series: Series, reading: Mapping[str, Any]) -> Labelled:
    return _unlabelled(windows(series, reading["window"], stride=reading["stride"]))


def _unlabelled(x: Sequences) -> Labelled:
    return Labelled(x, None, list(range(len(x))))


def _from_npz(path: Path, arrays: Mapping[str, Any], part: str) -> Labelled:
    x_name, y_name = f"X{part}", f"y{part}"
    if x_name not in arrays:
        raise DataError(f"{path}: there is no array {x_name!r}; it holds {', '.join(arrays)}")
    x = as_sequences(arrays[x_name], name=f"{path}: {x_name}")
    if y_name not in arrays:
        return _unlabelled(x)
    y = as_labels(arrays[y_name], name=f"{path}: {y_name}")
    if len(y) != len(x):
        raise DataError(f"{path}: {y_name} must be ({len(x)},) like {x_name}, got {y.shape}")
    return Labelled(x, y, list(range(len(x))))


def _divided(path: Path, everything: Labelled, test_fraction: float) -> Dataset:
    if len(everything.x) < 2:
        raise DataError(f"{path}: holds one sequence; some are needed to learn, some to test")
    size = max(1, round(len(everything.x) * test_fraction))
    # The division does not depend on the seed of the training.
    rows = train_test_split(
        np.arange(len(everything.x)), test_size=min(size, len(everything.x) - 1), random_state=0
    )
    parts = [
        Labelled(
            everything.x.take(chosen),
            None if everything.y is None else everything.y[chosen],
            [everything.ids[row] for row in chosen],
        )
        for chosen in rows
    ]
    return Dataset(path.stem, *parts)
