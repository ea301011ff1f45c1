"""Weights that are computed, as parametrised ones are, only once a call.

Torch's own ``parametrize.cached`` holds for all threads: what one computes without a gradient,
another one would learn from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

__all__ = ["Once", "computed_once"]

Found = TypeVar("Found")


class _Known(threading.local):
    values: dict[tuple[int, str], Any] | None = None


_known = _Known()


class Once:
    """While it is entered, what this thread computes is known from then on.

    Attributes
    ----------
    values
        What has been computed.
    """

    def __enter__(self) -> Once:
        self.values: dict[tuple[int, str], Any] = {}
        self._before, _known.values = _known.values, self.values
        return self

    def __exit__(self, *_: object) -> None:
        _known.values = self._before


def computed_once(module: nn.Module, name: str, compute: Callable[[], Found]) -> Found:
    """What is computed of a module, or what was when it was asked for first; see `Once`."""
    values = None if torch.compiler.is_compiling() else _known.values
    if values is None:
        return compute()
    key = id(module), name
    if key not in values:
        values[key] = compute()
    found: Found = values[key]
    return found
