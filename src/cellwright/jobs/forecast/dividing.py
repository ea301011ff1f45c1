"""Which windows are learned from, kept to watch and to calibrate, and forecast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.data.calendar import season_of
from cellwright.data.long_form import LongForm
from cellwright.errors import DataError, SettingError
from cellwright.jobs.forecast.preparing import (
    ForecasterFacts,
    ends_of,
    extended,
    geometry_of,
    prepare,
)
from cellwright.jobs.forecast.windows import Geometry, Prepared, Windows
from cellwright.jobs.intervals import margin_place

__all__ = ["calibrating", "check_lengths", "divided", "learned_part", "windows_ahead"]

_MOST_WINDOWS = 20_000
_MOST_CALIBRATION = 5_000


def learned_part(
    long: LongForm, options: Mapping[str, Any]
) -> tuple[LongForm, npt.NDArray[np.int64]]:
    """What is learned from, and how many steps at the end of each series are not, (series,).

    Raises
    ------
    SettingError
        An option needs them, and there are none.
    DataError
        A series is too short for the horizon.
    """
    horizon, fraction = options["horizon"], options["validation_fraction"]
    if fraction == 0 and (options["patience"] is not None or options["conformal"]):
        wanted = "conformal" if options["conformal"] else "patience"
        raise SettingError(f"{wanted} needs validation data; give a validation_fraction")
    held = np.zeros(len(long), np.int64)
    if fraction:
        least = horizon
        if options["strategy"] == "recursive":
            # A patch is told at once, and the greatest that is chosen for the user is a season.
            least = max(least, options["patch"] or options["season"] or season_of(long.frequency))
        held = np.maximum(np.ceil(fraction * long.lengths).astype(np.int64), least)
    check_lengths(long, horizon, held)
    return long.cut(np.zeros_like(held), long.lengths - held), held


def divided(
    prepared: Prepared,
    geometry: Geometry,
    held: npt.NDArray[np.int64],
    options: Mapping[str, Any],
) -> tuple[Windows, Windows | None]:
    """Windows whose steps ahead come before what is held back, and those within it."""
    learned = np.diff(prepared.offsets) - held
    series, ends = ends_of(prepared, geometry, until=learned)
    if not len(series):
        raise DataError(
            f"no series has a window with anything observed in the {geometry.horizon} steps behind"
        )
    drawn = options["windows_per_series"]
    if drawn is None and len(series) > _MOST_WINDOWS:
        drawn = max(1, _MOST_WINDOWS // len(np.unique(series)))
    seed = options["random_state"]
    training = Windows(prepared, geometry, series, ends, drawn=drawn, seed=seed)
    if not held.any():
        return training, None
    validation = Windows(prepared, geometry, *ends_of(prepared, geometry, since=learned))
    if not len(validation):
        raise DataError(
            "nothing was observed in the steps that are kept for validation; give a greater "
            "validation_fraction, or 0"
        )
    return training, validation


def calibrating(validation: Windows, options: Mapping[str, Any]) -> Windows:
    """The windows that intervals are made as wide by: all that lies behind them was observed.

    Raises
    ------
    SettingError
        There are too few for a level.
    """
    horizon, prepared = options["horizon"], validation.prepared
    room = np.diff(prepared.offsets)[validation.series] - validation.ends
    seen = np.concatenate([[0], np.cumsum(prepared.observed)])
    first = prepared.offsets[validation.series] + validation.ends
    observed = seen[np.minimum(first + horizon, len(seen) - 1)] - seen[first]
    reached = room >= max(horizon, validation.geometry.horizon)
    (whole,) = np.nonzero(reached & (observed == horizon))
    for level in options["levels"]:
        margin_place(level / 100, min(len(whole), _MOST_CALIBRATION))
    keep = np.linspace(0, len(whole) - 1, min(len(whole), _MOST_CALIBRATION))
    return validation.take(whole[np.unique(keep.astype(np.int64))])


def windows_ahead(
    long: LongForm,
    horizon: int,
    facts: ForecasterFacts,
    options: Mapping[str, Any],
    future: Any = None,
) -> Windows:
    """The last window of each series, with what is known of the steps ahead.

    Raises
    ------
    DataError
        Nothing was observed in it, or what must be known ahead is not.
    """
    geometry = geometry_of(facts, options)
    whole = extended(long, horizon, max(horizon, geometry.horizon), facts, future)
    prepared = prepare(whole, facts, options)
    windows = Windows(prepared, geometry, np.arange(len(long)), long.lengths)
    _check_observed(long, windows)
    return windows


def check_lengths(long: LongForm, horizon: int, held: npt.NDArray[np.int64]) -> None:
    """Raise a `DataError` for a series that has nothing left to learn from."""
    short = long.lengths - held <= horizon
    if short.any():
        at = int(np.argmax(short))
        kept = f", of which {held[at]} are kept for validation" if held[at] else ""
        raise DataError(
            f"the series {long.ids[at]!r} has {long.lengths[at]} steps{kept}; a horizon of "
            f"{horizon} needs at least {horizon + 1} to learn from. Leave it out, or forecast less "
            f"far ahead"
        )


def _check_observed(long: LongForm, windows: Windows) -> None:
    """Raise a `DataError` for a series with a window in which nothing was observed."""
    begin = windows.prepared.offsets[:-1]
    seen = np.concatenate([[0], np.cumsum(windows.prepared.observed)])
    last = seen[begin + windows.ends]
    first = seen[begin + np.maximum(windows.ends - windows.geometry.window, 0)]
    if (last == first).any():
        label = long.ids[int(np.argmax(last == first))]
        raise DataError(
            f"the series {label!r} has nothing observed in the last {windows.geometry.window} steps"
        )
