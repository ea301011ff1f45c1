"""The tables of the long-lag tasks: the page shows what the JSON holds."""

import json
import re
from pathlib import Path

import pytest
import tasks as benchmark

ROOT = Path(__file__).parents[2]


def row(name, **changes):
    return {
        "name": name,
        "measures": {"loss": 0.0004, "wrong": 1 / 2560},
        "solved": True,
        "parameters": 1234,
        "seconds": 12.3,
        "processor_seconds": 4.4,
        "sequences": 4000,
        "met": True,
        "paper": "31,390",
        **changes,
    }


def test_the_page_shows_the_results_that_are_kept():
    content = json.loads((ROOT / "benchmarks" / "tasks.json").read_text())
    page = (ROOT / "docs" / "long-lag-tasks.md").read_text("utf-8")
    for name, table in benchmark.TABLES.items():
        assert table(content.get(name, [])) in page, "run benchmarks/tasks.py"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            row("temporal order 6a, 8 units", at_most={"wrong": 2 / 2560}),
            "| 1 wrong of 2,560 | ≤ 2 wrong: met | 4,000 | 12 | 4 | 31,390 |",
        ),
        (
            row("adding, T = 100", at_most={"loss": 1e-3}, met=False),
            "| 0.00040 | ≤ 0.001: missed | 4,000 |",
        ),
        (row("adding, T = 9, forget bias 1", fails=True), "| 0.00040 | fails: met |"),
    ],
)
def test_lines_say_what_was_reached_and_what_was_asked_for(line, shown):
    assert f"{line['name']} {shown}" in benchmark.table_asked([line])


def test_cells_that_solve_a_task_say_how_fast_and_others_how_far():
    rows = [
        row("temporal order 6a, lstm, seed 0"),
        row("temporal order 6a, lstm, seed 1", sequences=6000),
        row("temporal order 6a, gru, seed 0", solved=False, measures={"wrong": 0.25}),
        {"name": "temporal order 6a, elman, seed 0", "solved": False, "error": "the loss is nan"},
    ]
    table = benchmark.table_cells(rows)
    assert "| no: diverged | no: 25.0% wrong | **5,000** in 4 s |" in table
    rows[0]["solved"] = False
    assert "| 1 of 2 seeds: **6,000** in 4 s |" in benchmark.table_cells(rows)
    assert "6b" not in table


def test_tables_are_put_between_their_marks_and_nothing_else_changes(tmp_path):
    page = tmp_path / "page.md"
    marks = [f"<!-- table: {n} -->\nold {n}\n<!-- end of table: {n} -->" for n in ("a", "b")]
    page.write_text(f"before\n{marks[0]}\nbetween\n{marks[1]}\nbehind\n")
    benchmark.write_page(page, {"a": "| new |"})
    text = page.read_text()
    assert re.fullmatch(
        r"before\n<!-- table: a -->\n\n\| new \|\n\n<!-- end .*behind\n", text, re.S
    )
    assert "old a" not in text
    assert marks[1] in text
    benchmark.write_page(page, {"a": "| new |"})
    assert page.read_text() == text
    with pytest.raises(SystemExit, match="no place for the table 'c'"):
        benchmark.write_page(page, {"c": ""})
