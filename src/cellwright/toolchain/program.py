"""Running a compiler, and asking it what it is."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

__all__ = ["first_lines", "out_of_space", "run"]

# What the compiler writes when it is the disk's fault and not the source's.
_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def run(command: tuple[str, ...], work: Path, timeout: float | None = None) -> tuple[int, str, str]:
    """Run a program with its temporary files in `work`; returns code, output, errors.

    A program that cannot be started, or takes too long, has code -1 and the reason as errors.
    """
    # In the C locale messages are the system's own, which `out_of_space` can recognize.
    environment = os.environ | {"LC_ALL": "C", "TMPDIR": str(work)}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, "", f"it took longer than {timeout:.0f} s"
    except OSError as error:
        return -1, "", f"it cannot be started: {error.strerror}"
    output, errors = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    if done.returncode < 0:
        errors += f"it was ended by signal {-done.returncode}"
    return done.returncode, output, errors


def out_of_space(errors: str) -> OSError | None:
    """The system's error, if a compiler's words say that it could not write its output."""
    for code in _SPACE:
        if os.strerror(code) in errors:
            return OSError(code, os.strerror(code))
    return None


def first_lines(text: str, number: int) -> str:
    """The first lines, and how many there are more."""
    lines = text.strip().splitlines()
    more = len(lines) - number
    return "\n".join(lines[:number] + ([f"… and {more} lines more"] if more > 0 else []))
