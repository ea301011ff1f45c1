"""Networks made of the modules in `cellwright.nn`."""

from cellwright.models.captioner import CaptionerNetwork
from cellwright.models.classifier import ClassifierNetwork
from cellwright.models.forecaster import ForecasterNetwork
from cellwright.models.gan import GANNetwork
from cellwright.models.language import LanguageNetwork
from cellwright.models.regressor import RegressorNetwork
from cellwright.models.stepwise import StepwiseNetwork
from cellwright.models.tagger import TaggerNetwork
from cellwright.models.transcriber import TranscriberNetwork
from cellwright.models.translator import TranslatorNetwork

__all__ = [
    "CaptionerNetwork",
    "ClassifierNetwork",
    "ForecasterNetwork",
    "GANNetwork",
    "LanguageNetwork",
    "RegressorNetwork",
    "StepwiseNetwork",
    "TaggerNetwork",
    "TranscriberNetwork",
    "TranslatorNetwork",
]
