"""The machine, what is installed on it, and who else is using it."""

from __future__ import annotations

import os
import platform
import shutil
import time
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

__all__ = ["BUSY", "Load", "compiler", "cores", "describe", "installed", "others_now"]

# Cores that other processes may use before the machine counts as busy.
BUSY = 0.1
PACKAGES = ("cellwright", "torch", "numpy", "onnxruntime", "onnx", "jax", "jaxlib")
# What decides how fast a matrix product can be.
FLAGS = ("fma", "avx", "avx2", "avx512", "avx_", "amx", "f16c", "asimd", "sve", "neon", "bf16")


class Load:
    """Who used the processor since this was made."""

    def __init__(self) -> None:
        self.start, self.all, self.own = time.perf_counter(), _busy(), _own()

    def others(self) -> float:
        """Cores that processes other than this one and its finished children kept busy."""
        seconds = time.perf_counter() - self.start
        busy = (_busy() - self.all) - (_own() - self.own)
        return round(max(busy, 0.0) / seconds, 3) if seconds else 0.0


def others_now(seconds: float = 1.0) -> float:
    """Cores that other processes are using."""
    load = Load()
    time.sleep(seconds)
    return load.others()


def _own() -> float:
    return sum(os.times()[:4])


def _busy() -> float:
    """Seconds that all cores were busy since boot; NaN where nobody tells."""
    stat = Path("/proc/stat")
    if stat.exists():
        # user nice system idle iowait irq softirq steal
        fields = [int(word) for word in stat.read_text().split("\n", 1)[0].split()[1:9]]
        return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
    if not installed("psutil"):
        return float("nan")
    import psutil  # noqa: PLC0415 only where there is no /proc

    times = psutil.cpu_times()
    return sum(times) - times.idle


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return find_spec(package) is not None


@cache
def compiler() -> list[str] | None:
    """The system's C++ compiler, or None."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and shutil.which(name.split()[0]):
            return name.split()
    return None


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """Processor, cores, threads and versions."""
    versions = {name: metadata.version(name) if installed(name) else None for name in PACKAGES}
    info = _cpuinfo()
    words = info.get("flags", info.get("Features", "")).split()
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "flags": sorted({word for word in words if word.startswith(FLAGS)}),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "torch_threads": torch.get_num_threads(),
    }


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    lines = path.read_text().split("\n\n", 1)[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
