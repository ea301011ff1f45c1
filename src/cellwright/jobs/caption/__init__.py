"""One to many: saying what is in a picture."""

from cellwright.jobs.caption.estimator import Caption, Captioner
from cellwright.jobs.caption.job import JOB

__all__ = ["JOB", "Caption", "Captioner"]
