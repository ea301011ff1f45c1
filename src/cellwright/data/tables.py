"""The user's own files: ``.npz``, and CSV and Parquet in long form."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.data.files import decoded, place_of, read_bytes, rows_of
from cellwright.data.sequences import Sequences, as_sequences
from cellwright.errors import DataError, did_you_mean, require_extra

__all__ = [
    "WHOLE_NUMBER",
    "check_numbers",
    "header_of",
    "place_in",
    "read_csv",
    "read_npz",
    "read_parquet",
    "read_table",
]

WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
"""A label that is a number: as Python writes it, because "01" and "1" are two labels."""

_ROW = "\0row"  # R's name of a row, which has no name itself


def read_npz(path: Path) -> dict[str, Any]:
    """Read a ``.npz`` as its arrays; object arrays are refused, because they hold code.

    Raises
    ------
    DataError
        The file is not a ``.npz``, or holds pickled objects.
    """
    try:
        # Opened here, because NumPy forgets to close a file that it cannot read.
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise DataError(f"{path}: not a readable .npz: it is no archive of numpy.savez")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except DataError:
        raise
    except Exception as error:  # a damaged file makes zip, zlib and NumPy raise all sorts
        reason = (
            "an array of objects would be read by running code. Ragged sequences go into one "
            "array (sample, time, features) with NaN steps behind"
            if "allow_pickle" in str(error)
            else error
        )
        raise DataError(f"{path}: not a readable .npz: {reason}.") from error
    return arrays


def read_csv(path: Path) -> tuple[Sequences, npt.NDArray[Any] | None, list[Any]]:
    """Read a CSV in long form: a row a step, columns ``id, step, features…, label``.

    Rows may come in any order; they are sorted by ``step`` within an ``id``. The ``label``
    column, where there is one, must say the same on all rows of an ``id``. Ids stay the
    texts that they are, and so do labels, unless all are whole numbers without leading zeros.

    Returns
    -------
    sequences, labels, ids
        Samples in the order in which their ids first appear; labels None without a label
        column.

    Raises
    ------
    DataError
        Naming line and column: a column is missing or there twice, a cell is not a number, a
        step occurs twice, or a label changes within a sample.
    """
    table = read_table(path)
    for column in ("id", "step"):
        if column not in table:
            raise DataError(
                f"{path}: there is no column {column!r} among {', '.join(map(str, table))}."
                f"{did_you_mean(column, map(str, table))} A long-form CSV starts "
                f"id,step,feature…"
            )
    features = [column for column in table if column not in ("id", "step", "label")]
    if not features:
        raise DataError(f"{path}: there is no feature column beside id, step and label")
    if table.empty:
        raise DataError(f"{path}: has a header but no rows")
    for column in ("step", *map(str, features)):
        check_numbers(path, table, column)
    for column in ("id", *(["label"] if "label" in table else [])):
        if table[column].isna().any():
            place = place_in(path, table[column].isna(), column)
            raise DataError(f"{place}: is empty")
    repeated = table.duplicated(["id", "step"])
    if repeated.any():
        raise DataError(f"{place_in(path, repeated, 'step')}: this id has this step already")
    labels = _labels(path, table) if "label" in table else None
    values, ids = [], []
    for sample_id, rows in table.groupby("id", sort=False):
        ids.append(sample_id)
        values.append(rows.sort_values("step")[features].to_numpy())
    x = as_sequences(values, name=str(path))
    return dataclasses.replace(x, names=tuple(map(str, features))), labels, ids


def read_table(path: Path, *, texts: bool = False, row_names: bool = False) -> pd.DataFrame:
    """A CSV file as it stands there, packed with gzip or not, or a Parquet file.

    Parameters
    ----------
    path
        The file: ``.parquet``, or cells separated by commas, names in the first line.
    texts
        Whether all cells are texts, and not only those of ``id`` and ``label``.
    row_names
        Whether rows may start with a name that the header has none for, as R writes them; it is
        passed over.

    Raises
    ------
    DataError
        The file cannot be read, a column has no name or that of another, or a row more cells
        than the header; the message names the line.
    """
    if path.suffix == ".parquet":
        table = read_parquet(path)
        for name in table if texts else {"id", "label"}.intersection(table):
            table[name] = _as_texts(table[name])
        return table
    content = read_bytes(path)
    header, first = header_of(path, content)
    try:
        named = row_names and len(first) == len(header) + 1
        names = [_ROW, *header] if named else header
        with warnings.catch_warnings():
            # Rows with more cells than the header has would lose the last ones.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            kinds: Any = str if texts else {"id": str, "label": str}
            table = pd.read_csv(
                io.BytesIO(content),
                header=0,
                names=names,
                dtype=kinds,
                index_col=False,
                # Only an empty cell is empty: "NA" and "None" are good names for a class.
                keep_default_na=False,
                na_values=[""],
                low_memory=False,
            )
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        # How pandas complains of a row that is too long depends on the rows above.
        reason = _too_long(content, len(header), len(names)) or error
        raise DataError(f"{path}: not a readable CSV: {reason}") from error
    return table.drop(columns=_ROW) if named else table


def header_of(path: Path, content: bytes) -> tuple[list[str], list[str]]:
    """The names of the columns of a CSV file, and the cells of its first row.

    Raises
    ------
    DataError
        The file is empty or not UTF-8, its cells are not separated by commas, or a column has no
        name or that of another.
    """
    decoded(content, str(path))  # says where a byte is none of UTF-8, which pandas does not
    try:
        rows = rows_of(content)
        header, first = next(rows, (0, []))[1], next(rows, (0, []))[1]
        if not header:
            raise ValueError("it is empty")
        if "" in header:
            raise ValueError(f"column {header.index('') + 1} has no name")
        twice = [name for name in header if header.count(name) > 1]
        if twice:
            raise ValueError(f"there are two columns {twice[0]!r}")
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: not a readable CSV: {error}") from error
    if len(header) == 1 and re.search("[;\t]", header[0]):
        raise DataError(
            f"{path}: cells must be separated by commas, and {header[0]!r} looks as if they were "
            f"not; decimals have a point"
        )
    return header, first


def _too_long(content: bytes, columns: int, most: int) -> str | None:
    """What is wrong with the first row that has more than `most` cells, if there is one."""
    with contextlib.suppress(csv.Error):
        for line, cells in rows_of(content):
            if len(cells) > most:
                return (
                    f"line {line} has {len(cells)} cells, but the header has {columns}; a cell "
                    f"with a comma in it goes into quotes"
                )
    return None


def _as_texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Cells as a CSV file would hold them: whole numbers stay whole where some are missing."""
    texts: pd.Series[Any] = column.convert_dtypes().astype("string").astype(object)
    known: pd.Series[Any] = texts.where(column.notna(), None)
    return known


