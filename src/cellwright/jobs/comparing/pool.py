"""Runs side by side, in processes of their own.

Each process is a fresh Python that is told what to do in JSON, and not a copy of this one:
so a comparison may be started from a script, a notebook or a shell, cells that were written
there come along as their equations, and nothing is pickled.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any, TypeAlias

__all__ = ["available_cores", "run_side_by_side"]

Task: TypeAlias = dict[str, Any]
Event: TypeAlias = dict[str, Any]
Tell: TypeAlias = Callable[[int, Event], None]

_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from cellwright.jobs.comparing.worker import main; main({threads})"
)
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_side_by_side(tasks: Sequence[Task], workers: int, threads: int, tell: Tell) -> None:
    """Do all tasks; when this returns or is interrupted, no process is left.

    Parameters
    ----------
    tasks
        What to do, as plain data.
    workers
        How many processes work at a time.
    threads
        Threads of each.
    tell
        Is given the number of a task and what happened to it: it started, went on, finished
        or failed.
    """
    pending = deque(enumerate(tasks))
    events: queue.Queue[tuple[_Worker, Event]] = queue.Queue()
    busy: dict[_Worker, int] = {}
    started: list[_Worker] = []

    def next_task(worker: _Worker | None) -> None:
        if not pending:
            return
        if worker is None:
            worker = _Worker(threads, events)
            started.append(worker)
        number, task = pending.popleft()
        busy[worker] = number
        tell(number, {"event": "started"})
        worker.send(task)

    try:
        for _ in range(min(workers, len(tasks))):
            next_task(None)
        while busy:
            worker, event = _next_event(events)
            if worker not in busy:
                continue
            tell(busy[worker], event)
            if event["event"] in ("finished", "failed"):
                del busy[worker]
                next_task(None if event.get("ended") else worker)
    finally:
        for worker in started:
            worker.end()


def _next_event(events: queue.Queue[tuple[_Worker, Event]]) -> tuple[_Worker, Event]:
    while True:
        try:
            # On Windows a wait without an end would not notice Ctrl-C.
            return events.get(timeout=0.5)
        except queue.Empty:
            continue


class _Worker:
    """One process and the thread that listens to it."""

    def __init__(self, threads: int, events: queue.Queue[tuple[_Worker, Event]]) -> None:
        self._events = events
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 lives as long as this
        program = _PROGRAM.format(path=sys.path, threads=threads)
        # Ctrl-C is the comparison's to handle: a terminal must not send it to the workers too.
        alone: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            env=os.environ | dict.fromkeys(_THREADS, str(threads)),
            **alone,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def send(self, task: Task) -> None:
        """Give it something to do."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, which the listener tells
            print(json.dumps(task), file=self._process.stdin, flush=True)

    def end(self) -> None:
        """End the process, whatever it does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._listener.join()
        self._process.stdout.close()
        with suppress(OSError):  # of what was not sent any more
            self._process.stdin.close()
        self._errors.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put((self, json.loads(line)))
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        last = self._last_error()
        reason = f"its process ended with {how}" + (f": {last}" if last else "")
        self._events.put((self, {"event": "failed", "reason": reason, "ended": True}))

    def _last_error(self) -> str:
        try:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").split("\n")
        except ValueError:  # closed, and nobody wants to know any more
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
