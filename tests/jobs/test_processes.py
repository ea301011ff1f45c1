"""Several processes train as one does."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from cellwright.data.token_streams import TokenStreams
from cellwright.errors import SettingError
from cellwright.jobs.training.bucketing import bucketed
from cellwright.jobs.training.processes import Processes

SCRIPT = """
import json
from pathlib import Path
import numpy as np
import cellwright as cw
from cellwright import jobs
from cellwright.jobs.gan import realism
from cellwright.jobs.training.ranks import is_first
from torch import distributed
rng = np.random.default_rng(0)
options = dict(layers=[6], epochs=3, batch_size=8, dropout=0.0, validation_fraction=0.2,
    device="cpu", threads=1)
X = [rng.normal(size=(n, 2)) for n in rng.integers(3, 12, 45)]
y = [int(x.sum() > 0) for x in X]
text = "".join(rng.choice(list("abc "), 900))
models = [
    cw.SequenceClassifier(cell="gru", **options).fit(X, y),
    cw.LanguageModel(steps=7, **options).fit(text),
    # The last epoch is a single sample, of which the second process has nothing.
    cw.SequenceClassifier(**options | {"validation_fraction": 0}, samples=46).fit(X, y),
]
# The first process tests a run by networks that it trains alone.
realism._LEARNED = 64
told = open("told.txt", "a")
class Tell(jobs.Reporter):
    def started(self, description):
        print("started", file=told, flush=True)
    def note(self, message):
        print(message.partition(" ")[0], file=told, flush=True)
    def finished(self, result):
        print("finished", file=told, flush=True)
config = jobs.configure(job="gan", layers=[4], samples=32, device="cpu", threads=1)
for _ in range(2):
    jobs.run(config, jobs.RunFolder(Path("run")), resume=True, reporter=Tell())
    if distributed.is_initialized():
        distributed.barrier()
score = realism.discriminative_score(X, [x + 1 for x in X], seeds=[0])
if is_first():
    rows = [r for m in models for r in m.history_]
    losses = [[r["train_loss"], r.get("validation_loss", 0)] for r in rows]
    weights = [w.flatten().tolist() for m in models for w in m.network_.parameters()]
    print(json.dumps(losses + weights + [[score]]))
"""


def outcome(folder, *launcher):
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = [sys.executable, *launcher, str(script)]
    found = subprocess.run(
        run, capture_output=True, text=True, env=environment, timeout=240, cwd=folder
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return json.loads(found.stdout.strip().splitlines()[-1])


def test_two_processes_take_the_steps_of_one(tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    folders = tmp_path / "alone", tmp_path / "together"
    alone, together = outcome(folders[0]), outcome(folders[1], *launcher)
    for one, two in zip(alone, together, strict=True):
        np.testing.assert_allclose(two, one, rtol=2e-4, atol=1e-6)
    for folder in folders:
        told = (folder / "told.txt").read_text().split()
        assert told == ["nothing", "started", "finished", "run", "finished"]
        assert (folder / "run/result.json").exists()


def test_a_batch_is_shared_out_row_by_row():
    order = np.arange(21)
    mine = [Processes(2, rank).share(order, 8) for rank in (0, 1)]
    assert [(size, count) for _, size, count in mine] == [(4, 3), (4, 3)]
    for start in (0, 4):
        both = np.concatenate([rows[start : start + 4] for rows, _, _ in mine])
        assert sorted(both) == list(range(2 * start, 2 * start + 8))
    assert sorted(np.concatenate([rows for rows, _, _ in mine])) == list(order)


def test_who_has_no_row_of_the_last_batch_waits_for_it():
    rows, size, count = Processes(2, 1).share(np.arange(9), 8)
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    assert len(batches) == 1
    assert list(Processes(2, 1).all_of(["a"], count)) == ["a", None]
    assert list(Processes(1, 0).all_of(["a"], 1)) == ["a"]


def test_streams_stay_whole():
    streams = TokenStreams.of(np.arange(100, dtype=np.int32), 5, 4, seed=0).in_epoch(2)
    order = np.random.default_rng(0).permutation(len(streams))[:18]
    alone = list(Processes(1, 0).batches(streams, order, 5))
    shared = [list(Processes(2, rank).batches(streams, order, 5)) for rank in (0, 1)]
    assert len(alone) == 3
    for whole, *parts in zip(alone, *shared, strict=True):
        assert torch.equal(
            torch.cat([part.tokens for part in parts]).sort(0)[0], whole.tokens.sort(0)[0]
        )
        assert sorted(np.concatenate([part.rows for part in parts])) == sorted(whole.rows)
        assert all(part.first == whole.first for part in parts)
    with pytest.raises(SettingError, match="5 streams .* too few for 6 processes"):
        Processes(6, 0).batches(streams, order, 5)


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(SettingError, match="batch_size=9 cannot be shared evenly by 2"):
        Processes(2, 0).share(np.arange(30), 9)


def test_samples_of_similar_length_meet():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 1000, 1003)
    order = bucketed(rng.permutation(1003), lengths, 10, rng)
    assert sorted(order) == list(range(1003))

    def padding(order):
        groups = [lengths[order[start : start + 10]] for start in range(0, 1003, 10)]
        return sum(len(group) * group.max() for group in groups) / lengths.sum()

    assert padding(order) < 1.03
    assert padding(rng.permutation(1003)) > 1.5
    batches = [tuple(sorted(order[start : start + 10])) for start in range(0, 1000, 10)]
    again = bucketed(rng.permutation(1003), lengths, 10, rng)
    others = [tuple(sorted(again[start : start + 10])) for start in range(0, 1000, 10)]
    assert len(set(batches) & set(others)) < 5  # who meets whom is still up to chance


def test_alone_nothing_is_shared():
    network = torch.nn.Linear(2, 1)
    network(torch.ones(1, 2)).sum().backward()
    before = network.weight.grad.clone()
    alone = Processes.join(torch.device("cpu"))
    alone.sum_gradients(network)
    assert torch.equal(network.weight.grad, before)
    assert alone.share_of_answers(7, torch.device("cpu")) == 1
