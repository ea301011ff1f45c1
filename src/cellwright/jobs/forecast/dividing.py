"""Which windows are learned from, and which are kept to watch and to calibrate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.data.long_form import LongForm
from cellwright.errors import DataError, SettingError
from cellwright.jobs.forecast.preparing import ends_of
from cellwright.jobs.forecast.windows import Geometry, Prepared, Windows

__all__ = ["check_lengths", "check_observed", "divided", "held_back"]

_MOST_WINDOWS = 20_000


def held_back(long: LongForm, options: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """Steps at the end of each series that are not learned from, (series,).

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
        held = np.maximum(np.ceil(fraction * long.lengths).astype(np.int64), horizon)
    check_lengths(long, horizon, held)
    return held


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
    return training, Windows(prepared, geometry, *ends_of(prepared, geometry, since=learned))


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


def check_observed(long: LongForm, windows: Windows) -> None:
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
