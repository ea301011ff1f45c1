"""Long-lag tasks of the literature: what is solved, with how many sequences, in what time.

    python benchmarks/tasks.py [--sections asked cells chorales] [--only NAME …]
        [--data-dir FOLDER] [--seeds 3]

Prints a table, writes benchmarks/tasks.json after every run, and puts the tables into
docs/long-lag-tasks.md. What is not run keeps the results that the JSON holds. The chorales
want the folder in which JSB_Chorales.mat lies. Several seeds are for the table of cells; the others
have seed 0.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from cellwright.data import tasks
from cellwright.errors import CellwrightError
from cellwright.jobs import Reporter, learn
from cellwright.jobs.tasks.recipes import CHORALES

PAGE = Path(__file__).parents[1] / "docs" / "long-lag-tasks.md"
PLAIN = {"initialization": "standard"}  # the forget bias is 1, as the equations say

# What is asked for: name -> task, options of `learn`, greatest measure, what others needed.
ASKED: dict[str, dict[str, Any]] = {
    "temporal order 6a, 8 units": {
        "task": ["temporal_order", 2],
        "options": {"layers": 8},
        "at_most": {"wrong": 2 / 2560},
        "paper": "31,390 sequences, 1 wrong (1997)",
    },
    "temporal order 6b, 16 units": {
        "task": ["temporal_order", 3],
        "options": {"layers": 16},
        "at_most": {"wrong": 2 / 2560},
        "paper": "571,100 sequences, 2 wrong (1997)",
    },
    "embedded Reber, 16 units": {
        "task": ["embedded_reber"],
        "options": {"layers": 16},
        "at_most": {"wrong": 0.0},
        "paper": "8,440 sequences at best (1997)",
    },
    **{
        f"adding, T = {steps}": {
            "task": ["adding", steps],
            "options": {"layers": 64},
            "at_most": {"loss": 1e-3},
            "paper": "0.164 after training (Bai 2018)" if steps == 600 else "",
        }
        for steps in (100, 200, 600, 1000)
    },
    **{
        f"adding, T = {steps}, forget bias 1": {
            "task": ["adding", steps],
            # As many sequences as the chrono start needed.
            "options": {"layers": 64, "like": f"adding, T = {steps}"} | PLAIN,
            "fails": True,
            "paper": "",
        }
        for steps in (100, 200, 600, 1000)
    },
}
CHORALES_ASKED = {
    "tanh 100": (8.65, "9.10 (Chung 2014)"),
    "GRU 46": (8.70, "8.54 (Chung 2014)"),
    "LSTM 36": (8.60, "8.67 (Chung 2014)"),
    "LSTM 200, dropout 0.5": (8.45, "8.45 (Bai 2018)"),
}
# Which cell solves which: each with the task's recipe and the same number of sequences.
CELLS = ("elman", "gru", "lstm")
TASKS: dict[str, dict[str, Any]] = {
    "temporal order 6a": {"task": ["temporal_order", 2], "sequences": 20_000},
    "temporal order 6b": {"task": ["temporal_order", 3], "sequences": 20_000},
    "adding, T = 200": {"task": ["adding", 200], "sequences": 30_000},
    "adding of 1997, T = 100": {"task": ["adding_1997", 100], "sequences": 30_000},
    "multiplication, T = 100": {"task": ["multiplication", 100], "sequences": 30_000},
    "embedded Reber": {"task": ["embedded_reber"], "sequences": 20_000},
    "delayed recall, T = 100": {"task": ["delayed_recall"], "sequences": 20_000},
    "copy memory, T = 30": {"task": ["copy_memory", 30], "sequences": 50_000},
    "parity, 25 to 50 steps": {"task": ["parity"], "sequences": 20_000},
    "parity at every step": {"task": ["parity", "every_step"], "sequences": 20_000},
}


class Line(Reporter):
    """One line that is written over, so that one sees it work."""

    def __init__(self, name: str) -> None:
        self.name = name

    def epoch_finished(self, row: dict[str, Any]) -> None:
        """How far it has come."""
        loss = row["validation_loss"]
        text = f"{self.name}: {row['samples']:,} sequences, validation loss {loss:.5f}"
        print(f"\r{text:<100}", end="", file=sys.stderr, flush=True)


def make_task(description: list[Any]) -> tasks.Task:
    """The task that a line of the tables above means."""
    name, *arguments = description
    if arguments == ["every_step"]:
        return tasks.parity(every_step=True)
    return getattr(tasks, name)(*arguments)


def one_run(name: str, task: tasks.Task, seed: int, **options: Any) -> dict[str, Any]:
    """Learn and test once; the kernel is compiled before the clock runs."""
    small = {"epoch_size": 40, "validation_size": 8, "test_size": 8, "epochs": 1}
    warm = {k: v for k, v in options.items() if k not in ("epochs", "sequences", "patience")}
    learn(task, seed=seed, **(warm | small if task.parts is None else warm | {"epochs": 1}))
    result = learn(task, seed=seed, reporter=Line(name), **options)
    print(file=sys.stderr)
    kept = ("task", "cell", "measures", "solved", "parameters", "seconds", "processor_seconds")
    row = {field: getattr(result, field) for field in (*kept, "sequences")}
    return {"name": name, "seed": seed, "options": options} | row


def run_asked(name: str, seed: int, known: dict[str, Any]) -> dict[str, Any]:
    """A line of ASKED."""
    line = ASKED[name]
    options = dict(line["options"])
    like = options.pop("like", None)
    if like is not None:
        if like not in known:
            raise SystemExit(f"{name!r} takes as many sequences as {like!r}: run that first")
        options["sequences"] = known[like]["sequences"]
    row = one_run(name, make_task(line["task"]), seed, **options)
    if "fails" in line:
        return row | {"met": not row["solved"], "paper": line["paper"], "fails": True}
    met = all(row["measures"][k] <= limit for k, limit in line["at_most"].items())
    return row | {"met": met, "paper": line["paper"], "at_most": line["at_most"]}


def run_chorales(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """A line of the chorales, with its recipe."""
    task = tasks.jsb_chorales(folder / "JSB_Chorales.mat")
    row = one_run(name, task, seed, **CHORALES[name])
    limit, paper = CHORALES_ASKED[name]
    return row | {
        "met": row["measures"]["loss"] <= limit,
        "at_most": {"loss": limit},
        "paper": paper,
    }


def run_cell(name: str, cell: str, seed: int) -> dict[str, Any]:
    """A field of the table of cells."""
    line = TASKS[name]
    task, title = make_task(line["task"]), f"{name}, {cell}, seed {seed}"
    try:
        return one_run(title, task, seed, cell=cell, sequences=line["sequences"])
    except CellwrightError as error:  # such as a loss that is no longer a number
        return {"name": title, "cell": cell, "solved": False, "error": str(error)}


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sections = ("asked", "cells", "chorales")
    parser.add_argument("--sections", nargs="*", choices=sections, default=list(sections))
    parser.add_argument("--only", nargs="*", help="names of lines")
    parser.add_argument("--data-dir", type=Path, help="where JSB_Chorales.mat lies")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    content = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for section in arguments.sections:
        known = {row["name"]: row for row in content.get(section, [])}
        for name, run in planned(section, arguments, known):
            if arguments.only is None or name in arguments.only:
                known[name] = run()
                order = [name for name, _ in planned(section, arguments, known)]
                content[section] = [known[name] for name in order if name in known]
                content["machine"] = {
                    "python": platform.python_version(),
                    "torch": torch.__version__,
                }
                arguments.out.write_text(json.dumps(content, indent=2) + "\n")
    tables = {section: TABLES[section](content.get(section, [])) for section in sections}
    for section in arguments.sections:
        print(f"\n{tables[section]}")
    write_page(arguments.page, tables)


def planned(section: str, arguments: argparse.Namespace, known: dict[str, Any]) -> list[Any]:
    """Name and function of each run of a section, in order."""
    if section == "asked":
        return [(name, lambda name=name: run_asked(name, 0, known)) for name in ASKED]
    if section == "chorales":
        folder = arguments.data_dir
        if folder is None:
            print("the chorales are left out: they want --data-dir", file=sys.stderr)
            return []
        return [(n, lambda n=n: run_chorales(n, 0, folder)) for n in CHORALES_ASKED]
    return [
        (f"{name}, {cell}, seed {seed}", partial(run_cell, name, cell, seed))
        for seed in range(arguments.seeds)
        for name in TASKS
        for cell in CELLS
    ]


def reached(row: dict[str, Any]) -> str:
    """The measure that a line is about, for people."""
    if "at_most" in row and "wrong" in row["at_most"]:
        if row["name"].startswith("temporal"):
            return f"{round(row['measures']['wrong'] * 2560)} wrong of 2,560"
        return f"{row['measures']['wrong']:.2%} wrong" if row["measures"]["wrong"] else "none wrong"
    return f"{row['measures']['loss']:.5f}"


def table_asked(rows: list[dict[str, Any]]) -> str:
    """The lines that are asked for, as Markdown."""
    lines = ["| task | test | asked for | sequences | seconds | CPU seconds | others |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in rows:
        wanted = "fails" if row.get("fails") else limit_text(row)
        lines.append(
            f"| {row['name']} | {reached(row)} | {wanted}: {'met' if row['met'] else 'missed'} | "
            f"{row['sequences']:,} | {row['seconds']:.0f} | {row['processor_seconds']:.0f} | "
            f"{row['paper']} |"
        )
    return "\n".join(lines)


def limit_text(row: dict[str, Any]) -> str:
    """The greatest measure that is allowed, for people."""
    ((name, limit),) = row["at_most"].items()
    if row["name"].startswith("temporal"):
        return "≤ 2 wrong"
    return f"≤ {limit:g}" if name == "loss" else "none wrong"


def table_chorales(rows: list[dict[str, Any]]) -> str:
    """The chorales, as Markdown."""
    lines = ["| network | weights | test loss | asked for | epochs seen | CPU seconds | others |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in rows:
        lines.append(
            f"| {row['name']} | {row['parameters']:,} | {row['measures']['loss']:.3f} | "
            f"≤ {row['at_most']['loss']:.2f}: {'met' if row['met'] else 'missed'} | "
            f"{row['sequences'] // 229} | {row['processor_seconds']:.0f} | {row['paper']} |"
        )
    return "\n".join(lines)


def table_cells(rows: list[dict[str, Any]]) -> str:
    """Which cell solves which, as Markdown."""
    lines = ["| task | " + " | ".join(CELLS) + " |", "|---|" + "---|" * len(CELLS)]
    for name, line in TASKS.items():
        starts = [f"{name}, {cell}, seed " for cell in CELLS]
        fields = [cell_field([r for r in rows if r["name"].startswith(s)]) for s in starts]
        if any(field != "–" for field in fields):
            lines.append(f"| {name}, {line['sequences']:,} at most | " + " | ".join(fields) + " |")
    return "\n".join(lines)


def cell_field(rows: list[dict[str, Any]]) -> str:
    """What stands in a field of that table, from the runs of all seeds."""
    if not rows:
        return "–"
    solved = [row for row in rows if row["solved"]]
    if solved:
        sequences = median(row["sequences"] for row in solved)
        seconds = median(row["processor_seconds"] for row in solved)
        share = "" if len(solved) == len(rows) else f"{len(solved)} of {len(rows)} seeds: "
        return f"{share}**{sequences:,.0f}** in {seconds:.0f} s"
    finished = [row["measures"] for row in rows if "error" not in row]
    if not finished:
        return "no: diverged"
    if rows[0]["name"].startswith(("adding", "multiplication")):
        return f"no: {median(measures['loss'] for measures in finished):.3f}"
    return f"no: {median(measures['wrong'] for measures in finished):.1%} wrong"


TABLES = {"asked": table_asked, "cells": table_cells, "chorales": table_chorales}


def write_page(page: Path, tables: dict[str, str]) -> None:
    """Put the tables between their marks in the page."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        start, end = f"<!-- table: {name} -->\n", f"<!-- end of table: {name} -->"
        if start not in text or end not in text:
            raise SystemExit(f"{page} has no place for the table {name!r}: {start}… {end}")
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n{table}\n\n{end}{rest.partition(end)[2]}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
