"""Options of jobs: each written once, with its type, bounds, meaning and default.

From here the estimators get their arguments, the command line its flags, and the
configuration file of a run its entries. Nothing here imports torch.
"""

from cellwright.jobs.options.base import (
    Fraction,
    NetworkOptions,
    Rate,
    TrainingOptions,
    Units,
    option_types,
    validated,
)
from cellwright.jobs.options.classify import ClassifierOptions
from cellwright.jobs.options.entry import Entry

__all__ = [
    "ClassifierOptions",
    "Entry",
    "Fraction",
    "NetworkOptions",
    "Rate",
    "TrainingOptions",
    "Units",
    "option_types",
    "validated",
]
