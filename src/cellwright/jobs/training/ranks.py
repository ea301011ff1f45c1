"""Which of several processes this is, as torchrun says in the environment."""

from __future__ import annotations

import os

__all__ = ["count_wanted", "is_first", "local_rank"]


def count_wanted() -> int:
    """How many processes there are to be."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes files and talks; always, where it is alone."""
    return count_wanted() == 1 or int(os.environ["RANK"]) == 0


def local_rank() -> int | None:
    """Which of this machine's devices is this process's own; None where it is alone."""
    return int(os.environ.get("LOCAL_RANK", "0")) if count_wanted() > 1 else None
