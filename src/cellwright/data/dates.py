"""Dates that are written with numbers alone, of which a day may come first."""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["day_first"]

_NUMBERS = r"^\s*(\d{1,2})([./-])(\d{1,2})\2\d{4}\b"
_MONTHS = 12


def day_first(texts: pd.Series[Any]) -> bool:
    """Whether dates such as 03/04/2024 name the day before the month.

    A number above 12 is a day, wherever it stands. Where there is none, dates with dots start
    with the day, as everyone who writes dots writes them, and others with the month.

    Examples
    --------
    >>> day_first(pd.Series(["01.02.2024", "01.03.2024"]))
    True
    >>> day_first(pd.Series(["01/02/2024", "01/03/2024"]))
    False
    >>> day_first(pd.Series(["01/02/2024", "13/02/2024"]))
    True
    """
    found = texts.dropna().astype(str).str.extract(_NUMBERS)
    if found.empty or found[0].isna().any():
        return False
    first, second = (found[at].astype(int).max() for at in (0, 2))
    dots = bool((found[1] == ".").all())
    return bool(second <= _MONTHS and (first > _MONTHS or dots))
