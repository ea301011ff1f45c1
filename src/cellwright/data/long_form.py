"""Many series in long form: a row for each series and time, checked and made regular."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.data.calendar import infer_frequency
from cellwright.data.long_form_columns import (
    Floats,
    Place,
    numbers_or_missing,
    place_in,
    texts_or_missing,
    times_of,
)
from cellwright.errors import ArgumentError, DataError, did_you_mean

__all__ = ["LongForm", "as_long_form", "table_with"]

_MOST_GAPS = 100  # for each row


@dataclass(frozen=True, eq=False)
class LongForm:
    """Series one behind the other, each at every time from its first to its last.

    Attributes
    ----------
    ids
        What the series are called, (series,).
    offsets
        Where each begins, and where the last ends, (series + 1,).
    times
        Dates, in the time zone in which they were given if they have one, or whole numbers, (row,).
    y
        What is to be forecast, (row,); NaN where it is missing.
    columns
        Further columns, (row,) each: numbers, or objects with None where missing.
    frequency
        How far apart times are.
    """

    ids: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]
    times: pd.Index
    y: Floats
    columns: dict[str, npt.NDArray[Any]]
    frequency: str | int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Steps of each series."""
        return np.diff(self.offsets)

    @property
    def fingerprint(self) -> str:
        """A digest of everything, to tell whether two are the same."""
        state = hashlib.blake2b(digest_size=16)
        state.update(repr((self.ids.tolist(), self.offsets.tolist(), self.frequency)).encode())
        state.update(str(getattr(self.times, "tz", None) or "").encode())
        state.update(_counted(self.times).tobytes())
        state.update(self.y.tobytes())
        for name, values in self.columns.items():
            state.update(repr((name, values.tolist())).encode())
        return state.hexdigest()

    def rows_of(self, series: int) -> slice:
        """Where the rows of one series stand."""
        return slice(int(self.offsets[series]), int(self.offsets[series + 1]))

    def codes(self) -> npt.NDArray[np.int64]:
        """Number of the series of each row."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def cut(self, start: npt.NDArray[np.int64], stop: npt.NDArray[np.int64]) -> LongForm:
        """Steps `start` to `stop` of each series, (series,) each; none of a series is allowed."""
        place = np.arange(len(self.y)) - np.repeat(self.offsets[:-1], self.lengths)
        kept = (place >= np.repeat(start, self.lengths)) & (place < np.repeat(stop, self.lengths))
        counts = np.bincount(self.codes()[kept], minlength=len(self))
        return LongForm(
            self.ids[counts > 0],
            np.concatenate([[0], np.cumsum(counts[counts > 0])]),
            self.times[kept],
            self.y[kept],
            {name: values[kept] for name, values in self.columns.items()},
            self.frequency,
        )

    def without_last(self, steps: int) -> LongForm:
        """Each series without its last steps."""
        return self.cut(np.zeros(len(self), np.int64), self.lengths - steps)

    def without_ends(self) -> LongForm:
        """Each series up to its last value; what has none at all is left out."""
        there = np.where(~np.isnan(self.y), np.arange(len(self.y)) + 1, 0)
        last = np.maximum.reduceat(there, self.offsets[:-1])
        return self.cut(np.zeros(len(self), np.int64), np.maximum(last - self.offsets[:-1], 0))

    def last(self, steps: int) -> LongForm:
        """The last steps of each series."""
        return self.cut(np.maximum(self.lengths - steps, 0), self.lengths)

    def frame(self) -> pd.DataFrame:
        """As a table: ``unique_id, ds, y`` and the other columns."""
        ids = self.ids[self.codes()]
        table: pd.DataFrame = pd.DataFrame({"unique_id": ids, "ds": self.times, "y": self.y})
        for name, values in self.columns.items():
            table[name] = values
        return table

    def times_after(self, steps: int) -> list[pd.Index]:
        """For each series the next `steps` times behind its end."""
        return [times_from(self.times[end - 1], steps, self.frequency) for end in self.offsets[1:]]


def _counted(times: pd.Index) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(getattr(times, "asi8", times), np.int64)


def times_from(last: Any, steps: int, frequency: str | int) -> pd.Index:
    """The `steps` times that follow one."""
    if isinstance(frequency, int):
        numbers: pd.Index = pd.Index(last + frequency * np.arange(1, steps + 1))
        return numbers
    dates: pd.Index = pd.date_range(last, periods=steps + 1, freq=frequency)[1:]
    return dates


def _as_pandas(df: Any, name: str = "df") -> pd.DataFrame:
    """A table of pandas, or one of polars as such a table.

    Raises
    ------
    ArgumentError
        It is no table.
    """
    if isinstance(df, pd.DataFrame):
        return df
    if type(df).__module__.partition(".")[0] == "polars":
        table = df.collect() if hasattr(df, "collect") else df
        columns = {column.name: _of_polars(column) for column in table.get_columns()}
        converted: pd.DataFrame = pd.DataFrame(columns)
        return converted
    raise ArgumentError(f"{name}: expected a table of pandas or polars, got {type(df).__name__}")


def _of_polars(column: Any) -> Any:
    zone = getattr(column.dtype, "time_zone", None)
    if zone is None:
        return column.to_numpy()
    return pd.DatetimeIndex(column.to_numpy()).tz_localize("UTC").tz_convert(zone)


def as_long_form(
    df: Any,
    *,
    columns: Sequence[str] = (),
    numbers: Sequence[str] = (),
    frequency: str | int | None = None,
    name: str = "df",
    place: Place | None = None,
) -> LongForm:
    """Check a table in long form, and fill the gaps between times with missing values.

    Parameters
    ----------
    df
        A table of pandas or polars with ``unique_id, ds, y``; rows of an id in the order of time.
    columns
        Further columns to take.
    numbers
        Which of them must be numbers.
    frequency
        How far apart times are, as pandas calls it; None to find out.
    name
        What the user calls the table.
    place
        Says what the user calls a cell; without it by its row.

    Raises
    ------
    DataError
        A column is missing; a date cannot be read, comes twice for an id, before the row above,
        or off the frequency; a value is neither a number nor missing, or is infinite.
    """
    place = place_in(name) if place is None else place
    table = table_with(df, ("unique_id", "ds", "y", *columns), name, place)
    times = times_of(table["ds"], place)
    codes, ids = pd.factorize(table["unique_id"])
    order = np.argsort(codes, kind="stable")
    _check_order(codes[order], times[order], table["unique_id"], order, place)
    values = {"y": numbers_or_missing(table["y"], "y", place)}
    for column in columns:
        series = table[column]
        values[column] = (
            numbers_or_missing(series, column, place)
            if column in numbers
            else texts_or_missing(series)
        )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(ids)))])
    sorted_values = {column: array[order] for column, array in values.items()}
    return _regular(np.asarray(ids), offsets, times[order], sorted_values, frequency, name)


def table_with(df: Any, columns: Sequence[str], name: str, place: Place) -> pd.DataFrame:
    """A table of pandas or polars as one of pandas that has these columns, and an id in each row.

    Raises
    ------
    ArgumentError
        It is no table.
    DataError
        A column is missing or there twice, there is no row, or a ``unique_id`` is none.
    """
    table = _as_pandas(df, name)
    known = list(map(str, table.columns))
    for column in columns:
        if column not in table.columns:
            raise DataError(
                f"{name}: there is no column {column!r} among {', '.join(known)}."
                f"{did_you_mean(column, known)}"
            )
        if isinstance(table[column], pd.DataFrame):
            raise DataError(f"{name}: there are several columns {column!r}")
    if table.empty:
        raise DataError(f"{name}: has no rows")
    ids = table["unique_id"]
    missing = ids.isna().to_numpy()
    if missing.any():
        raise DataError(f"{place(int(missing.argmax()), 'unique_id')}: is empty")
    for row, label in enumerate(ids if ids.dtype == object else ()):
        try:
            hash(label)
        except TypeError as error:
            raise DataError(
                f"{place(row, 'unique_id')}: expected a name or a number, got {label!r}"
            ) from error
    return table


def _check_order(
    codes: npt.NDArray[np.int64], times: pd.Index, ids: Any, order: Any, place: Place
) -> None:
    same, steps = codes[1:] == codes[:-1], _counted(times)
    for wrong, said in (
        (same & (steps[1:] == steps[:-1]), "has this time already"),
        (same & (steps[1:] < steps[:-1]), "has a later time above; sort rows by time"),
    ):
        if wrong.any():
            row = int(order[int(np.argmax(wrong)) + 1])
            at = times[int(np.argmax(wrong)) + 1]
            raise DataError(f"{place(row, 'ds')}: the series {ids.iloc[row]!r} {said} ({at})")


def _regular(
    ids: npt.NDArray[Any],
    offsets: npt.NDArray[np.int64],
    times: pd.Index,
    values: dict[str, npt.NDArray[Any]],
    frequency: str | int | None,
    name: str,
) -> LongForm:
    """Every time from the first to the last of each series, with missing values in the gaps."""
    parts = [times[a:b] for a, b in pairwise(offsets)]
    dates = isinstance(times, pd.DatetimeIndex)
    if frequency is None:
        frequency = infer_frequency(parts, name)
    elif isinstance(frequency, int) == dates:
        have, want = (
            ("dates", "a step of whole numbers") if dates else ("whole numbers", "one of dates")
        )
        raise DataError(f"{name}: ds holds {have}, but frequency={frequency!r} is {want}")
    whole, takes, base = [], [], 0
    for label, part in zip(ids, parts, strict=True):
        full = _every(part, frequency, f"{name}: the series {label!r}")
        at = full.get_indexer(part)
        if (at < 0).any():
            odd = part[int(np.argmax(at < 0))]
            raise DataError(
                f"{name}: the series {label!r} has a time {odd} that is no whole number of steps "
                f"of {frequency!r} from {part[0]}; say how far apart times are with frequency"
            )
        take = np.full(len(full), -1)
        take[at] = np.arange(base, base + len(part))
        whole.append(full)
        takes.append(take)
        base += len(part)
    rows = np.concatenate(takes)
    filled = {column: _taken(array, rows) for column, array in values.items()}
    y = filled.pop("y")
    together = whole[0].append(whole[1:]) if len(whole) > 1 else whole[0]
    ends = np.concatenate([[0], np.cumsum([len(full) for full in whole])])
    return LongForm(ids, ends, together, y, filled, frequency)


def _every(part: pd.Index, frequency: str | int, series: str) -> pd.Index:
    """All times from the first to the last of a series; a few that are far apart are none."""
    try:
        pair = times_from(part[0], 2, frequency)
        steps = int((part[-1] - part[0]) / (pair[1] - pair[0]))
    except (ValueError, OverflowError) as error:
        raise DataError(f"frequency={frequency!r}: {error}") from error
    if steps > _MOST_GAPS * (len(part) + _MOST_GAPS):
        raise DataError(
            f"{series} has {len(part)} rows from {part[0]} to {part[-1]}, which are {steps} steps "
            f"of {frequency!r}; is one of these times wrong?"
        )
    if isinstance(frequency, int):
        return pd.Index(np.arange(part[0], part[-1] + 1, frequency))
    return pd.date_range(part[0], part[-1], freq=frequency)


def _taken(array: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    found = array[rows]
    found[rows < 0] = np.nan if found.dtype != object else None
    return found
