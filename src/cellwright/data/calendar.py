"""What a date says of itself: its place in the day, the week and the year."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.errors import DataError, SettingError

__all__ = ["CALENDAR", "calendar_features", "infer_frequency", "season_of", "usual_calendar"]

_PERIODS = {
    "minute": lambda at: at.minute / 60,
    "hour": lambda at: (at.hour + at.minute / 60) / 24,
    "day_of_week": lambda at: at.day_of_week / 7,
    "day_of_month": lambda at: (at.day - 1) / at.days_in_month,
    "month": lambda at: (at.month - 1) / 12,
    "day_of_year": lambda at: (at.day_of_year - 1) / 365.25,
}
CALENDAR = tuple(_PERIODS)
"""Names of what can be read off a date."""

_ENOUGH = 12
_USUAL = 0.5
_WIDE_MINUTES, _MINUTES_OF_A_DAY = 5, 24 * 60
_MOST_TRIES = 50


def calendar_features(times: pd.Index, names: Sequence[str]) -> npt.NDArray[np.float64]:
    r"""Where each date stands in these cycles, (time, 2 × names).

    $$\sin 2\pi p, \quad \cos 2\pi p$$

    with the phase $p$ in [0, 1), so that 23:00 is as near to midnight as 01:00.

    Raises
    ------
    SettingError
        The times are numbers, not dates.

    Examples
    --------
    >>> calendar_features(pd.DatetimeIndex(["2024-01-01 06:00"]), ["hour"]).round(3)
    array([[1., 0.]])
    """
    if not names:
        return np.empty((len(times), 0))
    if not isinstance(times, pd.DatetimeIndex):
        raise SettingError(
            f"calendar={', '.join(names)}: ds holds numbers, and only a date has a calendar"
        )
    phases = np.stack([np.asarray(_PERIODS[name](times), float) for name in names], axis=1)
    angles = 2 * np.pi * phases
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(times), -1)


def usual_calendar(frequency: str | int) -> tuple[str, ...]:
    """The cycles that series of that frequency usually follow; none where steps are numbers."""
    if isinstance(frequency, int):
        return ()
    return {
        "minute": ("hour", "day_of_week"),
        "hour": ("hour", "day_of_week", "day_of_year"),
        "day": ("day_of_week", "day_of_year"),
        "week": ("day_of_year",),
        "month": ("month",),
        "quarter": ("month",),
    }.get(_unit(frequency)[0], ())


def season_of(frequency: str | int) -> int:
    """Steps of the usual season: 24 of hours, 7 of days, 12 of months; 1 for none.

    Of minutes it is the hour, from five minutes on the day.

    Examples
    --------
    >>> season_of("h"), season_of("2h"), season_of("MS"), season_of(1)
    (24, 12, 12, 1)
    """
    if isinstance(frequency, int):
        return 1
    unit, multiple = _unit(frequency)
    seasons = {"minute": 60, "hour": 24, "day": 7, "business day": 5, "week": 52}
    steps = seasons | {"month": 12, "quarter": 4}
    whole = steps.get(unit, 1)
    if unit == "minute" and multiple >= _WIDE_MINUTES:
        whole = _MINUTES_OF_A_DAY
    return whole // multiple if whole % multiple == 0 else 1


def _inferred(times: pd.DatetimeIndex) -> str | None:
    with warnings.catch_warnings():
        # pandas 3 tells by a warning that it will return an object in the place of its name.
        warnings.simplefilter("ignore")
        found: Any = pd.infer_freq(times)
    return None if found is None else str(getattr(found, "freqstr", found))


def _unit(frequency: str) -> tuple[str, int]:
    offset = pd.tseries.frequencies.to_offset(frequency)
    if offset is None:
        return "none", 1
    name = offset.rule_code.partition("-")[0]
    named = {
        **{"min": "minute", "h": "hour", "D": "day", "B": "business day", "W": "week"},
        **{"MS": "month", "ME": "month", "BMS": "month", "BME": "month"},
        **{"QS": "quarter", "QE": "quarter", "BQS": "quarter", "BQE": "quarter"},
    }
    return named.get(name, "none"), int(offset.n)


def _apart(parts: Sequence[pd.Index], *, on_the_wall: bool) -> npt.NDArray[np.timedelta64]:
    """How far apart dates are: by the clock on the wall one day is as long as another."""
    dates = [pd.DatetimeIndex(part) for part in parts]
    if not on_the_wall and dates[0].tz is not None:
        dates = [each.tz_convert("UTC") for each in dates]
    return np.concatenate([np.diff(each.tz_localize(None).to_numpy()) for each in dates])


def infer_frequency(parts: Sequence[pd.Index], name: str = "df") -> str | int:
    """The frequency that the times of several series have in common.

    Parameters
    ----------
    parts
        For each series its times, ascending: dates, or whole numbers.
    name
        What the user calls the table.

    Returns
    -------
    str or int
        pandas' name of the frequency, such as ``"h"`` or ``"MS"``, or the step of the numbers.

    Raises
    ------
    DataError
        No series is long and regular enough to tell.
    """
    if not isinstance(parts[0], pd.DatetimeIndex):
        steps = np.concatenate([np.diff(part.to_numpy()) for part in parts])
        return int(steps.min()) if len(steps) else 1
    # Where there are gaps, a stretch without one tells.
    stretches = (
        part[start : start + _ENOUGH]
        for part in sorted(parts, key=len, reverse=True)
        for start in range(0, max(1, len(part) - _ENOUGH + 1), _ENOUGH)
    )
    for stretch in islice(stretches, _MOST_TRIES):
        found = _inferred(pd.DatetimeIndex(stretch)) if len(stretch) >= 3 else None
        if found is not None:
            return found
    steps = _apart(parts, on_the_wall=True)
    if len(steps) and steps.min() < np.timedelta64(1, "D"):
        steps = _apart(parts, on_the_wall=False)
    if len(steps) and (steps == steps.min()).mean() >= _USUAL:
        least = pd.Timedelta(steps.min())
        days = pd.offsets.Day(least.days)  # not 24 hours, which a day of the clock need not have
        whole = least == pd.Timedelta(days=least.days)
        return str((days if whole else pd.tseries.frequencies.to_offset(least)).freqstr)
    raise DataError(
        f"{name}: how far apart its dates are cannot be told from them; say it, such as "
        f"frequency='D' for days or 'MS' for months"
    )
