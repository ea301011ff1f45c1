"""Many to one: telling a number, or several, of a sequence."""

from cellwright.jobs.regress.estimator import RegressorFacts, SequenceRegressor
from cellwright.jobs.regress.job import JOB

__all__ = ["JOB", "RegressorFacts", "SequenceRegressor"]
