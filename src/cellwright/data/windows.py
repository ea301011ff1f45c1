"""One long series in a CSV, cut into windows of equal length."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.data.checks import check_count
from cellwright.data.dates import day_first
from cellwright.data.files import read_bytes
from cellwright.data.sequences import Sequences, as_sequences
from cellwright.data.tables import check_numbers, header_of, place_in, read_table
from cellwright.errors import DataError, did_you_mean

__all__ = ["Series", "column_names", "read_series", "windows"]


@dataclass(frozen=True, eq=False)
class Series:
    """One series, equally spaced.

    Attributes
    ----------
    values
        (time, features), finite.
    names
        What the features are called.
    """

    values: npt.NDArray[np.float64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)


def read_series(
    path: Path, *, columns: Sequence[str] | None = None, time: str | None = None
) -> Series:
    r"""Read one series from a CSV: a header, then a row for each step, in the order of time.

    Parameters
    ----------
    path
        The file.
    columns
        Features to read; None for all columns but that of the time.
    time
        The column of dates, times or numbers by which rows must be in order. None for the
        first column if its first cell is no number, else for no such column.

    Raises
    ------
    DataError
        Naming line and column: a column is missing, a cell is not a finite number, a time
        cannot be read, or comes before that of the line above or twice.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("days.csv").write_text("day,least,most\n2024-01-01,3,9\n2024-01-02,4,8.5\n")
    >>> read_series(Path("days.csv"), columns=["most"]).values.ravel()
    array([9. , 8.5])
    """
    table = read_table(path)
    if table.empty:
        raise DataError(f"{path}: has a header but no rows")
    known = list(map(str, table))
    for column in [*(columns or []), *([time] if time is not None else [])]:
        if column not in known:
            hint = did_you_mean(column, known)
            raise DataError(
                f"{path}: there is no column {column!r} among {', '.join(known)}.{hint}"
            )
    if time is None and known[0] not in (columns or ()) and not _is_number(table[known[0]].iloc[0]):
        time = known[0]
    chosen = list(columns) if columns is not None else [name for name in known if name != time]
    if not chosen:
        raise DataError(f"{path}: there is no column of numbers beside {time!r}")
    if time in chosen or len(set(chosen)) < len(chosen):
        raise DataError(f"columns: {', '.join(chosen)}: one stands there twice, or is the time")
    if time is not None:
        _check_order(path, table, time)
    for column in chosen:
        check_numbers(path, table, column)
    return Series(table[chosen].to_numpy(np.float64), tuple(chosen))


def column_names(path: Path) -> tuple[str, ...]:
    """What the columns of a CSV are called.

    Raises
    ------
    DataError
        The file is no CSV.
    """
    return tuple(header_of(path, read_bytes(path))[0])


def windows(series: Series, length: int, *, stride: int = 1) -> Sequences:
    """Windows of `length` steps, each beginning `stride` steps after the one before.

    What is left over at the end is not used.

    Raises
    ------
    SettingError
        Length or stride is less than 1.
    DataError
        The series is shorter than one window.

    Examples
    --------
    >>> series = Series(np.arange(7.0)[:, None], ("x",))
    >>> windows(series, 3, stride=2).values[..., 0].tolist()
    [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0], [4.0, 5.0, 6.0]]
    """
    check_count(length, "window")
    check_count(stride, "stride")
    if len(series) < length:
        raise DataError(f"a series of {len(series)} steps has no window of {length}")
    cut = np.lib.stride_tricks.sliding_window_view(series.values, length, axis=0)[::stride]
    return replace(as_sequences(cut.transpose(0, 2, 1)), names=series.names)


def _is_number(cell: object) -> bool:
    return not bool(np.isnan(pd.to_numeric(pd.Series([cell]), errors="coerce").iloc[0]))


def _check_order(path: Path, table: pd.DataFrame, column: str) -> None:
    cells = table[column]
    times: pd.Series[Any] = pd.to_numeric(cells, errors="coerce")
    if times.isna().any():
        with warnings.catch_warnings():
            # That there is no one format for all rows is said below, by line.
            warnings.simplefilter("ignore", UserWarning)
            first = day_first(cells)
            times = pd.to_datetime(cells.astype(str), errors="coerce", utc=True, dayfirst=first)
            if times.isna().any():
                # ISO's dates may say more or less on other lines.
                iso = pd.to_datetime(cells.astype(str), errors="coerce", utc=True, format="ISO8601")
                times = iso if iso.notna().sum() > times.notna().sum() else times
    unread = times.isna().to_numpy()
    if unread.any():
        cell = cells.iloc[int(np.argmax(unread))]
        found = "nothing" if pd.isna(cell) else repr(str(cell))
        raise DataError(f"{place_in(path, unread, column)}: expected a date or number, got {found}")
    steps = times.to_numpy()
    for wrong, what in ((steps[1:] == steps[:-1], "twice"), (steps[1:] < steps[:-1], "early")):
        if wrong.any():
            at = np.concatenate([[False], wrong])
            cell = str(cells.iloc[int(np.argmax(at))])
            said = "stands there twice" if what == "twice" else "comes before the row above"
            raise DataError(f"{place_in(path, at, column)}: {cell} {said}; rows go by time")
