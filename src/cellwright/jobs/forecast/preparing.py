"""From a table to windows: what is learned of the data before the network is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from cellwright.data.calendar import season_of
from cellwright.data.long_form import LongForm, table_with
from cellwright.data.long_form_columns import (
    numbers_or_missing,
    place_in,
    texts_or_missing,
    times_of,
)
from cellwright.errors import DataError, SettingError
from cellwright.jobs.estimator import Facts
from cellwright.jobs.forecast.columns import (
    Column,
    chosen_calendar,
    chosen_columns,
    encode,
    learn_columns,
)
from cellwright.jobs.forecast.windows import Geometry, Prepared, filled, scale_of

__all__ = [
    "ForecasterFacts",
    "balance_of",
    "ends_of",
    "extended",
    "geometry_of",
    "learn_facts",
    "prepare",
]

_SEASONS = 14
_FEWEST_PATCHES = 7
_MOST_STEPS = 2**20
Steps = Annotated[int, Field(ge=1, le=_MOST_STEPS)]


class ForecasterFacts(Facts):
    """What a trained forecaster knows beside its weights."""

    window: Steps
    season: Steps
    patch: Steps
    frequency: str | int
    columns: list[Column]
    calendar: list[str]
    balance: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    margins: list[list[Annotated[float, Field(allow_inf_nan=False)]]] | None = None


def learn_facts(long: LongForm, options: Mapping[str, Any]) -> ForecasterFacts:
    """What the options leave open, found out from the data, and the scale of columns."""
    season = options["season"] or season_of(long.frequency)
    window, patch = _sizes(long, options, season)
    if options["strategy"] == "recursive":
        past = [n for n, (role, _) in chosen_columns(options).items() if role == "past"]
        if past:
            raise SettingError(
                f"past={past[0]!r}: the recursive strategy would have to know it ahead; use "
                f"strategy='direct'"
            )
    return ForecasterFacts(
        window=window,
        season=season,
        patch=patch,
        frequency=long.frequency,
        columns=learn_columns(long, options),
        calendar=list(chosen_calendar(options["calendar"], long.frequency)),
    )


def _sizes(long: LongForm, options: Mapping[str, Any], season: int) -> tuple[int, int]:
    """Window and patch, the first a multiple of the second."""
    horizon, patch = options["horizon"], options["patch"]
    window = options["window"]
    if window is None:
        half = int(np.median(long.lengths)) // 2
        window = min(max(_SEASONS * season, 2 * horizon), max(half, season, 2))
        window = max(window // season, 1) * season
    if patch is None:
        patch = season if window >= _FEWEST_PATCHES * season and season > 1 else 1
    if patch > window:
        raise SettingError(f"patch={patch} is longer than the window of {window} steps")
    return -(-window // patch) * patch, patch


def geometry_of(facts: ForecasterFacts, options: Mapping[str, Any]) -> Geometry:
    """How windows are cut: the recursive strategy has a patch ahead."""
    ahead = options["horizon"] if options["strategy"] == "direct" else facts.patch
    return Geometry(facts.window, ahead, facts.season, options["series_scaling"])


def prepare(long: LongForm, facts: ForecasterFacts, options: Mapping[str, Any]) -> Prepared:
    """Series as numbers for the network.

    Raises
    ------
    DataError
        A value has no logarithm, or is no count, where the options want one.
    """
    if options["transform"] == "log":
        _check_values(long, long.y <= 0, "transform='log' wants numbers above 0")
    if options["output"] == "negative_binomial":
        odd = (long.y < 0) | (long.y != np.round(long.y))
        _check_values(long, odd & ~np.isnan(long.y), "output='negative_binomial' wants counts")
    values = filled(long, facts.season)
    if options["transform"] == "log":
        with np.errstate(invalid="ignore"):
            values = np.log(values)
    return Prepared(
        values, ~np.isnan(long.y), encode(long, facts.columns, facts.calendar), long.offsets
    )


def _check_values(long: LongForm, wrong: npt.NDArray[np.bool_], wanted: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        series = int(np.searchsorted(long.offsets, row, side="right")) - 1
        raise DataError(
            f"{wanted}; the series {long.ids[series]!r} has {long.y[row]:g} at {long.times[row]}"
        )


def ends_of(
    prepared: Prepared,
    geometry: Geometry,
    *,
    until: npt.NDArray[np.int64] | None = None,
    since: npt.NDArray[np.int64] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All windows that can be learned from: series and end of each, in order.

    A window is whole, or, of a short series, all that there is of it; something was observed
    in it, and something behind it.

    Parameters
    ----------
    prepared, geometry
        The series, and how they are cut.
    until, since
        For each series the step behind the last target, and that of the first one; None for
        its end, and its beginning.
    """
    lengths = np.diff(prepared.offsets)
    until = lengths if until is None else until
    series, ends = [], []
    for number, (length, stop) in enumerate(zip(lengths, until, strict=True)):
        last = int(stop) - geometry.horizon
        whole = last >= geometry.window
        first = geometry.window if whole else max(1, min(2 * geometry.season, last))
        if since is not None:
            first = max(first, int(since[number]))
        found = np.arange(first, last + 1)
        begin = prepared.offsets[number]
        seen = np.concatenate([[0], np.cumsum(prepared.observed[begin : begin + length])])
        behind = seen[found + geometry.horizon] - seen[found]
        within = seen[found] - seen[np.maximum(found - geometry.window, 0)]
        found = found[(behind > 0) & (within > 0)]
        series.append(np.full(len(found), number))
        ends.append(found)
    return np.concatenate(series).astype(np.int64), np.concatenate(ends).astype(np.int64)


