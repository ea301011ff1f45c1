"""Read-only views: what a network remembers, and how a training went."""

from cellwright.look.recording import Tape, record

__all__ = ["Tape", "record"]
