"""``cellwright compare``: what is printed, and real processes that are stopped in the middle."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from comparisons import made, work_here
from rich.console import Console
from safetensors.torch import load_file

import cellwright as cw
from cellwright.cli import compare_reporters, main
from cellwright.cli.compare import _seeds
from cellwright.cli.compare_reporters import TerminalReporter, choose_comparison_reporter
from cellwright.cli.signs import print_any_sign
from cellwright.jobs import RunFolder, RunState, configure, run
from cellwright.jobs.comparing.wording import cells_of_table

PROGRAM = "from cellwright.cli import main; main()"
SMALL = ["--data", "data.npz", "--layers", "3", "--epochs", "2", "--backend", "reference"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", X=rng.normal(size=(200, 6, 2)), y=np.arange(200) % 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch):
    """The work of the processes is done here, to be quick."""
    work_here(monkeypatch)


@pytest.fixture
def cellwright(capfd, folder):
    """Run a command; gives exit code, output and errors."""

    def call(*words):
        capfd.readouterr()
        with mock.patch.object(sys, "argv", ["cellwright", *words]):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


def test_lines(cellwright, in_this_process):
    words = ["compare", "classify", "--cells", "elman,gru", "--seeds", "2", "--workers", "1"]
    code, output, errors = cellwright(*words, *SMALL)
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert lines[0] == (
        f"compare classify data: 2 cells × 2 seeds = 4 runs; 1 at a time, {threads} "
        f"thread{'' if threads == 1 else 's'} each; in runs/compare-classify-data-001"
    )
    assert lines[1].startswith("elman, seed 0   accuracy 0.")
    assert sum(line.startswith(("elman, seed", "gru, seed")) for line in lines) == 4
    assert any(line.startswith("cell   layers  parameters  runs") for line in lines)
    assert "within noise" in output or "beyond noise" in output
    assert lines[-1].startswith("runs/compare-classify-data-001/  table.csv")
    code, again, _ = cellwright(*words, *SMALL)
    assert again.splitlines()[0].endswith("4 runs, all done already")
    assert again.splitlines()[1:] == lines[5:]


def test_json_and_silence(cellwright, in_this_process):
    words = ["compare", "classify", "--cells", "elman,gru", "--seeds", "0,4", "--out", "out"]
    code, output, errors = cellwright(*words, *SMALL, "--json")
    assert (code, errors) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line.get("event") for line in lines] == ["started", *["run"] * 4, None]
    assert lines[0]["seeds"] == [0, 4]
    result = lines[-1]
    assert {row["cell"] for row in result["cells"]} == {"elman", "gru"}
    assert result["cells"][0]["cell"] == result["best"]
    assert result["cells"][0]["difference"] is None
    assert result["run"] == "out"
    assert cellwright(*words, *SMALL, "--quiet") == (0, "", "")


def test_without_a_finished_run_it_fails(cellwright, in_this_process):
    words = ["compare", "classify", "--cells", "elman", "--seeds", "1", "--learning-rate", "1e30"]
    code, output, errors = cellwright(*words, "--gradient-clip", "none", *SMALL)
    assert (code, errors) == (1, "")
    assert "elman, seed 0   failed: the " in output
    assert "No run finished" in output
    assert output.endswith("-001/  table.csv  table.md  CELL/seed-N/\n")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("classify --cells lstn", 1, "there is no cell 'lstn'. Did you mean 'lstm'?"),
        ("clasify --cells gru", 1, "no job 'clasify' to compare cells on. Did you mean"),
        ("classify --cells gru --seeds three", 1, "seeds='three': write how many"),
        ("classify --cells gru --seeds 0", 1, "seeds=0: give at least one"),
        ("parity --cells gru --pooling max", 1, "parity has no option 'pooling'"),
        ("classify --cells gru --cell lstm", 2, "No such option"),
        ("classify", 2, "--cells"),
        ("classify --cells gru --match layers", 2, "parameters"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(cellwright, words, code, message):
    found, output, errors = cellwright("compare", *words.split())
    assert (found, output) == (code, "")
    assert message in errors
    assert "Traceback" not in errors
    assert not Path("runs").exists()


def test_a_terminal_gets_a_table_that_fills(monkeypatch, folder, in_this_process):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, highlight=False)
    monkeypatch.setattr(compare_reporters, "Console", lambda **options: console)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    reporter = choose_comparison_reporter(quiet=False, as_json=False)
    assert type(reporter) is TerminalReporter
    options = {"data": "data.npz", "layers": 3, "epochs": 1, "backend": "reference"}
    cw.compare(cells="elman,gru", seeds=2, folder="out", reporter=reporter, **options)
    reporter.close()
    shown = screen.getvalue()
    for words in ("so far", "4 of 4 runs", "difference to best", "has the best mean", "out/"):
        assert words in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is given back"


def shown_at(width, values):
    """What a terminal of a width shows of a comparison."""
    screen = io.StringIO()
    reporter = TerminalReporter()
    reporter._console = Console(file=screen, width=width, highlight=False)
    comparison = made(values)
    reporter.finished(comparison)
    return screen.getvalue(), comparison


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_number_is_cut_however_narrow_the_terminal(width):
    values = {"elman": [0.90, 0.9412], "clockwork:periods=[1,2,4,8,16,32]": [0.8312, 0.80]}
    shown, comparison = shown_at(width, values)
    heads, rows = cells_of_table(comparison)
    assert "…" not in shown
    kept = [head for head in heads if head in shown.splitlines()[0]]
    assert {"cell", "accuracy", "difference to best", "verdict"} <= set(kept)
    for row in rows:
        for head, text in zip(heads, row, strict=True):
            assert head == "cell" or head not in kept or text in shown
    left_out = [line for line in shown.splitlines() if line.startswith("left out for want of room")]
    assert bool(left_out) == (len(kept) < len(heads))
    if width == 80:
        assert max(len(line.rstrip()) for line in shown.splitlines()[:4]) <= 80
        assert "95 % interval" in left_out[0]


def test_a_comparison_that_is_done_has_no_time_left():
    reporter = TerminalReporter()
    reporter._runs = {("a", 0): RunState("a", 0, "finished", value=1.0, seconds=2.0)}
    assert reporter._progress() == "1 of 1 runs"


@pytest.mark.parametrize(("encoding", "sign"), [("cp1252", "×"), ("ascii", "x"), ("utf-8", "×")])
def test_an_encoding_that_lacks_signs_gets_plain_ones(monkeypatch, encoding, sign):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    print_any_sign()
    reporter = choose_comparison_reporter(quiet=False, as_json=False)
    reporter.finished(made({"elman": [0.90, 0.94], "gru": [0.83, 0.80]}))
    shown = raw.getvalue().decode(encoding)
    minus = "−" if encoding == "utf-8" else "-"
    assert f"gru differs from elman by {minus}0.1050" in shown
    assert f"1.00{sign}" in shown


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", 3), ("7,", [7]), ("0,7,8", [0, 7, 8]), ("0,7,", [0, 7])]
)
def test_seeds_are_a_number_of_them_or_a_list(text, seeds):
    assert _seeds(text) == seeds


def test_the_time_that_is_left():
    reporter = TerminalReporter()
    reporter._workers = 2
    running = [RunState("a", seed, "running", 0.5, 10.0) for seed in (0, 1)]
    waiting = [RunState("a", seed) for seed in (2, 3)]
    assert reporter._seconds_left([*running, *waiting]) is None
    done = RunState("a", 4, "finished", value=1.0, seconds=20.0)
    assert reporter._seconds_left([*running, *waiting, done]) == (10 + 10 + 2 * 20) / 2


def start(folder):
    words = ["compare", "classify", "--cells", "elman,gru", "--seeds", "2", "--workers", "1"]
    words += ["--data", "data.npz", "--layers", "8", "--epochs", "25", "--backend", "reference"]
    return subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, *words, "--batch-size", "16", "--out", "out"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, seconds=200):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def workers_in(folder):
    """Processes whose working folder this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and process.name != str(os.getpid()):
                found.append(process.name)
        except OSError:
            continue
    return found


