"""Cells as fused kernels for the CPU: from a plan to C++, compiled, and called from torch."""

from cellwright.backends.cpu.backend import CpuBackend

__all__ = ["CpuBackend"]
