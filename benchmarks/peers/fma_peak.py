"""The most that the processor can do in float32, and whether it does it at this moment.

Two cores of a virtual machine may be two threads of one core for some seconds, and others may
use the cores beside us, neither of which any counter tells. So whoever is timed is timed between
two short looks at how fast multiply-adds are.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch

from peers.machine import compiler

__all__ = ["at_full_speed", "fma_peak"]

SOURCE = Path(__file__).with_name("fma_peak.cpp")
WITHOUT_COMPILER = "of torch's matrix products, as there is no C++ compiler; may be well under it"
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-std=c++17", "-pthread", "-shared", "-fPIC")
TURNS, STEPS = 60, 1_000_000
# A look: some 0.2 ms.
SHORT = 50_000
# Of the peak. Two threads of one core do half of what two cores do.
FULL_SPEED = 0.85


@cache
def fma_peak(threads: int) -> dict[str, Any]:
    """GFLOP/s and how they were found: fused multiply-adds on registers, or torch's products."""
    if (library := _library()) is None:
        return {"gflops": _products(), "how": WITHOUT_COMPILER}
    best = max(library.fma_rate(threads, STEPS) for _ in range(TURNS))
    return {"gflops": round(best, 2), "how": f"multiply-adds on registers, {threads} threads"}


def at_full_speed(threads: int) -> bool:
    """Whether so many cores do now what they can; True where there is no way to tell."""
    library = _library()
    if library is None:
        return True
    return library.fma_rate(threads, SHORT) >= FULL_SPEED * fma_peak(threads)["gflops"]


@cache
def _library() -> Any:
    """The compiled probe, or None without a compiler."""
    command = compiler()
    if command is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fma_peak.so"
        build = [*command, *FLAGS, str(SOURCE), "-o", str(path)]
        if subprocess.run(build, capture_output=True, check=False).returncode:
            return None
        library = ctypes.CDLL(str(path))
    library.fma_rate.argtypes = (ctypes.c_int, ctypes.c_long)
    library.fma_rate.restype = ctypes.c_double
    return library


def _products() -> float:
    best = 0.0
    for size in (512, 1024, 2048):
        a, b = torch.randn(size, size), torch.randn(size, size)
        for _ in range(6):
            start = time.perf_counter()
            a @ b
            best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
    return round(best, 2)
