"""Many to many: a label, several labels or a number at every step of a sequence."""

from cellwright.jobs.label.estimator import LabelerFacts, SequenceLabeler
from cellwright.jobs.label.job import JOB
from cellwright.jobs.label.stream import LabelStream

__all__ = ["JOB", "LabelStream", "LabelerFacts", "SequenceLabeler"]
