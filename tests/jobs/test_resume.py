"""A training cut off anywhere and resumed ends with the very weights of one that was not."""

import csv
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import cellwright as cw
from cellwright.data import as_sequences
from cellwright.errors import DataError, ModelFileError, RunError, SettingError
from cellwright.jobs import Reporter, RunFolder, configure, read_config, run
from cellwright.jobs.options import TrainingOptions, validated
from cellwright.jobs.registry import job_of
from cellwright.jobs.runs.folder import next_folder
from cellwright.jobs.training.checkpoint import Checkpoint
from cellwright.jobs.training.engine import train
from cellwright.jobs.training.examples import Examples
from cellwright.jobs.training.processes import Processes
from cellwright.jobs.training.tensor_file import read_tensors, write_tensors
from cellwright.models import ClassifierNetwork

COURSES = {
    "plain": {},
    "random": {"dropout": 0.3, "zoneout": 0.2, "recurrent_dropout": 0.1, "layers": [4, 3]},
    "patience": {"patience": 1, "learning_rate": 0.2, "epochs": 12, "validation_fraction": 0.3},
    "samples": {"samples": 100, "epochs": 30},
    "momentum": {"optimizer": "sgd", "schedule": "constant", "gradient_clip": None},
    "rmsprop": {"optimizer": "rmsprop", "schedule": "cosine", "precision": "64-true"},
    "adam": {"optimizer": "adam", "validation_fraction": 0, "cell": "gru", "bidirectional": True},
}


class Interrupt(Reporter):
    """Stops at the n-th thing that it is told."""

    def __init__(self, at):
        self.left = at
        self.epochs = []
        self.steps = 0

    def started(self, description):
        self._count()

    def advanced(self, progress):
        self.steps += 1
        self._count()

    def epoch_finished(self, row):
        self.epochs.append(row["epoch"])
        self._count()

    def _count(self):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def interrupt(*arguments):
    raise KeyboardInterrupt


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5, 2))
    y = (x.mean((1, 2)) + 0.2 * rng.normal(size=60) > 0).astype(int)
    np.savez(tmp_path / "data.npz", X=x, y=y)
    return str(tmp_path / "data.npz")


@pytest.fixture
def small(data):
    def small(**options):
        defaults = {"layers": [4], "epochs": 4, "batch_size": 16}
        return configure(data, **{**defaults, **options})

    return small


def assert_same_run(first, second):
    a, b = load_file(first.model), load_file(second.model)
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
    tables = [pd_rows(folder) for folder in (first, second)]
    assert tables[0] == tables[1]
    results = [without(json.loads((f.path / "result.json").read_text())) for f in (first, second)]
    assert results[0] == results[1]


def without(row):
    return {name: value for name, value in row.items() if name not in ("seconds", "run")}


