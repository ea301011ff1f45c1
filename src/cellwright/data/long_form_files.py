"""Files that hold series: CSV and Parquet in long form, and those of the M4 competition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.data.files import place_of
from cellwright.data.long_form import LongForm, as_long_form
from cellwright.data.long_form_columns import numbers_or_missing
from cellwright.data.tables import place_in, read_parquet, read_table
from cellwright.errors import DataError, did_you_mean

__all__ = ["read_long_form", "read_m4"]

_SUFFIXES = (".csv", ".csv.gz", ".parquet")


def read_long_form(
    path: Path,
    *,
    id_column: str | None = "unique_id",
    time_column: str = "ds",
    target_column: str = "y",
    columns: Sequence[str] = (),
    numbers: Sequence[str] = (),
    frequency: str | int | None = None,
) -> LongForm:
    r"""Read series in long form: a row for each series and time, with a header.

    Parameters
    ----------
    path
        ``.csv``, ``.csv.gz`` or ``.parquet``.
    id_column
        Tells series apart; None where the file holds one series.
    time_column
        Dates, or whole numbers.
    target_column
        What is to be forecast; an empty cell is a missing value.
    columns
        Further columns to read.
    numbers
        Which of them must be numbers.
    frequency
        How far apart times are, as pandas calls it, or the step of whole numbers; None to find
        out.

    Raises
    ------
    DataError
        The file is not there or not readable, or what `as_long_form` complains of, naming line
        and column.

    Examples
    --------
    >>> from pathlib import Path
    >>> text = "unique_id,ds,y\nA,2024-01,3\nA,2024-02,\nA,2024-03,5\n"
    >>> _ = Path("sales.csv").write_text(text)
    >>> read_long_form(Path("sales.csv")).frame()
      unique_id         ds    y
    0         A 2024-01-01  3.0
    1         A 2024-02-01  NaN
    2         A 2024-03-01  5.0
    """
    if not path.name.endswith(_SUFFIXES):
        raise DataError(f"{path}: series are read from files that end in {', '.join(_SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    parquet = path.suffix == ".parquet"
    # Ids stay the texts that they are: "01" is not "1", and "NA" is a name.
    table = read_parquet(path, extra="forecast") if parquet else read_table(path, texts=True)
    names = {time_column: "ds", target_column: "y"}
    if id_column is not None:
        names[id_column] = "unique_id"
    for column in (*names, *columns):
        if column not in table.columns:
            known = list(map(str, table.columns))
            hint = did_you_mean(column, known)
            raise DataError(
                f"{path}: there is no column {column!r} among {', '.join(known)}.{hint} "
                f"Name the columns with id_column, time_column and target_column"
            )
    written = {new: old for old, new in names.items()}
    if id_column is None:
        table = table.drop(columns="unique_id", errors="ignore").assign(unique_id=path.stem)
    # Another column may already have the name that one is to get.
    spare = [c for c in ("unique_id", "ds", "y") if c in table.columns and c in written]
    table = table.drop(columns=[c for c in spare if written[c] != c]).rename(columns=names)

    def place(row: int, column: str) -> str:
        return place_of(path, row, written.get(column, column))

    if not parquet:
        table["ds"] = _times(table["ds"], counted=isinstance(frequency, int))
    return as_long_form(
        table, columns=columns, numbers=numbers, frequency=frequency, name=str(path), place=place
    )


def read_m4(folder: Path, group: str = "Hourly") -> tuple[LongForm, LongForm]:
    """Read a group of the M4 competition: what is known of each series, and what is behind it.

    Parameters
    ----------
    folder
        Holds ``Hourly-train.csv`` and ``Hourly-test.csv``, gzipped or not: a row a series, its
        name first; an empty cell behind its last value is none, one before a missing value.
    group
        The files' first word.

    Returns
    -------
    train, whole
        The series without and with their test part; times count the steps, as the dates of the
        competition mean nothing.

    Raises
    ------
    DataError
        A file is missing or malformed.
    """
    tables = []
    for part in ("train", "test"):
        found = [folder / f"{group}-{part}.csv{end}" for end in ("", ".gz")]
        path = next((each for each in found if each.is_file()), None)
        if path is None:
            raise DataError(f"there is no file {found[0].name} in {folder}, nor {found[1].name}")
        tables.append(_rows_of_m4(path))
    (ids, known), (again, behind) = tables
    if ids != again:
        raise DataError(f"{folder}: the series of {group}-train and {group}-test are not the same")
    whole = [np.concatenate(pair) for pair in zip(known, behind, strict=True)]
    return _counted(ids, known), _counted(ids, whole)


def _rows_of_m4(path: Path) -> tuple[list[str], list[npt.NDArray[np.float64]]]:
    """The names of the series, and the values of each up to its last."""
    table = read_table(path)
    names, *steps = map(str, table)
    unnamed = table[names].isna().to_numpy()
    if unnamed.any():
        raise DataError(f"{place_in(path, unnamed, names)}: is empty")

    def place(row: int, column: str) -> str:
        return place_of(path, row, column)

    columns = [numbers_or_missing(table[step], step, place) for step in steps]
    values = np.stack(columns, axis=1) if columns else np.empty((len(table), 0))
    ends = np.where(np.isnan(values), 0, np.arange(1, len(steps) + 1)).max(axis=1, initial=0)
    rows = [row[:end] for row, end in zip(values, ends, strict=True)]
    return table[names].astype(str).tolist(), rows


def _counted(ids: Any, values: Sequence[Any]) -> LongForm:
    table = pd.DataFrame(
        {
            "unique_id": np.repeat(np.asarray(ids, dtype=object), [len(one) for one in values]),
            "ds": np.concatenate([np.arange(len(one)) for one in values]),
            "y": np.concatenate(values),
        }
    )
    return as_long_form(table)


def _times(cells: Any, *, counted: bool = False) -> Any:
    """Whole numbers where all cells are, except what looks like a year, a month or a day: dates.

    Where it is known that steps are `counted` nothing looks like a date.
    """
    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.isna().any() or (numbers != numbers.round()).any():
        return cells
    if counted:
        return numbers.astype("int64")
    year, month = r"(1[6-9]|2[0-2])\d\d", r"(0[1-9]|1[0-2])"
    if cells.str.fullmatch(rf"{year}({month}\d\d)?").all():
        return cells
    if cells.str.fullmatch(year + month).all():
        return cells.str[:4] + "-" + cells.str[4:]  # pandas reads 200112 as January 20, 2012
    return numbers.astype("int64")
