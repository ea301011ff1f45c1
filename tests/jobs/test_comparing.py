"""Comparisons from what is asked to what lies in the folder."""

import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from comparisons import SMALL, Told, broken_cell, made, own_cell

import cellwright as cw
from cellwright.data import tasks
from cellwright.errors import ArgumentError, CellError, DataError, RunError, SettingError
from cellwright.jobs import learn
from cellwright.jobs.comparing import running
from cellwright.jobs.comparing.compare import _seeds


def test_every_run_is_kept_and_is_an_ordinary_run(here):
    found = cw.compare(cells="elman,gru", seeds=2, folder="out", **SMALL)
    for name in ("elman", "gru"):
        for seed in (0, 1):
            path = here / "out" / name / f"seed-{seed}"
            result = json.loads((path / "result.json").read_text())
            assert found.outcomes[name][seed].value == result["test"]["accuracy"]
            alone = cw.jobs.configure(cell=name, random_state=seed, **SMALL)
            cw.jobs.run(alone, cw.jobs.RunFolder(here / "alone"), overwrite=True)
            for file in ("config.yaml", "model.cw"):
                assert (path / file).read_bytes() == (here / "alone" / file).read_bytes()
    table = found.table
    assert list(table["runs"]) == [2, 2]
    for name in table.index:
        values = [found.outcomes[name][seed].value for seed in (0, 1)]
        assert table.loc[name, "accuracy"] == pytest.approx(np.mean(values))
    assert table["accuracy"].is_monotonic_decreasing
    assert table.loc["elman", "step_time"] == 1
    kept = pd.read_csv(here / "out/table.csv", index_col="cell")
    assert list(kept["accuracy"]) == pytest.approx(list(table["accuracy"]))
    assert (here / "out/table.md").read_text().startswith("# classify data\n\n| cell | layers |")
    assert (here / "out/comparison.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_call_goes_on_and_trains_nothing_twice(here):
    first, again, more = Told(), Told(), Told()
    before = cw.compare(cells=["elman", own_cell], seeds=2, reporter=first, **SMALL)
    assert len(first.trained()) == 4
    assert before.folder.parts == ("runs", "compare-classify-data-001")
    after = cw.compare(cells=["elman", own_cell], seeds=2, reporter=again, **SMALL)
    assert again.trained() == []
    assert str(after) == str(before)
    folder = before.folder
    cw.compare(cells=["gru", "elman"], seeds=[0, 5], folder=folder, reporter=more, **SMALL)
    assert more.trained() == [("gru", 0), ("gru", 5), ("elman", 5)]
    other = cw.compare(cells=["elman"], seeds=1, **SMALL | {"epochs": 1})
    assert other.folder.name == "compare-classify-data-002"


def test_other_options_are_refused(here):
    cw.compare(cells=["elman", own_cell], seeds=1, folder="out", **SMALL)
    listing = sorted(here.rglob("*"))
    with pytest.raises(RunError, match="started with epochs=2, not 3"):
        cw.compare(cells="elman", seeds=1, folder="out", **SMALL | {"epochs": 3})
    with pytest.raises(
        RunError, match="with layers as they are given, not with layers matched to 500"
    ):
        cw.compare(cells="elman", seeds=1, folder="out", parameters=500, **SMALL)
    other = {"own_cell": broken_cell}
    with pytest.raises(RunError, match="other equations for 'own_cell'"):
        cw.compare(cells=other, seeds=1, folder="out", **SMALL)
    with pytest.raises(RunError, match="holds a run; name another folder"):
        cw.compare(cells="elman", seeds=1, folder="out/elman/seed-0", **SMALL)
    (here / "out/comparison.yaml").write_text("job: [")
    with pytest.raises(RunError, match=r"comparison\.yaml is not that of a comparison"):
        cw.compare(cells="elman", seeds=1, folder="out", **SMALL)
    assert sorted(here.rglob("*")) == listing


def test_a_failed_run_is_kept_and_stops_no_other(here):
    told, again = Told(), Told()
    cells = [broken_cell, "elman"]
    found = cw.compare(cells=cells, seeds=2, folder="out", reporter=told, **SMALL)
    assert found.best == "elman"
    assert found.verdict("broken_cell") == "failed"
    assert list(found.table.index) == ["elman", "broken_cell"]
    assert math.isnan(found.table.loc["broken_cell", "accuracy"])
    assert "broken_cell, seed 1, failed: the loss became nan in epoch 1" in str(found)
    assert (here / "out/broken_cell/seed-0/failure.json").exists()
    same = cw.compare(cells=cells, seeds=2, folder="out", reporter=again, **SMALL)
    assert again.trained() == []
    assert str(same) == str(found)
    assert found.summary()["failures"]["broken_cell"].keys() == {"0", "1"}
    json.dumps(found.summary(), allow_nan=False)
    only = cw.compare(cells=broken_cell, seeds=1, folder="none", **SMALL)
    assert only.best is None
    assert "No run finished" in str(only)
    assert not (here / "none/comparison.png").exists()
    (here / "none/comparison.png").touch()
    only.save(here / "none")
    assert not (here / "none/comparison.png").exists()


def test_what_may_pass_another_time_is_tried_again(here, monkeypatch):
    def full_disk(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("cellwright.jobs.comparing.classifying.run", full_disk)
        found = cw.compare(cells="elman", seeds=1, folder="out", **SMALL)
    assert "No space left" in found.failures["elman"][0]
    assert cw.compare(cells="elman", seeds=1, folder="out", **SMALL).best == "elman"


def test_one_seed_says_nothing_of_noise(here):
    found = cw.compare(cells="elman,gru", seeds=1, **SMALL)
    assert "With one seed nothing can be said about noise" in str(found)
    assert set(found.table["verdict"]) == {"best", "unknown"}
    assert "within noise" not in str(found)


def test_seeds_that_did_not_vary_say_nothing():
    found = made({"elman": [0.90, 0.90], "gru": [0.91, 0.91], "lstm": [0.8, 0.9]})
    assert found.verdict("elman") == "unknown"
    assert "elman and gru: the seeds did not vary, so nothing can be said about noise." in str(
        found
    )
    assert "fewer than two finished runs" not in str(found)
    assert "gru has the best mean accuracy: 0.9100.\n" in str(found)
    assert found.verdict("lstm") == "within noise"
    few = made({"elman": [0.90, 0.92], "gru": [0.95]})
    assert "a cell has fewer than two finished runs" in str(few)
    assert "did not vary" not in str(few)


def test_parameters_are_matched_to_the_first_cell(here):
    found = cw.compare(
        cells="elman,gru,lstm", seeds=1, match="parameters", **SMALL | {"layers": 40}
    )
    first = cw.jobs.load(here / found.folder / "elman/seed-0").network_
    wanted = sum(weight.numel() for weight in first.parameters())
    assert wanted == 40 * 2 + 40 * 40 + 40 + 40 * 2 + 2
    for contender in found.contenders:
        network = cw.jobs.load(here / found.folder / contender.label / "seed-0").network_
        number = sum(weight.numel() for weight in network.parameters())
        assert found.table.loc[contender.label, "parameters"] == number
        assert abs(number - wanted) < 100
    config = yaml.safe_load((here / found.folder / "comparison.yaml").read_text())
    assert config["match"] == wanted


def test_what_masks_leave_out_is_not_matched(here):
    options = SMALL | {"layers": 40, "epochs": 1}
    found = cw.compare(cells="elman,clockwork", seeds=1, match="parameters", **options)
    # 40 · 40 entries of the one, of which a mask of 4 groups keeps 10 blocks of 16 in the other.
    assert found.table.loc["clockwork", "layers"] == "48"
    network = cw.jobs.load(here / found.folder / "clockwork/seed-0").network_
    all_of_them = sum(weight.numel() for weight in network.parameters())
    learned = found.table.loc["clockwork", "parameters"]
    assert learned == all_of_them - 6 * 12 * 12
    assert abs(learned - found.table.loc["elman", "parameters"]) < 200
    result = json.loads((here / found.folder / "clockwork/seed-0/result.json").read_text())
    assert result["parameters"] == learned


def test_a_budget_of_seconds_becomes_one_of_samples(here):
    options = {key: value for key, value in SMALL.items() if key != "epochs"}
    told, again = Told(), Told()
    options |= {"cells": "elman,lstm", "seeds": 1, "seconds": 0.8, "folder": "out"}
    found = cw.compare(reporter=told, **options)
    assert told.notes == ["a short training of each cell first, to prepare for 0.8 s"]
    for name in ("elman", "lstm"):
        outcome = found.outcomes[name][0]
        assert outcome.samples == found.contenders[name == "lstm"].samples
        assert outcome.samples > 28
        assert 0.1 < outcome.seconds < 30
    same = cw.compare(reporter=again, **options)
    assert again.trained() == again.notes == []
    assert str(same) == str(found)


@pytest.mark.parametrize("seeds", [np.int64(2), np.arange(2), list(np.arange(2)), range(2), (0, 1)])
def test_seeds_may_be_numbers_of_numpy(seeds):
    found = _seeds(seeds)
    assert found == [0, 1]
    assert {type(seed) for seed in found} == {int}


def test_a_task_takes_one_number_where_two_are_usual(here):
    sizes = {"epoch_size": 20, "validation_size": 20, "test_size": 20, "backend": "reference"}
    options = {"cells": "elman", "seeds": 1, "epochs": 1, "layers": 2, "folder": "one", **sizes}
    (outcome,) = cw.compare("parity:steps=3", **options).outcomes["elman"].values()
    alone = learn(tasks.parity(3), cell="elman", layers=2, epochs=1, **sizes)
    assert outcome.value == alone.measures["loss"]


def test_a_task_is_compared_by_its_own_measure(here):
    sizes = {"epoch_size": 60, "validation_size": 20, "test_size": 30, "backend": "reference"}
    found = cw.compare(
        "parity:steps=[2,3]", cells="elman,gru", seeds=2, epochs=2, layers=4, **sizes
    )
    assert found.measure in found.outcomes["gru"][0].measures
    assert found.lower_is_better
    assert found.table[found.measure].is_monotonic_increasing
    assert "solved" in found.table
    assert found.outcomes["gru"][0].samples == 120
    again = Told()
    cw.compare(
        "parity:steps=[2,3]",
        cells="elman,gru",
        seeds=2,
        epochs=2,
        layers=4,
        reporter=again,
        **sizes,
    )
    assert again.trained() == []
    assert [path.name for path in (here / "runs").iterdir()] == ["compare-parity-steps=2-3-001"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"cells": "lstn"}, CellError, "Did you mean 'lstm'"),
        ({"cells": ""}, SettingError, "name at least one"),
        ({"cells": "gru,elman,gru"}, SettingError, "'gru' stands there twice"),
        ({"cells": {"a": "gru", "b": "gru"}}, SettingError, "'a' and 'b' have the same equations"),
        ({"cells": {"a:b": "gru", "a/b": "lstm"}}, SettingError, "would share the folder 'a-b'"),
        ({"job": "clasify"}, SettingError, "Did you mean 'classify'"),
        ({"seeds": 0}, SettingError, "at least one"),
        ({"seeds": [1, 1]}, SettingError, "a seed stands there twice"),
        ({"seeds": [-1]}, SettingError, "-1 is not a whole number"),
        ({"seeds": "3"}, SettingError, "give how many"),
        ({"workers": 0}, SettingError, "workers=0"),
        ({"seconds": 0}, SettingError, "more than 0"),
        ({"parameters": 0}, SettingError, "parameters=0"),
        ({"parameters": 7}, SettingError, "the smallest network has"),
        ({"match": "layers"}, SettingError, "match='layers'"),
        ({"epoch": 3}, SettingError, "classify has no option 'epoch'. Did you mean 'epochs'"),
        ({"random_state": 3}, SettingError, "takes seeds instead"),
        ({"cell": "gru"}, SettingError, "takes cells instead"),
        ({"epochs": 0}, SettingError, "epochs=0"),
        ({"sizes": {"proj": 3}}, SettingError, "no cell has a size 'proj'"),
        ({"cells": "projected_lstm"}, SettingError, "a size 'proj' of its own.*--sizes proj=32"),
        ({"cells": {1: "gru"}}, ArgumentError, "the label 1 is no text"),
        ({"cells": {"x" * 300: "gru"}}, SettingError, "too long for the name of a folder"),
        ({"cells": {"Table.csv": "gru"}}, SettingError, "'Table.csv' is a file of the comparison"),
        ({"seconds": math.inf}, SettingError, "seconds=inf.*has an end"),
        ({"seconds": 3}, SettingError, "seconds=3 and epochs=2 are both budgets"),
        ({"match": "parameters", "parameters": 500}, SettingError, "give one of them"),
        ({"class_weights": {"17": 2.0}}, SettingError, "there is no label '17'"),
        ({"validation_fraction": 0.9999}, DataError, "the data cannot be divided"),
        ({"folder": "data.npz/x"}, RunError, "data.npz/x cannot be made"),
        ({"folder": "data.npz"}, RunError, "data.npz cannot be made"),
    ],
)
def test_a_mistake_is_told_before_any_work(here, monkeypatch, changes, error, message):
    monkeypatch.setattr(running, "run_side_by_side", lambda *arguments: pytest.fail("worked"))
    with pytest.raises(error, match=message):
        cw.compare(**{"cells": "gru", **SMALL, **changes})
    assert [path.name for path in here.iterdir()] == ["data.npz"]