@np.errstate(invalid="ignore")  # of numbers without a spread nothing is learned
def balance_of(prepared: Prepared, geometry: Geometry, transform: str) -> float:
    """Mean of spread over level, of the last window of each series; what makes two units one."""
    parts = []
    for begin, end in zip(prepared.offsets[:-1], prepared.offsets[1:], strict=True):
        rows = slice(max(begin, end - geometry.window), end)
        values, seen = prepared.values[rows][None], prepared.observed[rows][None]
        level, spread = scale_of(np.nan_to_num(values), seen, geometry.season, geometry.scaling)
        # A difference of logarithms is relative to the level already.
        whole = np.ones_like(level) if transform == "log" else np.maximum(np.abs(level), spread)
        parts.append(float((spread / whole)[0, 0]))
    return float(np.mean(parts))


def extended(
    long: LongForm, horizon: int, steps: int, facts: ForecasterFacts, future: Any = None
) -> LongForm:
    """Series with the steps ahead behind them: values missing, columns from `future`.

    Parameters
    ----------
    long
        The series.
    horizon
        Steps ahead.
    steps
        Rows that are added, `horizon` at least; of the others nothing must be known.
    facts
        Tells which columns must be known ahead.
    future
        A table with ``unique_id``, ``ds`` and these columns.

    Raises
    ------
    DataError
        A column is not there for a series and a time ahead.
    """
    times = long.times_after(steps)
    known = [column for column in facts.columns if column.role == "future"]
    if known and future is None:
        named = ", ".join(repr(column.name) for column in known)
        raise DataError(f"the columns {named} must be known ahead: give them in future")
    asked = [ahead[:horizon] for ahead in times]
    found = _ahead(long, asked, known, future) if known else {}
    for name, parts in found.items():
        found[name] = [np.pad(part, (0, steps - horizon), mode="edge") for part in parts]
    columns = {}
    for column in facts.columns:
        values = long.columns[column.name]
        parts = []
        for series, ahead in enumerate(times):
            own = values[long.rows_of(series)]
            blank = np.full(len(ahead), np.nan if own.dtype != object else None, own.dtype)
            parts += [own, found[column.name][series] if column.name in found else blank]
        columns[column.name] = np.concatenate(parts)
    pairs = [part for s, ahead in enumerate(times) for part in (long.times[long.rows_of(s)], ahead)]
    y = [p for s in range(len(long)) for p in (long.y[long.rows_of(s)], np.full(steps, np.nan))]
    ends = np.concatenate([[0], np.cumsum(long.lengths + steps)])
    return LongForm(
        long.ids, ends, pairs[0].append(pairs[1:]), np.concatenate(y), columns, long.frequency
    )


def _ahead(long: LongForm, times: Any, known: Any, future: Any) -> dict[str, list[Any]]:
    place = place_in("future")
    names = ("unique_id", "ds", *(column.name for column in known))
    table = table_with(future, names, "future", place)
    index = pd.MultiIndex.from_arrays([table["unique_id"], times_of(table["ds"], place)])
    if index.has_duplicates:
        label, at = index[int(np.argmax(index.duplicated()))]
        raise DataError(f"future: the series {label!r} has two rows for {at}")
    ids = np.repeat(long.ids, [len(ahead) for ahead in times])
    wanted = pd.MultiIndex.from_arrays([ids, times[0].append(list(times[1:]))])
    rows = index.get_indexer(wanted)
    if (rows < 0).any():
        label, at = wanted[int(np.argmax(rows < 0))]
        raise DataError(f"future: there is no row for the series {label!r} at {at}")
    found = {}
    for column in known:
        cells = table[column.name]
        values: npt.NDArray[Any] = (
            numbers_or_missing(cells, column.name, place)
            if column.categories is None
            else texts_or_missing(cells)
        )
        found[column.name] = np.split(values[rows], len(times))
    return found
