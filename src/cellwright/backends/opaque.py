"""Work that torch.compile is to do once while it compiles, not to look into."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["opaque"]

_Function = TypeVar("_Function", bound=Callable[..., object])


def opaque(function: _Function) -> _Function:
    """Mark a function whose result torch.compile takes for a constant.

    It is what `torch.compiler.assume_constant_result` does, which imports the compiler to do
    it: a second, for everybody who compiles nothing.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
