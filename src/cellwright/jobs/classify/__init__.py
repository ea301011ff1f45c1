"""Many to one: telling which class a sequence belongs to."""

from cellwright.jobs.classify.estimator import ClassifierFacts, SequenceClassifier
from cellwright.jobs.classify.job import JOB

__all__ = ["JOB", "ClassifierFacts", "SequenceClassifier"]
