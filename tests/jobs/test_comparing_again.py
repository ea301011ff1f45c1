"""Comparisons that go on: nothing is taken for what it is not, and nothing is lost."""

import json
import math

import pytest
from comparisons import SMALL, Told, broken_cell, own_cell, write_data

import cellwright as cw
from cellwright.errors import RunError, TrainingError
from cellwright.jobs.comparing import classifying

SIZES = {"epoch_size": 32, "validation_size": 16, "test_size": 16, "backend": "reference"}


def test_a_label_keeps_its_equations_while_it_is_left_out(here):
    options = {"seeds": 1, "folder": "out", **SMALL}
    cw.compare(cells=[own_cell, "elman"], **options)
    cw.compare(cells="elman", **options)
    with pytest.raises(RunError, match="other equations for 'own_cell'"):
        cw.compare(cells={"own_cell": "gru", "elman": "elman"}, **options)
    back = Told()
    found = cw.compare(cells=["elman", own_cell], reporter=back, **options)
    assert back.trained() == []
    assert list(found.outcomes) == ["elman", "own_cell"]


@pytest.mark.parametrize("job", ["classify", "parity"])
def test_a_run_of_other_words_is_not_taken_for_this_one(here, job):
    options = {"seeds": 1, "folder": "out"}
    options |= SMALL if job == "classify" else SIZES | {"epochs": 1, "layers": 3}
    cw.compare(job, cells="elman,gru", **options)
    (here / "out/lstm").mkdir()
    (here / "out/gru/seed-0").rename(here / "out/lstm/seed-0")
    with pytest.raises(RunError, match="seed-0: the run there was started with other equations"):
        cw.compare(job, cells="elman,lstm", **options)


def test_a_budget_that_was_found_stays_that_of_its_cell(here):
    options = {key: value for key, value in SMALL.items() if key != "epochs"}
    options |= {"seeds": 1, "seconds": 0.5, "folder": "out"}
    before = cw.compare(cells="elman,gru", **options)
    cw.compare(cells="elman", **options)
    told = Told()
    after = cw.compare(cells="elman,gru", reporter=told, **options)
    assert told.trained() == told.notes == []
    assert [c.samples for c in after.contenders] == [c.samples for c in before.contenders]


def test_other_data_under_the_same_name_are_noticed(here):
    options = {"cells": "elman", **SMALL}
    before = cw.compare(seeds=1, **options)
    write_data(here / "data.npz", seed=5)
    with pytest.raises(RunError, match="data are no longer those the comparison was started with"):
        cw.compare(seeds=2, folder=before.folder, **options)
    after = cw.compare(seeds=1, **options)
    assert after.folder != before.folder
    assert after.outcomes["elman"][0].data_fingerprint != (
        before.outcomes["elman"][0].data_fingerprint
    )


def test_a_run_of_other_data_is_noticed(here):
    options = {"cells": "elman", "folder": "out", **SMALL}
    cw.compare(seeds=1, **options)
    path = here / "out/elman/seed-0/result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"data_fingerprint": "another"}))
    with pytest.raises(RunError, match="seed-0: the data are no longer those that this run"):
        cw.compare(seeds=1, **options)


def test_a_result_that_is_no_number_fails_its_run_alone(here):
    options = {"learning_rate": 1e25, "gradient_clip": None, "layers": 4, "epochs": 1, **SIZES}
    options |= {"job": "adding:steps=10", "batch_size": 32, "seeds": 1, "folder": "out"}
    found = cw.compare(cells="elman_relu,gru", **options)
    assert json.loads((here / "out/elman_relu/seed-0/result.json").read_text())["test"]
    assert found.best == "gru"
    assert found.failures["elman_relu"] == {0: "its loss on the test part is no finite number"}
    assert all(math.isfinite(one.value) for one in found.outcomes["gru"].values())
    assert found.outcomes["elman_relu"] == {}
    again = Told()
    same = cw.compare(cells="elman_relu,gru", reporter=again, **options)
    assert again.trained() == []
    assert str(same) == str(found)