def epochs(folder, cell, seed):
    """Epochs that a run has finished."""
    metrics = folder / "out" / cell / f"seed-{seed}" / "metrics.csv"
    return max(0, len(metrics.read_text().splitlines()) - 1) if metrics.exists() else 0


@pytest.mark.slow  # four processes import torch
@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")
def test_killed_and_interrupted_it_goes_on_where_it_was(folder, in_this_process):
    killed = start(folder)
    wait_for(lambda: epochs(folder, "elman", 0) >= 3)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    wait_for(lambda: not workers_in(folder), 10)
    assert 3 <= epochs(folder, "elman", 0) < 25
    assert not (folder / "out/elman/seed-0/result.json").exists()

    interrupted = start(folder)
    wait_for(lambda: epochs(folder, "gru", 0) >= 2)
    interrupted.send_signal(signal.SIGINT)
    output, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert output.splitlines()[-1] == "interrupted; the same command goes on from here"
    assert errors == ""
    assert workers_in(folder) == []
    finished = {path.parent for path in folder.glob("out/*/*/result.json")}
    assert finished == {folder / "out/elman/seed-0"}
    before = {path: (path / "result.json").stat().st_mtime_ns for path in finished}

    options = {"data": "data.npz", "layers": 8, "epochs": 25, "backend": "reference"}
    options |= {"batch_size": 16}
    found = cw.compare(cells="elman,gru", seeds=2, folder="out", **options)
    assert {path: (path / "result.json").stat().st_mtime_ns for path in finished} == before
    assert list(found.table["runs"]) == [2, 2]
    for cell in ("elman", "gru"):
        whole = RunFolder(folder / "whole")
        run(configure(cell=cell, **options), whole, overwrite=True)
        weights = load_file(whole.model)
        for name, weight in load_file(folder / "out" / cell / "seed-0/model.cw").items():
            assert torch.equal(weight, weights[name]), name


def test_a_process_that_dies_stops_no_other(folder, monkeypatch):
    """Real processes, one of which ends in the middle of its run."""
    from cellwright.jobs.comparing import pool

    dying = "import os; os.environ.get('DIE') and os.kill(os.getpid(), 9); " + pool._PROGRAM
    monkeypatch.setattr(pool, "_PROGRAM", dying)
    states = {}

    class Reporter(cw.jobs.ComparisonReporter):
        def changed(self, run):
            states.setdefault(run.cell, []).append(run.state)
            os.environ.pop("DIE", None)  # the next process lives

    monkeypatch.setenv("DIE", "1")
    options = {"data": "data.npz", "layers": 3, "epochs": 1, "backend": "reference"}
    found = cw.compare(
        cells="elman,gru", seeds=1, workers=1, folder="out", reporter=Reporter(), **options
    )
    assert states["elman"] == ["running", "failed"]
    assert states["gru"][-1] == "finished"
    assert "its process ended with signal 9" in found.failures["elman"][0]
    assert not (folder / "out/elman/seed-0/failure.json").exists(), "another time it may work"
