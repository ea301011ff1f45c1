"""The backends, best first. Capability is data: each answers yes, or no and why."""

from cellwright.backends.contract import Answer, Backend, Call, Kernel, Result
from cellwright.backends.reference import ReferenceBackend

__all__ = ["BACKENDS", "Answer", "Backend", "Call", "Kernel", "Result"]

BACKENDS: dict[str, Backend] = {backend.name: backend for backend in (ReferenceBackend(),)}
