"""Many to many, delayed: telling a text in other words."""

from cellwright.jobs.translate.estimator import Translation, Translator
from cellwright.jobs.translate.job import JOB

__all__ = ["JOB", "Translation", "Translator"]
