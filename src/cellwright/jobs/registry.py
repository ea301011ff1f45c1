"""Every job there is, by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cellwright.errors import SettingError, did_you_mean
from cellwright.jobs.options import (
    caption,
    classify,
    forecast,
    gan,
    label,
    language,
    regress,
    transcribe,
    translate,
)
from cellwright.jobs.options.entry import Entry

if TYPE_CHECKING:
    from cellwright.jobs.job import Job

__all__ = ["ENTRIES", "entry_of", "job_of"]

# In the order in which they are shown, a line each.
_ALL: tuple[Entry, ...] = (
    classify.ENTRY,
    regress.ENTRY,
    forecast.ENTRY,
    gan.ENTRY,
    label.ENTRY,
    translate.ENTRY,
    transcribe.ENTRY,
    caption.ENTRY,
    language.ENTRY,
)  # fmt: skip

ENTRIES = {entry.name: entry for entry in _ALL}


def entry_of(name: str) -> Entry:
    """What is known of a job before it is imported.

    Raises
    ------
    SettingError
        There is no job of that name.
    """
    if name not in ENTRIES:
        raise SettingError(f"there is no job {name!r}.{did_you_mean(name, ENTRIES)}")
    return ENTRIES[name]


def job_of(name: str) -> Job[Any, Any]:
    """A job, imported if need be."""
    job: Job[Any, Any] = import_module(entry_of(name).module).JOB
    return job
