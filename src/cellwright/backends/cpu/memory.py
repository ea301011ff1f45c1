"""Memory as kernels read and write it, by address.

What a forward pass saves, and gradients, come in large pages if there are any. A fresh block of
memory costs a page fault for every page that is touched first, which for a long batch took
longer than computing it. Blocks that nobody holds any more are therefore kept for whoever asks
next, up to a limit.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

__all__ = ["empty", "readable", "room", "zeros"]

_SMALLEST = 1 << 20  # what is less comes out of the ordinary heap without a page fault
_ROUND = 1 << 21  # a large page
_KEPT = 1 << 30  # bytes that wait for their next use at most

# No lock: taking, adding and removing an entry are each one step of the interpreter, and a
# block may come back while another one is being taken, from a thread or from the collector.
_free: deque[mmap.mmap] = deque()


def empty(*arguments: Any) -> Tensor:
    """An uninitialised tensor; called as ``empty(*shape, dtype)``."""
    shape, dtype = arguments[:-1], arguments[-1]
    numbers = math.prod(shape)
    size = numbers * dtype.itemsize
    if size < _SMALLEST:
        return torch.empty(shape, dtype=dtype, device="cpu")
    pages = _take((size + _ROUND - 1) // _ROUND * _ROUND)
    # The tensor keeps the block alive, and its end gives the pages back.
    block = _block_type(len(pages)).from_buffer(pages)
    block.pages = pages
    # Given its shape in place: autograd would treat a view as one when it is changed in place.
    return torch.frombuffer(block, dtype=dtype, count=numbers).resize_(shape)


def room(*shape: int, dtype: torch.dtype) -> Callable[[], Tensor]:
    """What makes uninitialised tensors of one shape, again and again."""
    if math.prod(shape) * dtype.itemsize >= _SMALLEST:
        return partial(empty, *shape, dtype)
    # In half the time that reading the shape from numbers takes.
    return partial(torch.empty_like, _number(dtype).expand(shape))


@lru_cache
def _number(dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.empty(1, dtype=dtype, device="cpu")


def zeros(rows: int, units: int, dtype: torch.dtype) -> Tensor:
    """Zeros that nobody may write to, because all that are asked for are the same ones."""
    count = rows * units
    known = _zeros.get(dtype)
    if known is None or len(known) < count:
        # A gradient may refer to them, which it could not if they came of inference mode.
        with torch.inference_mode(False):
            known = _zeros[dtype] = torch.zeros(count, dtype=dtype, device="cpu")
    return known[:count].view(rows, units)


_zeros: dict[torch.dtype, Tensor] = {}


def readable(tensor: Tensor) -> Tensor:
    """A tensor that can be read by its address: itself, or a copy without gaps and signs to come.

    It has to be held for as long as it is read.
    """
    if tensor.is_contiguous() and not tensor.is_neg():  # asked in a tenth of the time
        return tensor
    return tensor.resolve_neg().contiguous()


def _take(size: int) -> mmap.mmap:
    for pages in tuple(_free):
        # Not one that is much too large: it would be missing elsewhere.
        if size <= len(pages) <= size + size // 4:
            try:
                _free.remove(pages)
            except ValueError:  # somebody else has taken it in between
                continue
            return pages
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


def _give_back(pages: mmap.mmap) -> None:
    _free.append(pages)
    while sum(map(len, tuple(_free))) > _KEPT:
        with suppress(IndexError):
            _free.popleft()


class _Returned:
    """What makes a ctypes array give its pages back at its end."""

    pages: mmap.mmap

    def __del__(self) -> None:
        _give_back(self.pages)


_types: dict[int, Any] = {}


def _block_type(size: int) -> Any:
    if size not in _types:
        _types[size] = type("Block", (_Returned, ctypes.c_char * size), {})
    return _types[size]


# What waits when a process is forked belongs to the parent: to write there, the child would
# have to copy it first.
os.register_at_fork(after_in_child=_free.clear)
