"""Running a compiler, and asking it what it is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["Outcome", "first_lines", "out_of_space", "run", "tell"]

_PATIENCE = 30.0  # seconds after which a user wants to know what is waited for

# What the compiler writes when it is the disk's fault and not the source's.
_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Outcome(NamedTuple):
    """How a program ended; one that could not be started, or took too long, has code -1."""

    code: int
    output: str
    errors: str
    late: bool = False


def run(command: tuple[str, ...], work: Path, limit: float, what: str) -> Outcome:
    """Run a program with its temporary files in `work`, for `limit` seconds at most.

    Whoever waits long for it is told `what` is being done.
    """
    # In the C locale messages are the system's own, which `out_of_space` can recognize.
    environment = os.environ | {"LC_ALL": "C", "TMPDIR": str(work)}
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
        )
    except OSError as error:
        return Outcome(-1, "", f"it cannot be started: {error.strerror}")
    with process:
        try:
            output, errors = _wait(process, limit, what)
        except subprocess.TimeoutExpired:
            process.kill()
            return Outcome(-1, "", f"it took longer than {limit:g} s", late=True)
        except BaseException:
            process.kill()
            raise
    if process.returncode < 0:
        errors += f"it was ended by signal {-process.returncode}"
    return Outcome(process.returncode, output, errors)


def _wait(process: subprocess.Popen[bytes], limit: float, what: str) -> tuple[str, str]:
    """What a program writes until it ends."""
    try:
        said = process.communicate(timeout=min(limit, _PATIENCE))
    except subprocess.TimeoutExpired:
        if limit <= _PATIENCE:
            raise
        tell(f"{what} has taken {_PATIENCE:g} s so far, and may take {limit:g} s")
        said = process.communicate(timeout=limit - _PATIENCE)
    output, errors = (text.decode(errors="replace") for text in said)
    return output, errors


def tell(message: str) -> None:
    """Say what is waited for; no warning, because nothing else is done than was asked for."""
    print(f"cellwright: {message}", file=sys.stderr, flush=True)


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
