"""The gradient of a step, as a graph: what flows back into it becomes what flows out of it."""

from cellwright.autodiff.derivative import Derivative, differentiate
from cellwright.autodiff.table import FLAT, GRADIENTS

__all__ = ["FLAT", "GRADIENTS", "Derivative", "differentiate"]
