"""Machines that were run until they failed: tables like NASA's C-MAPSS, cut into windows."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.data.checks import check_count
from cellwright.data.files import decoded, read_bytes
from cellwright.data.measured import Measured, MeasuredDataset
from cellwright.data.sequences import Sequences
from cellwright.errors import DataError, SettingError

__all__ = [
    "Machine",
    "is_run_to_failure",
    "machine_windows",
    "read_machines",
    "read_run_to_failure",
]

# What NASA's readme calls the columns of its four data sets.
_CMAPSS = (
    "unit",
    "cycle",
    *(f"setting_{number}" for number in range(1, 4)),
    *(f"sensor_{number}" for number in range(1, 22)),
)


@dataclass(frozen=True, eq=False)
class Machine:
    """What was measured of one machine.

    Attributes
    ----------
    unit
        Its number.
    cycles
        When, ascending, (time,).
    values
        What, (time, features).
    """

    unit: int
    cycles: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


def read_machines(path: Path) -> tuple[list[Machine], tuple[str, ...]]:
    """Read a table of columns between blanks: unit, cycle, then what was measured.

    There is no header; a row is a cycle of a machine, rows come in any order, and the file may
    be packed with gzip. 26 columns get the names that NASA's readme gives them.

    Returns
    -------
    machines, names
        Machines in the order in which they first appear; names of the features.

    Raises
    ------
    DataError
        Naming line and column: a row is too short or too long, a cell is not a finite number,
        unit or cycle is not a whole number, or a cycle occurs twice.
    """
    table = _read_table(path)
    width = table.shape[1]
    if width < 3:
        raise DataError(
            f"{path}: has {width} columns; expected unit, cycle and at least one measurement"
        )
    names = _CMAPSS
    if width != len(_CMAPSS):
        names = ("unit", "cycle", *(f"column_{number}" for number in range(3, width + 1)))
    values = np.stack([_numbers(path, table, number) for number in range(width)], axis=1)
    for number in (0, 1):
        _refuse(path, table, values[:, number] % 1 != 0, number, f"{names[number]} is not whole")
    repeated = pd.DataFrame(values[:, :2]).duplicated().to_numpy()
    _refuse(path, table, repeated, 1, "this unit has this cycle already")
    machines = []
    for unit, of_unit in pd.DataFrame(values).groupby(0, sort=False):
        rows = of_unit.sort_values(1).to_numpy()
        machines.append(Machine(int(cast("float", unit)), rows[:, 1].astype(np.int64), rows[:, 2:]))
    return machines, names[2:]


def read_run_to_failure(
    source: Path, *, window: int = 30, stride: int = 1, cap: float | None = 125
) -> MeasuredDataset:
    """Read ``train_NAME.txt``, ``test_NAME.txt`` and ``RUL_NAME.txt``, packed or not.

    Training machines ran until they failed, so that what was left of them is known at every
    cycle: each cycle ends a window that is a sample. Test machines were stopped before; the
    last window of each is a sample, and the third file tells how many cycles were left.

    Parameters
    ----------
    source
        The folder, or its ``train_NAME.txt`` where there are several.
    window
        Cycles of a window, at most; windows at the beginning of a life are shorter.
    stride
        Cycles between the ends of two windows of one machine.
    cap
        Remaining cycles above it count as `cap` when they are learned, because a machine
        that is as good as new does not show how old it is; None learns them as they are. What
        the test is held against is never capped.

    Raises
    ------
    DataError
        A file is missing or malformed, or they do not belong together.
    SettingError
        A parameter is not positive.
    """
    check_count(window, "window")
    check_count(stride, "stride")
    if cap is not None and not cap > 0:
        raise SettingError(f"cap={cap!r}: must be more than 0, or None")
    train, test, left = _files(source)
    machines, names = read_machines(train)
    stopped, test_names = read_machines(test)
    if len(test_names) != len(names):
        raise DataError(
            f"{test}: has {len(test_names)} measurements a row, but {train.name} has {len(names)}"
        )
    remaining = _remaining(left, stopped, test)
    x, y, groups, ids = machine_windows(machines, window=window, stride=stride)
    learned = y if cap is None else np.minimum(y, cap)
    last = [machine.values[-window:] for machine in stopped]
    return MeasuredDataset(
        train.name.split(".")[0].removeprefix("train_"),
        Measured(Sequences(x, names), learned[:, None], ids, ("remaining",), groups),
        Measured(
            Sequences(last, names),
            remaining[:, None],
            [machine.unit for machine in stopped],
            ("remaining",),
            np.array([machine.unit for machine in stopped]),
        ),
    )


def machine_windows(
    machines: list[Machine], *, window: int, stride: int
) -> tuple[list[Any], npt.NDArray[np.float64], npt.NDArray[np.int64], list[str]]:
    """Every window of machines that failed after their last cycle.

    Returns
    -------
    values, remaining, units, ids
        For each window its rows (time, features), the cycles left after it, which machine it
        is of, and ``"UNIT@CYCLE"``.
    """
    values, remaining, units, ids = [], [], [], []
    for machine in machines:
        for end in range(len(machine.values), 0, -stride):
            values.append(machine.values[max(0, end - window) : end])
            remaining.append(float(machine.cycles[-1] - machine.cycles[end - 1]))
            units.append(machine.unit)
            ids.append(f"{machine.unit}@{machine.cycles[end - 1]}")
    return values, np.array(remaining), np.array(units), ids


def is_run_to_failure(source: Path) -> bool:
    """Whether a folder or file looks like one of these data sets."""
    if source.is_dir():
        return any(source.glob("train_*.txt")) or any(source.glob("train_*.txt.gz"))
    return source.name.startswith("train_") and source.name.endswith((".txt", ".txt.gz"))


def _files(source: Path) -> tuple[Path, Path, Path]:
    if source.is_dir():
        found = sorted({path.name.split(".")[0] for path in source.glob("train_*.txt*")})
        if len(found) != 1:
            raise DataError(
                f"{source}: expected one train_NAME.txt, found "
                + (", ".join(found) + "; name one of these files" if found else "none")
            )
        folder, name = source, found[0].removeprefix("train_")
    else:
        folder, name = source.parent, source.name.split(".")[0].removeprefix("train_")
    paths = []
    for part in ("train", "test", "RUL"):
        candidates = [folder / f"{part}_{name}.txt{packed}" for packed in ("", ".gz")]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            raise DataError(f"there is no file {candidates[0]}, packed or not")
        paths.append(path)
    return paths[0], paths[1], paths[2]


def _remaining(path: Path, machines: list[Machine], test: Path) -> npt.NDArray[np.float64]:
    table = _read_table(path)
    if table.shape[1] != 1:
        raise DataError(f"{path}: has {table.shape[1]} columns; expected one, the cycles left")
    values = _numbers(path, table, 0)
    if len(values) != len(machines):
        raise DataError(
            f"{path}: has {len(values)} numbers, but {test.name} has {len(machines)} machines"
        )
    _refuse(path, table, values < 0, 0, "fewer than no cycles are left")
    return values


def _read_table(path: Path) -> pd.DataFrame:
    """All cells as texts; the index is the line, from 0."""
    content = read_bytes(path)
    decoded(content, str(path))  # says where a byte is none of UTF-8, which pandas does not
    try:
        table: pd.DataFrame = pd.read_csv(
            io.BytesIO(content),
            sep=r"\s+",
            header=None,
            dtype=str,
            skip_blank_lines=False,
            keep_default_na=False,
            na_values=[""],
        )
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path}: is empty") from error
    except ValueError as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{path}: not a readable table: {error}") from error
    table = table[table.notna().any(axis=1)]
    if table.empty:
        raise DataError(f"{path}: is empty")
    return table


def _numbers(path: Path, table: pd.DataFrame, column: int) -> npt.NDArray[np.float64]:
    cells = table[column]
    _refuse(path, table, cells.isna().to_numpy(), column, "the row ends before it")
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    wrong = ~np.isfinite(values)
    found = repr(str(cells.iloc[int(np.argmax(wrong))]))
    _refuse(path, table, wrong, column, f"expected a finite number, got {found}")
    return values


def _refuse(
    path: Path, table: pd.DataFrame, wrong: npt.NDArray[np.bool_], column: int, why: str
) -> None:
    if wrong.any():
        line = int(table.index[int(np.argmax(wrong))]) + 1
        raise DataError(f"{path}, line {line}, column {column + 1}: {why}")
