"""The user's own files: ``.npz``, and CSV in long form."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.data.sequences import Sequences, as_sequences
from cellwright.errors import DataError, did_you_mean

__all__ = ["read_csv", "read_npz"]


def read_npz(path: Path) -> dict[str, Any]:
    """Read a ``.npz`` as its arrays; object arrays are refused, because they hold code.

    Raises
    ------
    DataError
        The file is not a ``.npz``, or holds pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        hint = (
            " Ragged sequences go into one array (sample, time, features) with NaN steps behind."
            if "allow_pickle" in str(error)
            else ""
        )
        raise DataError(f"{path}: not a readable .npz: {error}.{hint}") from error
    except AttributeError as error:  # a single .npy has no .files
        raise DataError(f"{path}: not a .npz archive of named arrays") from error


def read_csv(path: Path) -> tuple[Sequences, npt.NDArray[Any] | None, list[Any]]:
    """Read a CSV in long form: a row a step, columns ``id, step, features…, label``.

    Rows may come in any order; they are sorted by ``step`` within an ``id``. The ``label``
    column, where there is one, must say the same on all rows of an ``id``.

    Returns
    -------
    sequences, labels, ids
        Samples in the order in which their ids first appear; labels None without a label
        column.

    Raises
    ------
    DataError
        Naming line and column: a column is missing, a cell is not a number, a step occurs
        twice, or a label changes within a sample.
    """
    try:
        table = pd.read_csv(path, keep_default_na=True, low_memory=False)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{path}: not a readable CSV: {error}") from error
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
        _check_numbers(path, table, column)
    for column in ("id", *(["label"] if "label" in table else [])):
        if table[column].isna().any():
            raise DataError(f"{path}, {_line(table[column].isna())}: {column!r} is empty")
    repeated = table.duplicated(["id", "step"])
    if repeated.any():
        raise DataError(f"{path}, {_line(repeated)}: this id has this step already")
    labels = _labels(path, table) if "label" in table else None
    values, ids = [], []
    for sample_id, rows in table.groupby("id", sort=False):
        ids.append(sample_id)
        values.append(rows.sort_values("step")[features].to_numpy(np.float32))
    return as_sequences(values, name=str(path)), labels, ids


def _check_numbers(path: Path, table: pd.DataFrame, column: str) -> None:
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        found = table[column].iloc[int(np.argmax(wrong))]
        raise DataError(
            f"{path}, {_line(wrong)}, column {column!r}: expected a finite number, got {found!r}"
        )
    table[column] = numbers


def _labels(path: Path, table: pd.DataFrame) -> npt.NDArray[Any]:
    first = table.groupby("id", sort=False)["label"].transform("first")
    differs = table["label"] != first
    if differs.any():
        raise DataError(f"{path}, {_line(differs)}: the label changes within its id")
    return table.groupby("id", sort=False)["label"].first().to_numpy()


def _line(wrong: Any) -> str:
    # Line 1 is the header.
    return f"line {int(np.argmax(np.asarray(wrong))) + 2}"
