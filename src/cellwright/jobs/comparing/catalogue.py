"""The jobs whose cells can be compared. A further one is a further line of `_JOBS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from cellwright.errors import SettingError, did_you_mean
from cellwright.jobs.comparing.classifying import Classify
from cellwright.jobs.comparing.task_learning import LearnTask, task_names
from cellwright.jobs.comparing.trials import ComparableJob

__all__ = ["find_job", "job_names"]

# Text that the user gives, options, and the seconds of a training -> job.
_Make: TypeAlias = Callable[[str, Mapping[str, Any], "float | None"], ComparableJob]
_JOBS: dict[str, _Make] = {
    "classify": lambda text, given, seconds: Classify(given, seconds),
    **dict.fromkeys(task_names(), LearnTask),
}


def job_names() -> list[str]:
    """Names of all jobs whose cells can be compared."""
    return list(_JOBS)


def find_job(text: str, given: Mapping[str, Any], seconds: float | None = None) -> ComparableJob:
    """A job with the options that hold for all cells.

    Parameters
    ----------
    text
        One of `job_names`; a task also with options of its own, as in ``adding:steps=600``.
    given
        The options that are asked for; the others have their defaults.
    seconds
        Budget of one training, where it is one of time.

    Raises
    ------
    SettingError
        There is no such job, it has no such option, or a value is not allowed.
    """
    known = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if seconds is not None and not (known and 0 < seconds < math.inf):
        raise SettingError(f"seconds={seconds!r}: a budget of time is more than 0, and has an end")
    name = str(text).partition(":")[0].strip()
    if name not in _JOBS:
        raise SettingError(
            f"there is no job {name!r} to compare cells on.{did_you_mean(name, _JOBS)} "
            f"Known: {', '.join(_JOBS)}"
        )
    return _JOBS[name](str(text), given, seconds)
