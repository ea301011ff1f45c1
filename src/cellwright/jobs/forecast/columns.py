"""Further columns of a long form as numbers that a network reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from cellwright.data.calendar import CALENDAR, calendar_features, usual_calendar
from cellwright.data.long_form import LongForm
from cellwright.errors import DataError, SettingError, did_you_mean

__all__ = ["Column", "Encoded", "chosen_calendar", "chosen_columns", "encode", "learn_columns"]

_MOST_CATEGORIES = 10_000
_MOST_INDICATORS = 100
Role = Literal["past", "future", "static"]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Column(BaseModel):
    """What a trained forecaster knows of a column."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    role: Role
    categories: Annotated[list[str], Field(min_length=1, max_length=_MOST_CATEGORIES)] | None = None
    mean: Finite = 0.0
    spread: Annotated[Finite, Field(gt=0)] = 1.0

    @property
    def width(self) -> int:
        """How many numbers stand for it at a step."""
        return 1 if self.categories is None else len(self.categories)


@dataclass(frozen=True)
class Encoded:
    """Columns as numbers.

    Attributes
    ----------
    features, known
        At each row what is known of the past, and the part of it that is known ahead,
        (row, …).
    static
        Numbers that never change within a series, (series, …).
    categories
        Numbers of categories that never change within a series, (series, …).
    """

    features: npt.NDArray[np.float32]
    known: npt.NDArray[np.float32]
    static: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]


def names_of(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names, of which one may stand alone; none for None, "" and "none"."""
    if value is None or value in ("", "none"):
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def chosen_columns(options: Mapping[str, Any]) -> dict[str, tuple[Role, bool]]:
    """Name of each column that is used -> its role, and whether it holds categories.

    Raises
    ------
    SettingError
        A column has two roles, or is categorical without any.
    """
    roles: tuple[Role, ...] = ("past", "future", "static")
    found: dict[str, tuple[Role, bool]] = {}
    categorical = names_of(options["categorical"])
    for role in roles:
        for name in names_of(options[role]):
            if name in found:
                raise SettingError(f"the column {name!r} is named as {found[name][0]} and {role}")
            if name in ("unique_id", "ds", "y"):
                raise SettingError(f"{role}={name!r}: is no further column")
            found[name] = (role, name in categorical)
    for name in categorical:
        if name not in found:
            hint = did_you_mean(name, found)
            raise SettingError(
                f"categorical={name!r}: is not named as past, future or static.{hint}"
            )
    return found


def chosen_calendar(value: Any, frequency: str | int) -> tuple[str, ...]:
    """Names of the cycles that are read off dates."""
    names = names_of(value)
    if names == ("auto",):
        return usual_calendar(frequency)
    for name in names:
        if name not in CALENDAR:
            hint = did_you_mean(name, CALENDAR)
            raise SettingError(
                f"calendar={name!r}: must be auto, none, or of {', '.join(CALENDAR)}.{hint}"
            )
    if names and isinstance(frequency, int):
        raise SettingError(f"calendar={', '.join(names)}: ds holds numbers, not dates")
    return names


def learn_columns(long: LongForm, options: Mapping[str, Any]) -> list[Column]:
    """Scale of each column with numbers, and the categories of the others."""
    learned = []
    for name, (role, categorical) in chosen_columns(options).items():
        values = long.columns[name]
        if categorical:
            known = sorted({str(value) for value in values if value is not None})
            most = _MOST_CATEGORIES if role == "static" else _MOST_INDICATORS
            if not known or len(known) > most:
                raise DataError(
                    f"the column {name!r} has {len(known)} categories; from 1 to {most} are usable"
                )
            learned.append(Column(name=name, role=role, categories=known))
            continue
        numbers = values[np.isfinite(values)]
        if not len(numbers):
            raise DataError(f"the column {name!r} holds no number")
        with np.errstate(over="ignore", invalid="ignore"):
            mean, spread = float(numbers.mean()), float(numbers.std())
        if not np.isfinite(spread):
            raise DataError(
                f"the numbers of the column {name!r} are too large to be scaled; give them in a "
                f"larger unit"
            )
        learned.append(Column(name=name, role=role, mean=mean, spread=spread or 1.0))
    return learned


@np.errstate(over="ignore", invalid="ignore")  # a forecast that is not finite is refused
def encode(long: LongForm, columns: Sequence[Column], calendar: Sequence[str]) -> Encoded:
    """Columns and calendar as numbers.

    Raises
    ------
    DataError
        A column that is known ahead has a gap, a static one changes, or a category was never
        seen in training.
    """
    rows: dict[str, list[npt.NDArray[Any]]] = {"past": [], "future": []}
    rows["future"].append(calendar_features(long.times, calendar))
    static, categories = [np.empty((len(long), 0))], [np.empty((len(long), 0), np.int64)]
    for column in columns:
        values = long.columns[column.name]
        if column.role == "static":
            values = _constant(long, column.name, values)
        if column.role != "past":
            _check_complete(long, column, values)
        if column.categories is None:
            numbers = np.nan_to_num((values - column.mean) / column.spread)[:, None]
            (static if column.role == "static" else rows[column.role]).append(numbers)
            continue
        codes = _codes(column, values)
        if column.role == "static":
            categories.append(codes[:, None])
        else:
            indicators = np.eye(len(column.categories) + 1)[codes][:, :-1]
            rows[column.role].append(indicators)
    known = np.concatenate(rows["future"], 1).astype(np.float32)
    past = [part.astype(np.float32) for part in rows["past"]]
    return Encoded(
        np.concatenate([*past, known], 1),
        known,
        np.concatenate(static, 1).astype(np.float32),
        np.concatenate(categories, 1).astype(np.int64),
    )


def _constant(long: LongForm, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The one value of each series; rows that were filled in have none of their own."""
    first = []
    for series in range(len(long)):
        own = values[long.rows_of(series)]
        there = [v for v in own if v is not None and v == v]  # noqa: PLR0124 -- NaN
        if len(set(there)) > 1:
            raise DataError(
                f"the static column {name!r} changes within the series {long.ids[series]!r}: "
                f"{there[0]!r} and {next(v for v in there if v != there[0])!r}"
            )
        first.append(there[0] if there else own[0])
    return np.array(first, dtype=values.dtype)


def _check_complete(long: LongForm, column: Column, values: npt.NDArray[Any]) -> None:
    empty = np.array([v is None or v != v for v in values])  # noqa: PLR0124 -- NaN
    if not empty.any():
        return
    row = int(np.argmax(empty))
    if column.role == "static":
        raise DataError(f"the static column {column.name!r}: {long.ids[row]!r} has none")
    series = int(np.searchsorted(long.offsets, row, side="right")) - 1
    raise DataError(
        f"the column {column.name!r}, which is known ahead, is empty for the series "
        f"{long.ids[series]!r} at {long.times[row]}"
    )


def _codes(column: Column, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Number of each category; one behind the last where there is none."""
    assert column.categories is not None
    numbers = {name: number for number, name in enumerate(column.categories)}
    for value in values:
        if value is not None and value not in numbers:
            shown = ", ".join(column.categories[:10])
            raise DataError(
                f"the column {column.name!r} has a category {value!r} that was never seen in "
                f"training; known: {shown}" + (", …" if len(column.categories) > 10 else "")
            )
    last = len(column.categories)
    return np.array([last if v is None else numbers[v] for v in values], dtype=np.int64)