@pytest.mark.parametrize(
    ("job", "options", "message"),
    [
        ("adding", {"pooling": "mean"}, "adding has no option 'pooling'"),
        ("adding", {"data": "x"}, "adding has no option 'data'"),
        ("adding:step=5", {}, "adding has no option 'step'.*Did you mean 'steps'"),
        ("jsb_chorales", {}, "wants its file"),
        ("parity", {"learning_rate": -1}, "learning_rate=-1"),
        ("parity", {"epoch_size": 0}, "epoch_size=0"),
        ("parity", {"match": "parameters", "sizes": {"proj": 2}}, "no cell has a size 'proj'"),
        ("embedded_reber", {"bidirectional": True}, "asks what comes next"),
    ],
)
def test_a_task_refuses_what_it_lacks(here, job, options, message):
    with pytest.raises(SettingError, match=message):
        cw.compare(job, cells="gru", **options)
    assert [path.name for path in here.iterdir()] == ["data.npz"]


def test_two_processes_do_not_work_in_one_folder(here):
    cw.compare(cells="elman", seeds=1, folder="out", **SMALL)
    program = (
        "import filelock; lock = filelock.FileLock('out/.lock'); lock.acquire()\n"
        "print('locked', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=here,
        text=True,
    ) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(RunError, match="another process is working on out"):
            cw.compare(cells="elman", seeds=1, folder="out", **SMALL)
        process.communicate("\n")
    shutil.rmtree(here / "out/elman")
    assert cw.compare(cells="elman", seeds=1, folder="out", **SMALL).best == "elman"


def test_a_task_ends_by_the_clock(here):
    told = Told()
    sizes = {"epoch_size": 40, "validation_size": 20, "test_size": 30, "backend": "reference"}
    found = cw.compare(
        "parity", cells="elman", seeds=1, seconds=0.3, layers=4, reporter=told, **sizes
    )
    assert len(told.notes) == 1
    outcome = found.outcomes["elman"][0]
    assert outcome.samples % 40 == 0
    assert 0.3 <= outcome.seconds < 30
