"""Showing progress: live on a terminal, plain lines in a pipe, JSON lines, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from cellwright.jobs.training.reporting import Progress, Reporter
from cellwright.storage import json_text

__all__ = ["choose_reporter", "waiting"]


class ClosableReporter(Reporter):
    """A reporter that may hold the terminal until it is closed."""

    def close(self) -> None:
        """Give the terminal back."""


class JsonReporter(ClosableReporter):
    """One JSON object a line; the last one is the result."""

    def started(self, description: dict[str, Any]) -> None:
        """Say what begins."""
        self._print({"event": "started", **description})

    def epoch_finished(self, row: dict[str, Any]) -> None:
        """Say how the epoch went."""
        self._print({"event": "epoch", **row})

    def testing(self) -> None:
        """Say that the test begins."""
        self._print({"event": "testing"})

    def finished(self, result: dict[str, Any]) -> None:
        """Say how it ended."""
        self._print(result)

    def note(self, message: str) -> None:
        """Say something that does not belong to the result."""
        print(message, file=sys.stderr)

    def _print(self, content: dict[str, Any]) -> None:
        print(json_text(content), flush=True)


class LineReporter(ClosableReporter):
    """A line for each epoch."""

    def started(self, description: dict[str, Any]) -> None:
        """Say what begins."""
        d = description
        told = {"train": "to learn from", "test": "to test"}
        facts = [f"{d[name]} {words}" for name, words in told.items() if name in d]
        known = {*told, "job", "data", "cell", "layers", "run"}
        facts += [
            f"{value} {name.replace('_', ' ')}" for name, value in d.items() if name not in known
        ]
        network = f"; {d['cell']} [{', '.join(map(str, d['layers']))}]" if "cell" in d else ""
        self._print(f"{d['job']} {d['data']}: {', '.join(facts)}{network}")

    def epoch_finished(self, row: dict[str, Any]) -> None:
        """Say how the epoch went."""
        parts = [f"epoch {row['epoch']:>3}"]
        for part in ("train", "validation"):
            measures = [
                f"{name.removeprefix(f'{part}_')} {value:.4f}"
                for name, value in row.items()
                if name.startswith(f"{part}_")
            ]
            if measures:
                parts.append(f"{part} {' '.join(measures)}")
        parts.append(f"{row['seconds']:.2f} s")
        self._print("   ".join(parts))

    def finished(self, result: dict[str, Any]) -> None:
        """Say how it ended."""
        shown = "  ".join(f"{name} {_short(value)}" for name, value in result["test"].items())
        self._print(
            f"test {shown}   "
            f"{result['parameters']} parameters   trained in {result['seconds']:.1f} s"
        )
        self._print(f"{result['run']}/  {'  '.join(result.get('files', ()))}")

    def note(self, message: str) -> None:
        """Say something worth a line."""
        self._print(message)

    def _print(self, line: str) -> None:
        print(line, flush=True)


class TerminalReporter(LineReporter):
    """A line for each epoch, and below them a live bar."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[measures]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, measures="", speed="")

    def started(self, description: dict[str, Any]) -> None:
        """Say what begins, and start the bar."""
        super().started(description)
        self._bar.start()

    def advanced(self, progress: Progress) -> None:
        """Move the bar."""
        measures = "  ".join(f"{name} {value:.4f}" for name, value in progress.measures.items())
        self._bar.update(
            self._task,
            description=f"epoch {progress.epoch:>3}",
            completed=progress.samples,
            total=progress.total,
            measures=measures,
            speed=f"{progress.speed:,.0f}/s",
        )

    def testing(self) -> None:
        """Let a second bar run to and fro: nobody knows for how long."""
        self._bar.add_task("testing", total=None, measures="", speed="")
        self._bar.refresh()

    def finished(self, result: dict[str, Any]) -> None:
        """Take the bar away and say how it ended."""
        self.close()
        super().finished(result)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)


def _short(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on a terminal that something is under way, beside the output and until it is done."""
    console = Console(stderr=True)
    with console.status(what) if console.is_terminal else nullcontext():
        yield


def choose_reporter(*, quiet: bool, as_json: bool) -> ClosableReporter:
    """The reporter for what the user asked and where the output goes."""
    if quiet:
        return ClosableReporter()
    if as_json:
        return JsonReporter()
    return TerminalReporter() if sys.stdout.isatty() else LineReporter()
