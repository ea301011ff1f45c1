"""The most floating-point operations a second that the processor can do, in float32."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from peers.machine import compiler

__all__ = ["fma_peak"]

SOURCE = Path(__file__).with_name("fma_peak.cpp")
WITHOUT_COMPILER = "of torch's matrix products, as there is no C++ compiler; may be well under it"
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-std=c++17", "-pthread")


def fma_peak(threads: int) -> dict[str, Any]:
    """GFLOP/s and how they were found: fused multiply-adds on registers, or torch's products."""
    command = compiler()
    found = _compiled(command, threads) if command else None
    if found is None:
        return {"gflops": _products(), "how": WITHOUT_COMPILER}
    return {"gflops": found, "how": f"multiply-adds on registers, {threads} threads"}


def _compiled(command: list[str], threads: int) -> float | None:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "fma_peak"
        build = [*command, *FLAGS, str(SOURCE), "-o", str(program)]
        if subprocess.run(build, capture_output=True, check=False).returncode:
            return None
        run = subprocess.run([program, str(threads)], capture_output=True, text=True, check=True)
    return float(run.stdout)


def _products() -> float:
    best = 0.0
    for size in (512, 1024, 2048):
        a, b = torch.randn(size, size), torch.randn(size, size)
        for _ in range(6):
            start = time.perf_counter()
            a @ b
            best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
    return round(best, 2)