def pd_rows(folder):
    with (folder.path / "metrics.csv").open() as file:
        return [without(row) for row in csv.DictReader(file)]


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes longer than these trainings."""
    drawn = ("runs.run.draw_learning_curve", "runs.run.save_picture")
    for name in (
        *drawn,
        "classify.job.draw_confusion",
        "classify.job.draw_calibration",
        "classify.job.save_picture",
    ):
        monkeypatch.setattr(f"cellwright.jobs.{name}", lambda *arguments: None)


@pytest.mark.parametrize("course", COURSES)
def test_interrupted_anywhere_it_ends_with_the_same_weights(small, tmp_path, course, no_pictures):
    config = small(**COURSES[course])
    whole, told = RunFolder(tmp_path / "whole"), Interrupt(0)
    run(config, whole, reporter=told)
    count = -told.left
    for at in {1, 2, count // 3, count // 2, count - 5, count - 3, count - 1, count}:
        cut, reporter = RunFolder(tmp_path / f"cut{at}"), Interrupt(at)
        with pytest.raises(KeyboardInterrupt):
            run(config, cut, reporter=reporter)
        again = Interrupt(0)
        run(config, cut, resume=True, reporter=again)
        assert reporter.epochs + again.epochs == told.epochs
        assert reporter.steps + again.steps == told.steps
        assert_same_run(whole, cut)


def test_interrupted_again_and_again(small, tmp_path):
    config = small(**COURSES["random"])
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    run(config, whole)
    epochs = []
    for _ in range(30):
        reporter = Interrupt(6)
        try:
            run(config, cut, resume=True, reporter=reporter)
            break
        except KeyboardInterrupt:
            pass
        finally:
            epochs += reporter.epochs
    assert epochs == [1, 2, 3, 4]
    assert_same_run(whole, cut)


@pytest.mark.parametrize("moment", ["in a step", "in a later one", "in the validation"])
def test_control_c_at_any_moment_loses_no_step(small, tmp_path, monkeypatch, moment, no_pictures):
    config = small(**COURSES["random"], validation_fraction=0.2)
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    told, before, after = Interrupt(0), Interrupt(0), Interrupt(0)
    run(config, whole, reporter=told)
    calls = []
    original = ClassifierNetwork.forward

    def press(self, *arguments):
        calls.append(self.training)
        # Three steps an epoch, each of which is followed by a batch of the validation.
        if len(calls) == {"in a step": 1, "in a later one": 6, "in the validation": 8}[moment]:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierNetwork, "forward", press)
        with pytest.raises(KeyboardInterrupt):
            run(config, cut, reporter=before)
    assert calls[-1] is (moment != "in the validation")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run(config, cut, resume=True, reporter=after)
    # The step under way is finished, but nobody was told of it.
    assert before.steps + after.steps == told.steps - calls[-1]
    assert_same_run(whole, cut)


def test_control_c_while_a_checkpoint_is_written_leaves_no_epoch_untold(
    small, tmp_path, monkeypatch, no_pictures
):
    folder, before, after = RunFolder(tmp_path / "cut"), Interrupt(0), Interrupt(0)
    original, pressed = Checkpoint.write, []

    def press(self, *arguments):
        if not pressed:
            pressed.append(os.kill(os.getpid(), signal.SIGINT))
        original(self, *arguments)

    monkeypatch.setattr(Checkpoint, "write", press)
    with pytest.raises(KeyboardInterrupt):
        run(small(), folder, reporter=before)
    assert before.epochs == [int(row["epoch"]) for row in pd_rows(folder)] == [1]
    run(small(), folder, resume=True, reporter=after)
    assert after.epochs == [2, 3, 4]


def test_a_step_that_broke_off_is_not_kept(small, tmp_path, monkeypatch, no_pictures):
    config = small()
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    run(config, whole)
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(config, cut)
    assert not cut.checkpoint.exists()
    run(config, cut, resume=True)
    assert_same_run(whole, cut)


def test_states_that_go_from_window_to_window_go_on(tmp_path):
    text = "".join(np.random.default_rng(0).choice(list("abc "), 500))
    options = {"layers": [5, 4], "steps": 7, "batch_size": 4, "epochs": 2, "dropout": 0.2}
    whole, told = cw.LanguageModel(**options), Interrupt(0)
    weights = whole.fit(text, reporter=told).network_.state_dict()
    for at in range(1, -told.left, 5):
        cut, path = cw.LanguageModel(**options), tmp_path / f"{at}.safetensors"
        with pytest.raises(KeyboardInterrupt):
            cut.fit(text, checkpoint=path, reporter=Interrupt(at))
        again = Interrupt(0)
        cut.fit(text, checkpoint=path, resume=True, reporter=again)
        assert again.left == told.left + at
        for name, weight in cut.network_.state_dict().items():
            assert torch.equal(weight, weights[name]), (at, name)


def test_several_processes_do_not_go_on_within_an_epoch(tmp_path):
    network, path = torch.nn.Linear(1, 1), tmp_path / "c.safetensors"
    data = Examples(as_sequences(np.ones((8, 1, 1))), torch.zeros(8))
    options = validated(TrainingOptions(epochs=1, batch_size=4))

    def objective(network, batch):
        loss = network(batch.x.float()).square().mean()
        return loss, {"loss": loss.detach() * len(batch.rows)}

    def start(processes, reporter=None):
        how = {"checkpoint": path, "resume": True, "processes": processes}
        train(network, objective, data, None, options, reporter=reporter, **how)

    with pytest.raises(KeyboardInterrupt):
        start(Processes(1, 0), Interrupt(1))
    with pytest.raises(RunError, match="let it end that epoch before several processes go on"):
        start(Processes(2, 0))


def test_a_stop_between_checkpoint_and_table_loses_nothing(small, tmp_path, monkeypatch):
    config = small()
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    run(config, whole)
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_metrics", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(config, cut)
    run(config, cut, resume=True)
    assert_same_run(whole, cut)


@pytest.mark.parametrize("file", ["model", "learning_curve", "files"])
def test_a_stop_while_finishing_loses_nothing(small, tmp_path, monkeypatch, file):
    config = small()
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    run(config, whole)
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, file, interrupt if file == "files" else property(interrupt))
        with pytest.raises(KeyboardInterrupt):
            run(config, cut)
    assert not (cut.path / "result.json").exists()
    run(config, cut, resume=True)
    assert_same_run(whole, cut)


def test_what_a_killed_process_was_writing_is_removed(small, tmp_path):
    folder = RunFolder(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        run(small(), folder, reporter=Interrupt(7))
    half = folder.path / ".checkpoint.safetensors.x1"
    half.write_bytes(b"half")
    run(small(), folder, resume=True)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "calibration.png",
        "checkpoint.safetensors",
        "config.yaml",
        "confusion_matrix.png",
        "learning_curve.png",
        "metrics.csv",
        "model.cw",
        "result.json",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 5), ("layers", [5]), ("cell", "gru"), ("random_state", 1), ("test_fraction", 0.3)],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_changed_option_is_refused_by_name(small, tmp_path, name, value, finished):
    folder = RunFolder(tmp_path / "run")
    try:
        run(small(), folder, reporter=Interrupt(0 if finished else 7))
    except KeyboardInterrupt:
        assert not finished
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    with pytest.raises(RunError, match=f"started with {name}=.* not "):
        run(small(**{name: value}), folder, resume=True)
    assert {path: path.read_bytes() for path in folder.path.iterdir()} == before


def test_changed_data_are_refused(small, data, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run(small(), folder, reporter=Interrupt(7))
    arrays = dict(np.load(data))
    arrays["X"] += 1
    np.savez(data, **arrays)
    with pytest.raises(RunError, match="other data or options"):
        run(small(), folder, resume=True)


def test_a_finished_run_prints_its_result_and_does_nothing(small, tmp_path):
    class Result(Reporter):
        def finished(self, result):
            self.result = result

    folder = RunFolder(tmp_path / "run")
    result = run(small(), folder)
    before = {path: path.stat().st_mtime_ns for path in folder.path.iterdir()}
    reporter = Result()
    assert run(small(), folder, resume=True, reporter=reporter) == result == reporter.result
    assert {path: path.stat().st_mtime_ns for path in folder.path.iterdir()} == before
    moved = folder.path.rename(tmp_path / "moved")
    assert run(small(), RunFolder(moved), resume=True)["run"] == str(moved)


@pytest.mark.parametrize("exists", [True, False])
def test_resume_starts_where_there_is_nothing(small, tmp_path, exists):
    folder = RunFolder(tmp_path / "run")
    if exists:
        folder.path.mkdir()
        (folder.path / "notes.txt").write_text("mine")
    run(small(), folder, resume=True)
    assert folder.model.exists()


def test_a_run_is_overwritten_only_when_asked(small, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    for mine in ("notes.txt", "my.png"):
        (folder.path / mine).write_text("mine")
    run(small(), folder)
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    with pytest.raises(RunError, match="already holds a run.*--overwrite"):
        run(small(epochs=1), folder)
    assert {path: path.read_bytes() for path in folder.path.iterdir()} == before
    result = run(small(epochs=1), folder, overwrite=True)
    assert result["epochs"] == 1
    assert len(pd_rows(folder)) == 1
    assert (folder.path / "my.png").read_text() == "mine"


def test_nothing_of_a_run_of_another_job_is_left(small, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_config(configure(job="regress").model_dump())
    for name in (*job_of("regress").files, "my.png"):
        (folder.path / name).write_text("of the other job")
    run(small(epochs=1), folder, overwrite=True)
    left = {path.name for path in folder.path.iterdir()} & {*job_of("regress").files, "my.png"}
    assert left == {"my.png"}
    folder.config_file.write_text("damaged")
    run(small(epochs=1), folder, overwrite=True)


@pytest.mark.parametrize("file", ["model.cw", "checkpoint.safetensors", "result.json"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_with_remains_of_a_run_is_not_overwritten(small, tmp_path, file, resume):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / file).write_text("precious")
    with pytest.raises(RunError, match="already holds a run"):
        run(small(), RunFolder(tmp_path / "run"), resume=resume)
    assert (tmp_path / "run" / file).read_text() == "precious"


def test_an_overwrite_that_is_cut_off_never_looks_finished(small, tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run")
    run(small(), folder)
    removed = []

    def unlink(path, missing_ok=False):
        if len(removed) == 1:
            raise KeyboardInterrupt
        removed.append(path.name)
        original(path, missing_ok)

    original = Path.unlink
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(KeyboardInterrupt):
            run(small(epochs=2), folder, overwrite=True)
    assert removed == ["result.json"]
    with pytest.raises(RunError, match="started with epochs=4, not 2"):
        run(small(epochs=2), folder, resume=True)


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
@pytest.mark.parametrize("how", ["new", "resume", "overwrite"])
def test_a_folder_that_another_process_works_on_is_left_alone(small, tmp_path, how):
    folder = RunFolder(tmp_path / "new/run")

    class Second(Reporter):
        """Another process, which comes in the middle; a lock does not know whose it is."""

        tries = 0

        def epoch_finished(self, row):
            before = sorted(folder.path.iterdir())
            with pytest.raises(RunError, match="another process is working on .*run"):
                run(small(epochs=1), RunFolder(folder.path), **{how: True} if how != "new" else {})
            assert sorted(folder.path.iterdir()) == before
            self.tries += 1

    second = Second()
    assert run(small(), folder, reporter=second)["epochs"] == second.tries == 4


def test_nothing_is_left_of_a_folder_in_which_nothing_began(small, tmp_path):
    with pytest.raises(DataError):
        run(small(validation_fraction=0.99), RunFolder(tmp_path / "new/run"))
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_a_run_error(small, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file/run"):
        with pytest.raises(RunError, match="cannot be made"):
            run(small(), RunFolder(path))


def test_the_configuration_repeats_the_run(small, tmp_path):
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    run(small(**COURSES["random"]), first)
    run(read_config(first.config_file), second)
    assert_same_run(first, second)
    assert first.config_file.read_text() == second.config_file.read_text()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", "{", "job: fly", "data: 5", "options: 5", "options: {epoch: 3}", "magic: 1",
     "options: {epochs: many}", "test_fraction: x", "!!python/object/apply:os.system [ls]", "\x00"],
)  # fmt: skip
def test_a_foreign_configuration_is_refused(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(RunError, match=r"is not the config\.yaml of a run"):
        read_config(path)
    with pytest.raises(RunError):
        read_config(tmp_path / "missing")


def test_a_configuration_is_validated(data):
    with pytest.raises(SettingError, match="no option 'epoch'. Did you mean 'epochs'"):
        configure(data, epoch=3)
    with pytest.raises(SettingError, match="test_fraction='x'"):
        configure(data, test_fraction="x")
    with pytest.raises(SettingError, match="epochs=0"):
        configure(data, epochs=0)


def test_a_run_keeps_the_equations_of_a_cell_of_ones_own(small, tmp_path):
    @cw.cell(state="h")
    def my_cell(x, h):
        return cw.tanh(cw.affine("h", x, h)) + 0.5 * h

    folder = RunFolder(tmp_path / "run")
    run(small(cell=my_cell, epochs=1), folder)
    assert read_config(folder.config_file).estimator_options["cell"] == my_cell
    assert small(cell=cw.cells.lstm).options["cell"] == "lstm"
    run(read_config(folder.config_file), RunFolder(tmp_path / "again"))
    assert_same_run(folder, RunFolder(tmp_path / "again"))


@pytest.mark.parametrize("text", ["", "[1]", "null", "{"])
def test_a_damaged_result_is_a_run_error(small, tmp_path, text):
    folder = RunFolder(tmp_path / "run")
    run(small(epochs=1), folder)
    (folder.path / "result.json").write_text(text)
    model = folder.model.read_bytes()
    folder.model.unlink()
    with pytest.raises(RunError, match=r"result\.json cannot be read.*; delete it, and --resume"):
        run(small(epochs=1), folder, resume=True)
    (folder.path / "result.json").unlink()
    run(small(epochs=1), folder, resume=True)
    assert folder.model.read_bytes() == model


def test_a_damaged_checkpoint_is_refused(small, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run(small(), folder, reporter=Interrupt(7))
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:100])
    with pytest.raises(ModelFileError, match=r"checkpoint.*; delete it, and the training begins"):
        run(small(), folder, resume=True)
    folder.checkpoint.unlink()
    run(small(), folder, resume=True)
    whole = RunFolder(tmp_path / "whole")
    run(small(), whole)
    assert_same_run(folder, whole)


def test_a_checkpoint_that_does_not_fit_the_network_is_refused(small, tmp_path):
    # Such as one of a version whose weights had other names.
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run(small(), folder, reporter=Interrupt(7))
    tensors, document = read_tensors(folder.checkpoint)
    renamed = {name.replace("readout", "reading"): value for name, value in tensors.items()}
    write_tensors(folder.checkpoint, renamed, document)
    with pytest.raises(RunError, match="another version of cellwright.*readout.weight"):
        run(small(), folder, resume=True)
    write_tensors(folder.checkpoint, tensors, [document])
    with pytest.raises(RunError, match="other data or options"):
        run(small(), folder, resume=True)
    write_tensors(folder.checkpoint, tensors, document)
    run(small(), folder, resume=True)


@pytest.mark.parametrize("how", ["new", "resume", "overwrite"])
def test_what_was_being_written_before_there_was_a_run_is_removed(small, tmp_path, how):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / ".config.yaml.58236002").write_text("job: cl")
    (folder.path / ".notes").write_text("mine")
    run(small(), folder, **({} if how == "new" else {how: True}))
    assert [path.name for path in folder.path.glob(".*")] == [".notes"]


def test_folders_are_numbered(tmp_path):
    assert next_folder(tmp_path, "a") == tmp_path / "a-001"
    assert next_folder(tmp_path, "a", last=True) == tmp_path / "a-001"
    (tmp_path / "a-001").mkdir()
    (tmp_path / "a-002").mkdir()
    assert next_folder(tmp_path, "a") == tmp_path / "a-003"
    assert next_folder(tmp_path, "a", last=True) == tmp_path / "a-002"
    assert next_folder(tmp_path, "b") == tmp_path / "b-001"
    # The last run stays the last one where earlier ones are deleted.
    (tmp_path / "a-001").rmdir()
    (tmp_path / "a-notes").mkdir()
    assert next_folder(tmp_path, "a") == tmp_path / "a-003"
    assert next_folder(tmp_path, "a", last=True) == tmp_path / "a-002"
