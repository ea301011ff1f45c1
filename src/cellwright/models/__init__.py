"""Networks made of the modules in `cellwright.nn`."""

from cellwright.models.classifier import ClassifierNetwork

__all__ = ["ClassifierNetwork"]