def test_a_cell_without_a_budget_fails_alone(here, monkeypatch):
    samples_in = classifying.Classify.samples_in

    def diverging(self, seconds, trial):
        if trial.cell.name == "gru":
            raise TrainingError("the loss became nan in epoch 1")
        if trial.cell.name == "lstm":
            raise OSError(28, "No space left on device")
        return samples_in(self, seconds, trial)

    options = {key: value for key, value in SMALL.items() if key != "epochs"}
    options |= {"cells": "gru,elman,lstm", "seeds": 2, "seconds": 0.5, "folder": "out"}
    with monkeypatch.context() as patch:
        patch.setattr(classifying.Classify, "samples_in", diverging)
        found = cw.compare(**options)
    assert found.best == "elman"
    assert found.failures["gru"].keys() == found.failures["lstm"].keys() == {0, 1}
    assert found.failures["gru"][1] == (
        "the loss became nan in epoch 1, in the short training before"
    )
    told = Told()
    after = cw.compare(reporter=told, **options)
    assert told.trained() == [("lstm", 0), ("lstm", 1)], "what may pass is tried again"
    assert after.failures["gru"] == found.failures["gru"]


def test_files_of_somebody_else_stay(here):
    (here / "out").mkdir()
    (here / "out/table.csv").write_text("mine,1\n")
    with pytest.raises(RunError, match=r"table\.csv is of no comparison.*name another folder"):
        cw.compare(cells="elman", seeds=1, folder="out", **SMALL)
    assert [path.name for path in (here / "out").iterdir()] == ["table.csv"]
    assert (here / "out/table.csv").read_text() == "mine,1\n"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("elman/seed-0/metrics.csv", "epoch,samples,seconds\n1,36,1\n2,72,1\n", "none of the"),
        ("elman/seed-0/metrics.csv", None, "metrics.csv has 1 of 2 epochs"),
        (
            "elman/seed-0/result.json",
            '{"test": {',
            "cannot be read.*delete its folder, and the same",
        ),
        ("comparison.yaml", "", "comparison.yaml is not that of a comparison: it is no list of"),
        ("comparison.yaml", "[1, 2]", "comparison.yaml is not that of a comparison: it is no list"),
    ],
)
def test_damaged_files_are_named_with_what_to_do(here, file, text, message):
    cw.compare(cells="elman", seeds=1, folder="out", **SMALL)
    path = here / "out" / file
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) if text is None else text)
    with pytest.raises(RunError, match=message):
        cw.compare(cells="elman", seeds=1, folder="out", **SMALL)


@pytest.mark.parametrize("job", ["classify", "parity"])
def test_each_cell_gets_the_sizes_that_it_has(here, job):
    options = {"seeds": 1, "sizes": {"proj": 3, "output": 2}}
    options |= SMALL if job == "classify" else SIZES | {"epochs": 1, "layers": 3}
    found = cw.compare(job, cells="projected_lstm,jordan,elman", **options)
    assert list(found.table["runs"]) == [1, 1, 1]
    for contender in found.contenders:
        outcome = found.outcomes[contender.label][0]
        assert outcome.parameters == contender.parameters


def test_a_device_that_is_not_there_is_told_before_any_work(here, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for job, options in (("classify", SMALL), ("parity", SIZES)):
        with pytest.raises(cw.errors.SettingError, match="device='cuda'"):
            cw.compare(job, cells="elman", seeds=1, **options | {"device": "cuda"})
    assert [path.name for path in here.iterdir()] == ["data.npz"]


def test_a_loss_that_is_no_number_at_once_is_a_failure_of_its_run(here):
    """What holds for one cell only is no mistake of the comparison."""
    found = cw.compare("parity", cells=[broken_cell, "elman"], seeds=1, epochs=1, layers=3, **SIZES)
    assert found.best == "elman"
    assert found.verdict("broken_cell") == "failed"
