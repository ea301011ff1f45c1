"""Comparisons that are small, and done in this process."""

import json
from pathlib import Path

import numpy as np

import cellwright as cw
from cellwright import affine, cell, log, tanh
from cellwright.jobs.comparing import running, worker
from cellwright.jobs.comparing.comparison import Comparison
from cellwright.jobs.comparing.contenders import contenders
from cellwright.jobs.comparing.outcomes import Outcome

SMALL = {"data": "data.npz", "layers": 3, "epochs": 2, "backend": "reference"}


@cell(state="h")
def own_cell(x, h):
    """A cell of one's own."""
    return 0.5 * h + tanh(affine("h", x, h))


@cell(state="h")
def broken_cell(x, h):
    """A cell whose output is soon no number."""
    return log(tanh(affine("h", x, h)))


class Told(cw.jobs.ComparisonReporter):
    """Remembers what it was told."""

    def __init__(self):
        self.description, self.states, self.notes = None, [], []

    def started(self, description, runs):
        self.description = description

    def changed(self, run):
        self.states.append(run)

    def note(self, message):
        self.notes.append(message)

    def trained(self):
        running = [(run.cell, run.seed) for run in self.states if run.state == "running"]
        return list(dict.fromkeys(running))


def write_data(path, seed=0):
    """Forty short sequences, told apart by their mean."""
    x = np.random.default_rng(seed).normal(size=(40, 4, 2))
    np.savez(path, X=x, y=(x.mean((1, 2)) > 0).astype(int))


def work_here(monkeypatch):
    """Let the work of the processes be done without them and without pictures, to be quick."""

    def run_here(tasks, workers, threads, tell):
        for number, task in enumerate(tasks):
            plain = json.loads(json.dumps(task))
            tell(number, {"event": "started"})
            tell(number, worker._done(plain, lambda _n=number, **event: tell(_n, event)))

    monkeypatch.setattr(running, "run_side_by_side", run_here)
    for name in (
        "runs.run.draw_learning_curve",
        "runs.run.save_picture",
        "classify.job.draw_confusion",
        "classify.job.save_picture",
    ):
        monkeypatch.setattr(f"cellwright.jobs.{name}", lambda *arguments: None)


def made(values, folder="out"):
    """A comparison with these values of each cell."""
    outcomes = {
        name: {
            seed: Outcome("accuracy", False, value, {}, None, 9, 8, 1.0, 8.0, [(8, value)], "x")
            for seed, value in enumerate(seeds)
        }
        for name, seeds in values.items()
    }
    found = [contenders([name])[0] for name in values]
    seeds = range(max(map(len, values.values())))
    failures = {name: {} for name in values}
    return Comparison("classify", Path(folder), found, seeds, outcomes, failures)
