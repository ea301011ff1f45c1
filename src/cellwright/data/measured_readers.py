"""Reading sequences with numbers to be told: named, ``.npz``, tables in long form, machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from cellwright.data.checks import check_fraction, refuse_given
from cellwright.data.measured import Measured, MeasuredDataset, as_numbers
from cellwright.data.run_to_failure import is_run_to_failure, read_run_to_failure
from cellwright.data.sequences import as_sequences
from cellwright.data.tables import (
    check_numbers,
    place_in,
    read_npz,
    read_parquet,
    read_table,
)
from cellwright.data.tasks import adding
from cellwright.errors import DataError, SettingError, did_you_mean

__all__ = ["read_measured", "read_measured_samples", "read_measured_table"]

# Does not depend on the seed of the training, so that runs with several are scored alike.
_SPLIT_SEED = 0
_TABLES = (".csv", ".parquet")


def read_measured(
    source: str,
    *,
    targets: str | Sequence[str] = "target",
    group: str | None = None,
    test_fraction: float = 0.2,
    window: int = 30,
    stride: int = 1,
    cap: float | None = 125,
) -> MeasuredDataset:
    """Read a data set whose sequences have numbers to be told.

    Parameters
    ----------
    source
        ``"adding"`` (2,500 sequences of ten numbers, of which two are marked: tell their sum),
        or a path: ``.csv`` or ``.parquet`` in long form (see `read_measured_table`), ``.npz`` with
        ``X_train, y_train, X_test, y_test`` or ``X, y``, or a folder of machines that ran until
        they failed (see `read_run_to_failure`).
    targets
        Columns of a table that are to be told.
    group
        Column of a table whose samples go into the same part; a ``.npz`` has an array ``groups``.
    test_fraction
        Part of the samples that is kept for the test where the data have no test part.
    window, stride, cap
        Of machines, see `read_run_to_failure`.

    Raises
    ------
    DataError
        The source is unknown or malformed, has no targets or no such group; or an option was
        given that means nothing to it.
    """
    check_fraction(test_fraction)
    path = None if source == "adding" else _existing(source)
    life = path is not None and is_run_to_failure(path)
    table = path is not None and not life and path.suffix in _TABLES
    refuse_given(
        source,
        {
            "targets": (targets, "target", table),
            "group": (group, None, table),
            "window": (window, 30, life),
            "stride": (stride, 1, life),
            "cap": (cap, 125, life),
        },
    )
    if path is None:
        everything = _adding()
        return MeasuredDataset(
            source, everything.take(np.arange(2000)), everything.take(np.arange(2000, 2500))
        )
    if is_run_to_failure(path):
        return read_run_to_failure(path, window=window, stride=stride, cap=cap)
    if path.suffix == ".npz":
        arrays = read_npz(path)
        if "X_train" in arrays:
            train, test = (_from_npz(path, arrays, p, complete=True) for p in ("_train", "_test"))
            if train.targets != test.targets:
                raise DataError(
                    f"{path}: y_test has {len(test.targets)} targets, y_train {len(train.targets)}"
                )
            return MeasuredDataset(path.stem, train, test)
        everything = _from_npz(path, arrays, "", complete=True)
    else:
        everything = read_measured_table(path, targets=targets, group=group)
    return _split(path.stem, everything, test_fraction)


def read_measured_samples(source: str, **reading: Any) -> Measured:
    """Read samples, with targets or without: the test part where there is one, or all.

    Parameters
    ----------
    source, **reading
        As for `read_measured`.

    Raises
    ------
    DataError
        The source is unknown or malformed.
    """
    if source == "adding":
        return read_measured(source).test
    path = _existing(source)
    if is_run_to_failure(path):
        lives = {name: reading[name] for name in ("window", "stride", "cap") if name in reading}
        return read_run_to_failure(path, **lives).test
    if path.suffix == ".npz":
        arrays = read_npz(path)
        return _from_npz(path, arrays, "_test" if "X_test" in arrays else "")
    return read_measured_table(
        path,
        targets=reading.get("targets", "target"),
        group=reading.get("group"),
        complete=False,
    )


def read_measured_table(
    path: Path,
    *,
    targets: str | Sequence[str] = "target",
    group: str | None = None,
    complete: bool = True,
) -> Measured:
    """Read a CSV or Parquet table: a row a step, columns ``id, step, features…, target…``.

    Rows may come in any order; they are sorted by ``step`` within an ``id``. Targets, and the
    group where there is one, must say the same on all rows of an ``id``. Parquet needs
    `pyarrow`.

    Parameters
    ----------
    path
        The file.
    targets
        Column, or columns, to be told.
    group
        Column that says which samples belong together.
    complete
        Whether targets and group must be there; without them there is nothing to learn, but
        something to predict.

    Raises
    ------
    DataError
        Naming line (of Parquet: row) and column: a column is missing, a cell is not a finite
        number, a step occurs twice, or a target changes within a sample.
    SettingError
        No target is named, or one twice.
    MissingExtraError
        The table is Parquet, and `pyarrow` is not installed.
    """
    targets = (targets,) if isinstance(targets, str) else tuple(targets)
    if not targets or len(set(targets)) < len(targets):
        raise SettingError(f"targets={targets}: name each column that is to be told once")
    table = _read(path)
    if group is not None and group not in table:
        if complete:
            names = list(map(str, table))
            raise DataError(
                f"{path}: there is no group column {group!r} among {', '.join(names)}."
                f"{did_you_mean(group, names)}"
            )
        group = None
    known = _columns(path, table, targets, group, complete)
    others = {"id", "step", *targets, group}
    features = [str(column) for column in table if column not in others]
    if not features:
        raise DataError(f"{path}: there is no feature column beside id, step and targets")
    if table.empty:
        raise DataError(f"{path}: has a header but no rows")
    named = [] if group is None else [group]
    for column in ("id", *named):
        _refuse(path, table[column].isna().to_numpy(), column, "is empty")
    for column in ("step", *features, *known):
        check_numbers(path, table, column)
    repeated = table.duplicated(["id", "step"]).to_numpy()
    _refuse(path, repeated, "step", "this id has this step already")
    by_id = table.groupby("id", sort=False)
    for column in (*known, *named):
        changes = (table[column] != by_id[column].transform("first")).to_numpy()
        _refuse(path, changes, column, "changes within its id")
    values, ids = [], []
    for sample_id, rows in by_id:
        ids.append(sample_id)
        values.append(rows.sort_values("step")[features].to_numpy(np.float64))
    x = replace(as_sequences(values, name=str(path)), names=tuple(features))
    y = by_id[list(known)].first().to_numpy(np.float64) if known else None
    groups = by_id[named[0]].first().astype(str).to_numpy(str) if named else None
    return Measured(x, y, ids, tuple(targets), groups)


def _columns(
    path: Path, table: pd.DataFrame, targets: Sequence[str], group: str | None, complete: bool
) -> tuple[str, ...]:
    """The target columns that are there, all or perhaps none; complains of what is missing."""
    names = [str(column) for column in table]
    for column in ("id", "step"):
        if column not in names:
            raise DataError(
                f"{path}: there is no column {column!r} among {', '.join(names)}."
                f"{did_you_mean(column, names)} A table in long form starts id,step,feature…"
            )
    there = tuple(target for target in targets if target in names)
    for target in targets:
        if target in ("id", "step", group):
            raise DataError(f"{path}: column {target!r} cannot be told; it is not a target")
        if (there or complete) and target not in names:
            raise DataError(
                f"{path}: there is no target column {target!r} among {', '.join(names)}."
                f"{did_you_mean(target, names)} The option targets names those to be told"
            )
    return there


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return read_table(path)
    table = read_parquet(path)
    if "id" in table:
        known = table["id"].notna()
        table["id"] = table["id"].astype(str).where(known, None)
    return table


def _refuse(path: Path, wrong: npt.NDArray[np.bool_], column: str, why: str) -> None:
    if wrong.any():
        raise DataError(f"{place_in(path, wrong, column)}: {why}")


def _existing(source: str) -> Path:
    path = Path(source)
    if not path.exists():
        hint = did_you_mean(source, ["adding"])
        raise DataError(f"there is no file or folder {source}, nor a data set of that name.{hint}")
    if not is_run_to_failure(path) and path.suffix not in (*_TABLES, ".npz"):
        raise DataError(
            f"{source}: cannot be read; expected .csv, .parquet, .npz, or a folder or file of "
            f"machines, train_NAME.txt"
        )
    return path


def _adding() -> Measured:
    # A seed of several numbers, though it is one: with it the results were found that stand in
    # the pages, and a single number draws other sequences.
    drawn = adding(10).draw(2500, (_SPLIT_SEED,))
    ids = list(range(len(drawn)))
    return Measured(drawn.x, drawn.targets.astype(np.float64), ids, ("sum",))


def _from_npz(path: Path, arrays: dict[str, Any], part: str, *, complete: bool = False) -> Measured:
    x_name, y_name, group_name = f"X{part}", f"y{part}", f"groups{part}"
    if x_name not in arrays:
        raise DataError(f"{path}: there is no array {x_name!r}; it holds {', '.join(arrays)}")
    x, y = as_sequences(arrays[x_name], name=f"{path}: {x_name}"), arrays.get(y_name)
    targets: tuple[str, ...] = ("target",)
    if y is None and complete:
        raise DataError(f"{path}: there is nothing to be told: no array {y_name!r}")
    if y is not None:
        if y.shape[:1] != (len(x),):
            raise DataError(f"{path}: {y_name} must be ({len(x)}, …) like {x_name}, got {y.shape}")
        y = as_numbers(y, name=f"{path}: {y_name}")
        if y.shape[1] > 1:
            targets = tuple(f"target_{number}" for number in range(1, y.shape[1] + 1))
    groups = arrays.get(group_name)
    if groups is not None and groups.shape != (len(x),):
        raise DataError(f"{path}: {group_name} must be ({len(x)},), got {groups.shape}")
    return Measured(x, y, list(range(len(x))), targets, groups)


def _split(name: str, everything: Measured, test_fraction: float) -> MeasuredDataset:
    rows = np.arange(len(everything.x))
    try:
        if everything.groups is not None:
            splitter = GroupShuffleSplit(
                n_splits=1, test_size=test_fraction, random_state=_SPLIT_SEED
            )
            train, test = next(splitter.split(rows, groups=everything.groups))
        else:
            train, test = train_test_split(rows, test_size=test_fraction, random_state=_SPLIT_SEED)
    except ValueError as error:
        raise DataError(f"{name}: cannot be divided into training and test: {error}") from error
    return MeasuredDataset(name, everything.take(train), everything.take(test))
