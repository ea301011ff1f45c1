"""The columns of a table in long form: times, numbers, texts, each cell named that is none."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.data.dates import day_first
from cellwright.errors import DataError

__all__ = ["Floats", "Place", "numbers_or_missing", "place_in", "texts_or_missing", "times_of"]

_WHOLE = 2.0**53  # up to here a float is the whole number that it seems
_COUNTED = 2.0**62  # beyond it differences are no whole numbers of 64 bits
Floats = npt.NDArray[np.float64]
Place = Callable[[int, str], str]
"""Row and column -> what the user calls that cell."""


def place_in(name: str) -> Place:
    """Says by its row what the user calls a cell of that table."""
    return lambda row, column: f"{name}, row {row}, column {column!r}"


def times_of(cells: Any, place: Place) -> pd.Index:
    """Dates or whole numbers of a column; a `DataError` says which cell is neither."""
    if pd.api.types.is_bool_dtype(cells.dtype):
        raise DataError(f"{place(0, 'ds')}: expected a date or a whole number, got a truth")
    if pd.api.types.is_numeric_dtype(cells.dtype) and cells.dtype.kind != "c":
        numbers = cells.to_numpy(float, na_value=np.nan)
        wrong = ~(np.abs(numbers) < _COUNTED) | (numbers != np.round(numbers))
        times: pd.Index = pd.Index(np.where(wrong, 0, numbers).astype(np.int64))
    else:
        times = _dates(cells)
        wrong = times.isna()
    if wrong.any():
        row = int(np.argmax(wrong))
        found = "nothing" if cells.isna().iloc[row] else repr(str(cells.iloc[row]))
        raise DataError(f"{place(row, 'ds')}: expected a date or a whole number, got {found}")
    return times


def _dates(cells: Any) -> Any:
    """A `DatetimeIndex`, without a time where a cell is none."""
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        return pd.DatetimeIndex(cells)
    if isinstance(cells.dtype, pd.PeriodDtype):
        return pd.DatetimeIndex(cells.dt.to_timestamp())
    # Half a character, which pandas cannot read, is no part of a date.
    texts = cells.astype(object).map(
        lambda cell: str(cell).encode(errors="replace").decode(), na_action="ignore"
    )
    found = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a format cannot be told is told as an error below
        plain = {"dayfirst": day_first(texts)}
        for options in (plain, {"format": "ISO8601"}, {"format": "ISO8601", "utc": True}):
            try:
                # One format for all rows, that of the first: 03/04 is not a day here, a month
                # there.
                found = pd.DatetimeIndex(pd.to_datetime(texts, errors="coerce", **options))
            except (ValueError, OverflowError, AttributeError, TypeError):
                continue  # such as several time zones
            if not found.isna().any():
                break
        else:
            found = pd.DatetimeIndex(pd.to_datetime(texts, errors="coerce", utc=True))
    return found


def numbers_or_missing(cells: Any, column: str, place: Place) -> Floats:
    """The numbers of a column, NaN where a cell is empty; a `DataError` says which is neither."""
    empty = cells.isna().to_numpy()
    # Dates are no numbers, though pandas counts them, nor are complex ones.
    read = pd.to_numeric(cells, errors="coerce")
    if cells.dtype.kind in "mM" or read.dtype.kind == "c":
        read = pd.to_numeric(cells.astype(str), errors="coerce")
    numbers = read.to_numpy(np.float64, na_value=np.nan)
    wrong = (np.isnan(numbers) & ~empty) | np.isinf(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{place(row, column)}: expected a finite number or nothing, got "
            f"{str(cells.iloc[row])!r}"
        )
    return np.asarray(numbers)


def texts_or_missing(cells: Any) -> npt.NDArray[Any]:
    """Texts, None where a cell is empty; the whole numbers of a column with gaps, 1.0, are "1"."""
    if pd.api.types.is_float_dtype(cells.dtype):
        numbers = cells.dropna()
        if (numbers == numbers.round()).all() and (numbers.abs() < _WHOLE).all():
            cells = cells.astype("Int64")
    texts = np.array([str(cell) for cell in cells], dtype=object)
    texts[cells.isna().to_numpy()] = None
    return texts
