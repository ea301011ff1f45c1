"""Files that hold series: CSV and Parquet in long form, and those of the M4 competition."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellwright.data.long_form import LongForm, as_long_form
from cellwright.errors import DataError, did_you_mean, require_extra

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
    frequency: str | None = None,
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
        How far apart times are, as pandas calls it; None to find out.

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
    table = _read_parquet(path) if parquet else _read_texts(path)
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
    lines = None if parquet else _lines(path)

    def place(row: int, column: str) -> str:
        where = f"row {row}" if lines is None or row >= len(lines) else f"line {lines[row]}"
        return f"{path}, {where}, column {written.get(column, column)!r}"

    if not parquet:
        table["ds"] = _whole_numbers(table["ds"])
    return as_long_form(
        table, columns=columns, numbers=numbers, frequency=frequency, name=str(path), place=place
    )


def read_m4(folder: Path, group: str = "Hourly") -> tuple[LongForm, LongForm]:
    """Read a group of the M4 competition: what is known of each series, and what is behind it.

    Parameters
    ----------
    folder
        Holds ``Hourly-train.csv`` and ``Hourly-test.csv``, gzipped or not: a row a series, its
        name first, empty cells behind.
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
        try:
            tables.append(pd.read_csv(path, index_col=0))
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: not a readable CSV: {error}") from error
    train, test = tables
    if list(train.index) != list(test.index):
        raise DataError(f"{folder}: the series of {group}-train and {group}-test are not the same")
    known = [row[~np.isnan(row)] for row in _floats(train, f"{group}-train", folder)]
    behind = [row[~np.isnan(row)] for row in _floats(test, f"{group}-test", folder)]
    whole = [np.concatenate(pair) for pair in zip(known, behind, strict=True)]
    return _counted(train.index, known), _counted(train.index, whole)


def _floats(table: Any, name: str, folder: Path) -> Any:
    try:
        return table.to_numpy(np.float64)
    except ValueError as error:
        raise DataError(f"{folder}: {name} holds more than numbers: {error}") from error


def _counted(ids: Any, values: Sequence[Any]) -> LongForm:
    table = pd.DataFrame(
        {
            "unique_id": np.repeat(np.asarray(ids, dtype=object), [len(one) for one in values]),
            "ds": np.concatenate([np.arange(len(one)) for one in values]),
            "y": np.concatenate(values),
        }
    )
    return as_long_form(table)


def _read_parquet(path: Path) -> pd.DataFrame:
    require_extra("forecast", "pyarrow")
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except Exception as error:  # a damaged file makes the reader raise all sorts
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error


def _read_texts(path: Path) -> pd.DataFrame:
    try:
        header = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0]
        if header.isna().any():
            raise DataError(f"{path}: column {int(header.isna().argmax()) + 1} has no name")
        if header.duplicated().any():
            twice = header[header.duplicated()].iloc[0]
            raise DataError(f"{path}: there are two columns {twice!r}")
        # Ids stay the texts that they are: "01" is not "1", and "NA" is a name.
        table: pd.DataFrame = pd.read_csv(
            path, dtype=str, keep_default_na=False, na_values=[""], index_col=False
        )
        return table
    except (OSError, ValueError, EOFError, pd.errors.ParserWarning) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a readable CSV: {error}") from error


def _whole_numbers(cells: Any) -> Any:
    """Numbers where all cells are, except years and months such as 1949 and 194901: dates."""
    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.isna().any() or (numbers != numbers.round()).any():
        return cells
    if cells.str.fullmatch(r"(1[6-9]|2[0-2])\d\d(\d{4})?").all():
        return cells
    return numbers.astype("int64")


def _lines(path: Path) -> list[int] | None:
    """The line at which each row ends; rows may have line breaks in quotes or blanks between."""
    try:
        whole = path.read_bytes()
        text = (gzip.decompress(whole) if path.suffix == ".gz" else whole).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""))
        return [reader.line_num for cells in reader if cells][1:]
    except (csv.Error, UnicodeDecodeError, OSError):
        return None
