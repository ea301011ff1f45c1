"""The backends, best first. Capability is data: each answers yes, or no and why."""

from cellwright.backends.contract import (
    Answer,
    Backend,
    Call,
    Kernel,
    Result,
    Weights,
    announce,
    are_autocast,
    are_batched,
    check_weights,
)
from cellwright.backends.cpu import CpuBackend
from cellwright.backends.opaque import opaque
from cellwright.backends.reference import ReferenceBackend

__all__ = [
    "BACKENDS",
    "Answer",
    "Backend",
    "Call",
    "Kernel",
    "Result",
    "Weights",
    "announce",
    "are_autocast",
    "are_batched",
    "check_weights",
    "opaque",
]

BACKENDS: dict[str, Backend] = {
    backend.name: backend for backend in (CpuBackend(), ReferenceBackend())
}
