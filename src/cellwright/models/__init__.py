"""Networks made of the modules in `cellwright.nn`."""

from cellwright.models.classifier import ClassifierNetwork
from cellwright.models.gan import GANNetwork
from cellwright.models.regressor import RegressorNetwork
from cellwright.models.stepwise import StepwiseNetwork

__all__ = ["ClassifierNetwork", "GANNetwork", "RegressorNetwork", "StepwiseNetwork"]
