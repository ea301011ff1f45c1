"""Tables with a row a step: CSV in long form, and logs of one series with a date a row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.data.dates import day_first
from cellwright.data.sequences import Sequences, as_sequences
from cellwright.data.tables import WHOLE_NUMBER, place_in, read_table
from cellwright.errors import DataError, did_you_mean

__all__ = ["StepColumns", "StepTable", "read_step_table"]


@dataclass(frozen=True)
class StepColumns:
    """What the columns of a table are.

    Attributes
    ----------
    labels
        What is to be learned at every step.
    features
        What is read; None for all that are nothing else.
    id
        What tells sequences apart; without a column ``id`` the file is one sequence. One of
        another name must be there.
    step
        Number, date or time of a step; without a column ``step`` it is ``date``, or else the order
        of rows. One of another name must be there.
    time_of_day
        Whether sine and cosine of the time of the day are features too.
    """

    labels: tuple[str, ...] = ("label",)
    features: tuple[str, ...] | None = None
    id: str = "id"
    step: str = "step"
    time_of_day: bool = False


@dataclass(frozen=True, eq=False)
class StepTable:
    """Sequences of a table.

    Attributes
    ----------
    x
        The sequences, in the order in which their ids first appear, with names of features.
    y
        The answers of each, (time, labels), or (time,) for one label; None where the file has no
        label column. What is empty is None.
    ids
        What the sequences are called.
    """

    x: Sequences
    y: list[npt.NDArray[Any]] | None
    ids: list[str]


def read_step_table(path: Path, columns: StepColumns, *, labelled: bool = True) -> StepTable:
    """Read a table with a row a step, compressed (``.gz``) or not.

    Rows of an id may come in any order; they are sorted by step. Where the header has one name
    fewer than the rows have cells, as R writes tables, the first cell is a row's name and is
    passed over.

    Parameters
    ----------
    path
        The file: cells separated by commas, names in the first line.
    columns
        What its columns are.
    labelled
        Whether label columns must be there.

    Raises
    ------
    DataError
        Naming line and column: a column is missing or there twice, a feature is not a finite
        number, a date is none, or a step occurs twice.
    """
    table = read_table(path, texts=True, row_names=True)
    names = [str(name) for name in table]
    chosen = [label for label in columns.labels if labelled or label in table]
    usual = (StepColumns.id, StepColumns.step)  # may be missing; what the user has named may not
    named = [name for name in (columns.id, columns.step) if name not in usual]
    for name in (*chosen, *(columns.features or ()), *named):
        if name not in table:
            raise DataError(
                f"{path}: there is no column {name!r} among {', '.join(names)}."
                f"{did_you_mean(name, names)}"
            )
    if table.empty:
        raise DataError(f"{path}: has a header but no rows")
    step = next((name for name in (columns.step, "date") if name in table), None)
    order, times = _steps(path, table, step)
    groups = _groups(path, table, columns.id)
    if step is not None:
        repeated = pd.DataFrame({"id": groups, "step": order}).duplicated().to_numpy()
        if repeated.any():
            raise DataError(f"{place_in(path, repeated, step)}: the sequence has this step already")
    features = _features(path, table, columns, step)
    if columns.time_of_day:
        if times is None:
            raise DataError(f"{path}: there is no column of dates that a time of day could come of")
        features |= _time_of_day(times)
    if not features:
        raise DataError(f"{path}: there is no feature column beside {', '.join(names)}")
    answers = [_labels(table[name]) for name in chosen]
    matrix = np.stack(list(features.values()), axis=1)
    values, found, ids = [], [], []
    codes, names_of_groups = pd.factorize(groups)
    ends = np.cumsum(np.bincount(codes))
    parts = np.split(np.lexsort((order, codes)), ends[:-1])
    for name, rows in zip(names_of_groups, parts, strict=True):
        ids.append(str(name))
        values.append(matrix[rows])
        found.append(_together([answer[rows] for answer in answers]))
    x = as_sequences(values, name=str(path))
    return StepTable(Sequences(x.values, tuple(features)), found if chosen else None, ids)


def _steps(
    path: Path, table: pd.DataFrame, step: str | None
) -> tuple[npt.NDArray[np.float64], pd.Series[Any] | None]:
    """What rows are sorted by, and the times where that is a time."""
    if step is None:
        return np.arange(len(table), dtype=np.float64), None
    numbers = pd.to_numeric(table[step], errors="coerce").to_numpy(np.float64)
    if np.isfinite(numbers).any():
        _refuse(path, table, step, ~np.isfinite(numbers), "a finite number")
        return numbers, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one that guesses: what it cannot read is refused below
        times = pd.to_datetime(table[step], errors="coerce", format="ISO8601", utc=True)
        if times.isna().all():
            first = day_first(table[step])
            times = pd.to_datetime(table[step], errors="coerce", utc=True, dayfirst=first)
    _refuse(path, table, step, times.isna().to_numpy(), "a number, or a date and time")
    seconds = (times - times.min()).dt.total_seconds()
    return seconds.to_numpy(np.float64), times


def _groups(path: Path, table: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    if name not in table:
        return np.full(len(table), path.name.partition(".")[0], dtype=object)
    _refuse(path, table, name, table[name].isna().to_numpy(), "an id")
    return table[name].to_numpy(dtype=object)


def _features(
    path: Path, table: pd.DataFrame, columns: StepColumns, step: str | None
) -> dict[str, npt.NDArray[np.float64]]:
    others = (columns.id, step, *columns.labels)
    names = columns.features or [str(name) for name in table if name not in others]
    found = {}
    for name in names:
        numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
        _refuse(path, table, name, ~np.isfinite(numbers), "a finite number")
        found[name] = numbers
    return found


def _time_of_day(times: pd.Series[Any]) -> dict[str, npt.NDArray[np.float64]]:
    """The hand of a clock that goes round once a day: no jump at midnight."""
    seconds = (times - times.dt.normalize()).dt.total_seconds().to_numpy(np.float64)
    angle = 2 * np.pi * seconds / 86_400
    return {"time_of_day_sine": np.sin(angle), "time_of_day_cosine": np.cos(angle)}


def _labels(cells: pd.Series[Any]) -> npt.NDArray[Any]:
    """Whole numbers, numbers or texts; None where a cell is empty."""
    texts = [None if pd.isna(cell) else str(cell) for cell in cells]
    known = [text for text in texts if text is not None]
    kind: Any = str
    if all(WHOLE_NUMBER.fullmatch(text) for text in known):
        kind = int
    elif not pd.to_numeric(pd.Series(known, dtype=str), errors="coerce").isna().any():
        kind = float
    values = [None if text is None else kind(text) for text in texts]
    return np.array(values, dtype=object if len(known) < len(texts) else kind)


def _together(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One array (time,), or (time, labels) for several."""
    if len(parts) == 1:
        return parts[0]
    if len({part.dtype.kind for part in parts}) > 1:
        parts = [part.astype(object) for part in parts]
    return np.stack(parts, axis=1) if parts else np.empty(0)


def _refuse(
    path: Path, table: pd.DataFrame, name: str, wrong: npt.NDArray[np.bool_], wanted: str
) -> None:
    if wrong.any():
        cell = table[name].iloc[int(np.argmax(wrong))]
        found = "nothing" if pd.isna(cell) else repr(str(cell))
        raise DataError(f"{place_in(path, wrong, name)}: expected {wanted}, got {found}")
