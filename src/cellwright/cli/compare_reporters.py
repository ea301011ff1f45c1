"""Showing a comparison: a live table on a terminal, plain lines in a pipe, JSON, or nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from cellwright.jobs.comparing.contenders import RESULT_FILES
from cellwright.jobs.comparing.reporting import ComparisonReporter, RunState
from cellwright.jobs.comparing.wording import cells_of_table, number, number_of, sentences

if TYPE_CHECKING:
    from cellwright.jobs.comparing.comparison import Comparison

__all__ = ["choose_comparison_reporter"]

# What a narrow terminal goes without, first what matters least.
_LESS_IMPORTANT = (
    *("seconds", "sequences/s", "step", "layers", "parameters"),
    *("runs", "solved", "95 % interval"),
)
_GAP = 2  # between columns
_NARROWEST = 12  # that the names of cells are wrapped to


class QuietReporter(ComparisonReporter):
    """Says nothing, and knows whether anything was begun."""

    begun = False

    def started(self, description: dict[str, Any], runs: list[RunState]) -> None:
        """Remember that there is something to go on with."""
        self.begun = True

    def interrupted(self) -> None:
        """The user pressed Ctrl-C."""
        self.close()
        if self.begun:
            self.note("interrupted; the same command goes on from here")


class JsonReporter(QuietReporter):
    """One JSON object a line; the last one is the result."""

    def started(self, description: dict[str, Any], runs: list[RunState]) -> None:
        """Say what begins."""
        super().started(description, runs)
        self._print({"event": "started", **description})

    def changed(self, run: RunState) -> None:
        """Say how a run ended."""
        if run.state in ("finished", "failed"):
            names = ("cell", "seed", "state", "measure", "value", "seconds", "reason")
            known = {name: value for name, value in asdict(run).items() if name in names}
            self._print({"event": "run", **{k: v for k, v in known.items() if v is not None}})

    def finished(self, comparison: Comparison) -> None:
        """Say how it ended."""
        self._print(comparison.summary())

    def note(self, message: str) -> None:
        """Say something that does not belong to the result."""
        print(message, file=sys.stderr)

    def _print(self, content: dict[str, Any]) -> None:
        print(json.dumps(content, allow_nan=False), flush=True)


class LineReporter(QuietReporter):
    """A line for each run, and the table at the end."""

    def started(self, description: dict[str, Any], runs: list[RunState]) -> None:
        """Say what begins."""
        super().started(description, runs)
        self._print(_beginning(description))

    def changed(self, run: RunState) -> None:
        """Say how a run ended."""
        name = f"{run.cell}, seed {run.seed}"
        if run.state == "finished" and run.value is not None:
            self._print(f"{name}   {run.measure} {number(run.value)}   {run.seconds:.1f} s")
        elif run.state == "failed":
            self._print(f"{name}   failed: {run.reason}")

    def finished(self, comparison: Comparison) -> None:
        """Show the table and what can be said of it."""
        self._print(f"\n{comparison}\n{_place(comparison)}")

    def note(self, message: str) -> None:
        """Say something worth a line."""
        self._print(message)

    def _print(self, line: str) -> None:
        print(line, flush=True)


class TerminalReporter(QuietReporter):
    """A table that fills while the runs go on."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._runs: dict[tuple[str, int], RunState] = {}
        self._layers: dict[str, list[int]] = {}
        self._workers = 1
        self._live = Live(console=self._console, transient=True, refresh_per_second=8)

    def started(self, description: dict[str, Any], runs: list[RunState]) -> None:
        """Say what begins, and start the table."""
        super().started(description, runs)
        self._runs = {(run.cell, run.seed): run for run in runs}
        self._layers, self._workers = description["cells"], description["workers"]
        self.note(_beginning(description))
        self._live.start()
        self._live.update(self._picture())

    def changed(self, run: RunState) -> None:
        """Bring the table up to date."""
        self._runs[run.cell, run.seed] = run
        self._live.update(self._picture())

    def finished(self, comparison: Comparison) -> None:
        """Replace the live table by the result."""
        self.close()
        self._print_table(comparison)
        for sentence in sentences(comparison):
            self._console.print(Text(sentence))
        self.note(_place(comparison))

    def _print_table(self, comparison: Comparison) -> None:
        """The result, without the columns for which there is no room."""
        heads, rows = cells_of_table(comparison)
        columns = dict(zip(heads, zip(*rows, strict=True), strict=True))
        room, left_out = self._console.width, []
        for head in _LESS_IMPORTANT:
            if _width(columns) > room and head in columns:
                del columns[head]
                left_out.append(head)
        too_much = max(0, _width(columns) - room)
        # No number is ever cut: what still is too wide, the terminal itself wraps.
        table = _AsWideAsNeeded(_result_table(columns, too_much), max(room, _width(columns)))
        self._console.print(table, crop=False)
        if left_out:
            self.note(f"left out for want of room: {', '.join(left_out)}; see table.md")

    def note(self, message: str) -> None:
        """Say something worth a line, above the table."""
        self._console.print(message, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Take the live table away."""
        self._live.stop()

    def _picture(self) -> Group:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for head in ("cell", "layers", "seeds", "so far", "seconds"):
            table.add_column(head, style="bold" if head == "cell" else None)
        for cell, layers in self._layers.items():
            runs = [run for run in self._runs.values() if run.cell == cell]
            values = [run.value for run in runs if run.value is not None]
            times = [run.seconds for run in runs if run.seconds is not None]
            table.add_row(
                Text(cell),
                ",".join(map(str, layers)) or "–",
                Text("  ").join(_shown(run) for run in runs),
                number(sum(values) / len(values)) if values else "",
                f"{sum(times) / len(times):.1f}" if times else "",
            )
        return Group(table, Text(self._progress(), style="dim"))

    def _progress(self) -> str:
        runs = list(self._runs.values())
        ended = sum(run.state in ("finished", "failed") for run in runs)
        left = self._seconds_left(runs)
        said = f"{ended} of {len(runs)} runs"
        if left is None or ended == len(runs):
            return said
        return f"{said}, about {_duration(left)} left"

    def _seconds_left(self, runs: list[RunState]) -> float | None:
        """Of those under way what they estimate; of those that wait the usual time of a run."""
        running = [run for run in runs if run.state == "running"]
        waiting = sum(run.state == "waiting" for run in runs)
        times = [run.seconds for run in runs if run.seconds is not None]
        under_way = [run.seconds_left for run in running if run.seconds_left is not None]
        if (waiting and not times) or (running and not under_way):
            return None
        usual = sum(times) / len(times) if times else 0.0
        return (sum(under_way) + waiting * usual) / self._workers


@dataclass
class _AsWideAsNeeded:
    """A table in a width that may be more than the console's."""

    table: Table
    width: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield from console.render(self.table, options.update_width(self.width))


def _shown(run: RunState) -> Text:
    """One seed: what it reached, or how far it is."""
    if run.state == "finished" and run.value is not None:
        return Text(number(run.value), style="green")
    if run.state == "failed":
        return Text("failed", style="red")
    if run.state == "running":
        return Text(f"{run.done:>5.0%} ", style="yellow")
    return Text("  ·   ", style="dim")


def _result_table(columns: Mapping[str, Sequence[str]], too_much: int) -> Table:
    """The table, names of cells wrapped by as much as it is too wide."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for head, texts in columns.items():
        width = _column_width(head, texts)
        if head == "cell":
            width = max(min(_NARROWEST, width), width - too_much)
        table.add_column(
            Text(head), style="bold" if head == "cell" else None, width=width, overflow="fold"
        )
    styles = {"best": "green", "worse": "red", "failed": "red", "within noise": "yellow"}
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text(text, style=styles.get(text, "")) for text in row))
    return table


def _width(columns: Mapping[str, Sequence[str]]) -> int:
    return sum(_column_width(head, texts) + _GAP for head, texts in columns.items())


def _column_width(head: str, texts: Sequence[str]) -> int:
    return max(map(cell_len, (head, *texts)))


def _beginning(description: dict[str, Any]) -> str:
    d = description
    cells, seeds = len(d["cells"]), len(d["seeds"])
    data = "" if d["data"] == d["job"] else f" {d['data']}"
    said = (
        f"compare {d['job']}{data}: {number_of(cells, 'cell')} × {number_of(seeds, 'seed')} = "
        f"{number_of(d['runs'], 'run')}"
    )
    if d["to_do"] == 0:
        return f"{said}, all done already"
    if d["to_do"] < d["runs"]:
        said += f", {d['runs'] - d['to_do']} done already"
    threads = number_of(d["threads"], "thread")
    return f"{said}; {d['workers']} at a time, {threads} each; in {d['run']}"


def _place(comparison: Comparison) -> str:
    """The folder and what lies in it; without a finished run there is no picture."""
    files = RESULT_FILES if comparison.best is not None else RESULT_FILES[:-1]
    return f"{comparison.folder}/  {'  '.join(files)}  CELL/seed-N/"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def choose_comparison_reporter(*, quiet: bool, as_json: bool) -> QuietReporter:
    """The reporter for what the user asked and where the output goes."""
    if quiet:
        return QuietReporter()
    if as_json:
        return JsonReporter()
    return TerminalReporter() if sys.stdout.isatty() else LineReporter()
