"""Running a compiler, and asking it what it is."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from threading import Lock
from typing import NamedTuple

__all__ = [
    "Outcome",
    "Programs",
    "check_interrupt",
    "first_lines",
    "out_of_space",
    "programs_of_the_caller",
    "run",
    "tell",
]

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

    Raises
    ------
    KeyboardInterrupt
        The caller was interrupted, here or in the thread that it has; see `beside`.
    """
    # In the C locale messages are the system's own, which `out_of_space` can recognize.
    environment = os.environ | {"LC_ALL": "C", "TMPDIR": str(work)}
    pipe = subprocess.PIPE
    programs = _programs.get() or Programs()
    programs.check()
    try:
        # A group of its own, because a compiler starts programs, which are to end with it.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(-1, "", f"it cannot be started: {error.strerror}")
    with process, programs.holding(process):
        try:
            output, errors = _wait(process, limit, what)
        except subprocess.TimeoutExpired:
            _end(process)
            return Outcome(-1, "", f"it took longer than {limit:g} s", late=True)
        except BaseException:
            _end(process)
            raise
    programs.check()
    if process.returncode < 0:
        errors += f"it was ended by signal {-process.returncode}"
    return Outcome(process.returncode, output, errors)


class Programs:
    """The programs that run for one caller, in whichever thread, and end together."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._lock = Lock()

    @contextmanager
    def holding(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Count a program among them for a while."""
        with self._lock:
            self._running.add(process)
            too_late = self._stopped
        try:
            if too_late:
                _end(process)
            yield
        finally:
            with self._lock:
                self._running.discard(process)

    def stop(self) -> None:
        """End all of them; no other will be started."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _end(process)

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if they were stopped: then nothing is to be concluded."""
        if self._stopped:
            raise KeyboardInterrupt


_programs: ContextVar[Programs | None] = ContextVar("_programs", default=None)


@contextmanager
def programs_of_the_caller() -> Iterator[Programs]:
    """Count what is run within among one caller's programs: those of a caller further out."""
    programs = _programs.get() or Programs()
    token = _programs.set(programs)
    try:
        yield programs
    finally:
        _programs.reset(token)


def check_interrupt() -> None:
    """Raise `KeyboardInterrupt` if the caller, who is in another thread, was interrupted."""
    if programs := _programs.get():
        programs.check()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and those that it has started, unless it has ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


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
