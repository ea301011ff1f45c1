"""Many to many, unaligned: writing down speech and handwriting."""

from __future__ import annotations

from cellwright.jobs.transcribe.estimator import Transcriber
from cellwright.jobs.transcribe.job import JOB

__all__ = ["JOB", "Transcriber"]
