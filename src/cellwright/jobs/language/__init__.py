"""Many to many, synced: learning what comes next in text, and writing more of it."""

from __future__ import annotations

from cellwright.jobs.language.estimator import LanguageFacts, LanguageModel
from cellwright.jobs.language.job import JOB

__all__ = ["JOB", "LanguageFacts", "LanguageModel"]
