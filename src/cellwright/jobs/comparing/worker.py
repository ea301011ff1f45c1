"""A process that does runs for a comparison, one after the other.

It reads what to do as JSON lines from its standard input and answers on its standard output.
When the input ends, because the comparison is over, was interrupted or was killed, the
process ends at once: every file of a run is whole at any time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

import torch

from cellwright.errors import CellwrightError, TrainingError
from cellwright.jobs.comparing.catalogue import find_job
from cellwright.jobs.comparing.outcomes import write_failure
from cellwright.jobs.comparing.trials import Trial
from cellwright.jobs.runs.cell_texts import as_cell
from cellwright.jobs.runs.folder import RunFolder
from cellwright.jobs.training.reporting import Progress, Reporter

__all__ = ["main"]

_BETWEEN_REPORTS = 0.2  # seconds


def main(threads: int) -> None:
    """Do what stands on the standard input, until it ends."""
    # What a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tell = _Answers(answers)
    _tell_of_warnings(tell)
    torch.set_num_threads(threads)
    tasks: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, tasks), daemon=True).start()
    while True:
        tell(**_done(tasks.get(), tell))


class _Answers:
    """Writes events, a JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, **event: Any) -> None:
        with self._lock:
            try:
                print(json.dumps(event), file=self._stream, flush=True)
            except BrokenPipeError:  # nobody listens any more
                os._exit(1)


def _read(stream: TextIO, tasks: SimpleQueue[dict[str, Any]]) -> None:
    for line in stream:
        tasks.put(json.loads(line))
    os._exit(0)


def _tell_of_warnings(tell: Callable[..., None]) -> None:
    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if issubclass(category, UserWarning):
            tell(event="note", message=str(message))

    warnings.showwarning = show  # type: ignore[assignment]


def _done(task: dict[str, Any], tell: Callable[..., None]) -> dict[str, Any]:
    """Do a task; return the event that says how it ended."""
    try:
        job = find_job(task["job"], task["settings"], task["seconds"])
        trial = Trial(as_cell(task["cell"]), tuple(task["layers"]), task["seed"], task["samples"])
        if task["kind"] == "probe":
            return {"event": "finished", "samples": job.samples_in(task["seconds"], trial)}
        job.run(trial, RunFolder(Path(task["folder"])), _Reporter(tell))
    except TrainingError as error:
        # It would come to this again, because everything random has its seed.
        if task["kind"] == "run":
            write_failure(Path(task["folder"]), str(error))
        return {"event": "failed", "reason": str(error), "for_good": True}
    except (CellwrightError, OSError) as error:
        return {"event": "failed", "reason": str(error)}
    except Exception as error:  # a run may fail in any way, and the others go on
        return {"event": "failed", "reason": f"{type(error).__name__}: {error}"}
    return {"event": "finished"}


class _Reporter(Reporter):
    """Tells the comparison how far a run is."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._last = 0.0

    def advanced(self, progress: Progress) -> None:
        """Tell now and then."""
        now = time.monotonic()
        if now - self._last >= _BETWEEN_REPORTS:
            self._last = now
            self._tell(
                event="progress",
                done=progress.samples / max(1, progress.total),
                seconds_left=progress.seconds_left,
            )
