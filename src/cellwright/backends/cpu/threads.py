"""The entry point of torch's own threads, if it can be found."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

__all__ = ["openmp"]


@cache
def _found() -> tuple[int, int]:
    """Addresses of GOMP_parallel and omp_get_num_threads in the OpenMP that torch has loaded."""
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return 0, 0  # not Linux
    names = ("libgomp", "libiomp5", "libomp")
    paths = {line.split()[-1] for line in maps.splitlines() if "/" in line}
    for path in sorted(paths):
        if Path(path).name.startswith(names):
            library = ctypes.CDLL(path)
            if hasattr(library, "GOMP_parallel") and hasattr(library, "omp_get_num_threads"):
                parallel = ctypes.cast(library.GOMP_parallel, ctypes.c_void_p).value
                count = ctypes.cast(library.omp_get_num_threads, ctypes.c_void_p).value
                return parallel or 0, count or 0
    return 0, 0


_forked = False


def _after_fork() -> None:
    global _forked  # noqa: PLW0603
    _forked = True


os.register_at_fork(after_in_child=_after_fork)


def openmp() -> tuple[int, int]:
    """Addresses of OpenMP's entry points; zeros where they cannot be used.

    OpenMP's threads do not survive a fork, and waiting for them would never end.
    """
    return (0, 0) if _forked else _found()