def read_parquet(path: Path, *, extra: str = "parquet") -> pd.DataFrame:
    """A Parquet file as it stands there.

    Parameters
    ----------
    path
        The file.
    extra
        The extra of cellwright that brings `pyarrow` to whoever reads it.

    Raises
    ------
    DataError
        The file cannot be read.
    MissingExtraError
        `pyarrow` is not installed.
    """
    require_extra(extra, "pyarrow")
    try:
        table: pd.DataFrame = pd.read_parquet(path, engine="pyarrow").reset_index(drop=True)
    except Exception as error:  # a damaged file makes the reader raise all sorts
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error
    return table


def check_numbers(path: Path, table: pd.DataFrame, column: str) -> None:
    """Raise a `DataError` that names the line unless a column holds finite numbers only."""
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        cell = table[column].iloc[int(np.argmax(wrong))]
        found = "nothing" if pd.isna(cell) else repr(str(cell))
        raise DataError(f"{place_in(path, wrong, column)}: expected a finite number, got {found}")
    table[column] = numbers


def _labels(path: Path, table: pd.DataFrame) -> npt.NDArray[Any]:
    first = table.groupby("id", sort=False)["label"].transform("first")
    differs = table["label"] != first
    if differs.any():
        raise DataError(f"{place_in(path, differs, 'label')}: the label changes within its id")
    labels = table.groupby("id", sort=False)["label"].first().tolist()
    if all(WHOLE_NUMBER.fullmatch(label) for label in labels):
        return np.array(labels, dtype=np.int64)
    return np.array(labels, dtype=str)


def place_in(path: Path, wrong: Any, column: str) -> str:
    """The file, and line and column of the first row that is wrong."""
    return place_of(path, int(np.argmax(wrong)), column)
