"""Networks made of the modules in `cellwright.nn`."""

from cellwright.models.classifier import ClassifierNetwork
from cellwright.models.stepwise import StepwiseNetwork

__all__ = ["ClassifierNetwork", "StepwiseNetwork"]
