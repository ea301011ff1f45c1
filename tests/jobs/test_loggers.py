"""TensorBoard and MLflow get what metrics.csv gets, and a resumed training goes on there."""

import math

import numpy as np
import pytest

import cellwright as cw
from cellwright.errors import MissingExtraError, SettingError
from cellwright.jobs import Reporter
from cellwright.jobs.training import loggers
from cellwright.jobs.training.loggers import MLflowLogger, Several, TensorBoardLogger, make_loggers


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def row(epoch, loss):
    return {"epoch": epoch, "train_loss": loss, "validation_loss": loss + 1, "seconds": 0.5}


def tell(logger, epochs, finish):
    logger.started({"job": "classify", "layers": [4], "run": "x"})
    for epoch in epochs:
        logger.epoch_finished(row(epoch, 1 / epoch))
    if finish:
        logger.finished({"test": {"accuracy": 0.75, "name": "odd"}, "epochs": epochs[-1]})
    logger.close()


def curves_of(folder):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_tensorboard_shows_every_epoch_and_the_test(tmp_path):
    pytest.importorskip("tensorboard")
    tell(TensorBoardLogger(tmp_path / "tb"), [1, 2, 3], finish=True)
    curves = curves_of(tmp_path / "tb")
    assert curves.keys() == {"train/loss", "validation/loss", "seconds", "test/accuracy"}
    assert curves["train/loss"] == [(1, 1), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert curves["test/accuracy"] == [(3, 0.75)]


def test_tensorboard_goes_on_where_a_training_goes_on(tmp_path):
    pytest.importorskip("tensorboard")
    tell(TensorBoardLogger(tmp_path), [1, 2], finish=False)
    logger = TensorBoardLogger(tmp_path)
    for epoch, loss in ((2, 5.0), (3, 4.0)):  # killed before the checkpoint of the second
        logger.epoch_finished(row(epoch, loss))
    logger.close()
    assert curves_of(tmp_path)["train/loss"] == [(1, 1), (2, 5), (3, 4)]


def test_tensorboard_keeps_its_curves_where_only_the_test_was_left_to_do(tmp_path):
    pytest.importorskip("tensorboard")
    tell(TensorBoardLogger(tmp_path), [1, 2], finish=False)
    logger = TensorBoardLogger(tmp_path)
    logger.started({"job": "classify"})
    logger.finished({"test": {"accuracy": 0.75}, "epochs": 2})
    curves = curves_of(tmp_path)
    assert [step for step, _ in curves["train/loss"]] == [1, 2]
    assert curves["test/accuracy"] == [(2, 0.75)]


def test_a_run_that_was_finished_before_is_nothing_new(fake, tmp_path):
    tell(MLflowLogger(tmp_path / "run"), [1, 2], finish=True)
    logger = MLflowLogger(tmp_path / "run")
    logger.finished({"test": {"accuracy": 0.75}, "epochs": 2})
    logger.close()
    assert len(fake.runs) == 1
    again = TensorBoardLogger(tmp_path / "tb")
    again.finished({"test": {"accuracy": 0.75}, "epochs": 2})
    assert not (tmp_path / "tb").exists()


def test_nothing_is_written_where_nothing_was_learned(tmp_path):
    pytest.importorskip("tensorboard")
    logger = TensorBoardLogger(tmp_path / "tb")
    logger.started({"job": "classify"})
    logger.close()
    assert not (tmp_path / "tb").exists()


class FakeMlflow:
    """What the logger uses of `mlflow.MlflowClient`, remembered."""

    def __init__(self):
        self.runs, self.experiments = {}, {}

    def get_experiment_by_name(self, name):
        found = self.experiments.get(name)
        return None if found is None else _Info(experiment_id=found)

    def create_experiment(self, name):
        self.experiments[name] = str(len(self.experiments))
        return self.experiments[name]

    def create_run(self, place, tags, run_name):
        name = f"run{len(self.runs)}"
        self.runs[name] = {"tags": tags, "status": "RUNNING", "metrics": [], "params": {}}
        return _Info(info=_Info(run_id=name))

    def search_runs(self, places, words, order_by):
        wanted = words.split("'")[1]
        found = [n for n, r in self.runs.items() if r["tags"]["cellwright_folder"] == wanted]
        infos = [_Info(run_id=name, status=self.runs[name]["status"]) for name in reversed(found)]
        return [_Info(info=info) for info in infos]

    def update_run(self, run, status):
        self.runs[run]["status"] = status

    set_terminated = update_run

    def log_param(self, run, key, value):
        self.runs[run]["params"][key] = value

    def log_metric(self, run, name, value, timestamp, step):
        assert math.isfinite(value)
        self.runs[run]["metrics"].append((name, step, value))


class _Info:
    def __init__(self, **values):
        vars(self).update(values)


@pytest.fixture
def fake(monkeypatch):
    import sys
    import types

    client = FakeMlflow()
    module = types.ModuleType("mlflow")
    module.MlflowClient = lambda tracking_uri=None: client
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setattr(loggers, "require_extra", lambda *names: None)
    return client


def test_mlflow_gets_parameters_curves_and_the_test(fake, tmp_path):
    tell(MLflowLogger(tmp_path / "run"), [1, 2], finish=True)
    (run,) = fake.runs.values()
    assert run["status"] == "FINISHED"
    assert run["params"] == {"job": "classify", "layers": "[4]", "run": "x"}
    assert ("train/loss", 2, 0.5) in run["metrics"]
    assert ("test/accuracy", 2, 0.75) in run["metrics"]
    assert len(run["metrics"]) == 2 * 3 + 1
    assert list(fake.experiments) == ["cellwright classify"]


def test_mlflow_goes_on_with_the_run_of_the_folder_only(fake, tmp_path):
    tell(MLflowLogger(tmp_path / "a"), [1, 2], finish=False)
    assert fake.runs["run0"]["status"] == "KILLED"
    tell(MLflowLogger(tmp_path / "b"), [1], finish=False)
    tell(MLflowLogger(tmp_path / "a"), [3], finish=True)  # resumed
    assert len(fake.runs) == 2
    assert fake.runs["run0"]["status"] == "FINISHED"
    tell(MLflowLogger(tmp_path / "b"), [1], finish=False)  # started anew
    assert len(fake.runs) == 3
    tell(MLflowLogger(tmp_path / "a"), [4], finish=False)  # goes on, but not with what is finished
    assert len(fake.runs) == 4
    assert fake.runs["run0"]["status"] == "FINISHED"


def test_a_store_that_refuses_is_named(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(fake, "create_run", lambda *a, **k: 1 / 0)
    with pytest.raises(SettingError, match="MLflow cannot keep the run: division"):
        tell(MLflowLogger(tmp_path), [1], finish=False)


class Shown(Reporter):
    """What a user sees."""

    def __init__(self):
        self.epochs, self.notes = [], []

    def epoch_finished(self, row):
        self.epochs.append(row["epoch"])

    def note(self, message):
        self.notes.append(message)


def test_a_store_that_is_lost_later_is_named_too(fake, tmp_path, monkeypatch):
    logger = MLflowLogger(tmp_path)
    tell(logger, [1], finish=False)
    logger.epoch_finished(row(2, 0.5))
    for name in ("log_metric", "set_terminated"):
        monkeypatch.setattr(fake, name, lambda *a, **k: 1 / 0)
    with pytest.raises(SettingError, match="MLflow cannot keep the run: division"):
        logger.epoch_finished(row(3, 0.4))
    with pytest.raises(SettingError, match="MLflow cannot keep the run: division"):
        logger.close()


def test_a_logger_that_fails_later_does_not_end_the_run(fake, tmp_path, monkeypatch):
    shown = Shown()
    several = Several([shown, MLflowLogger(tmp_path)])
    several.epoch_finished(row(1, 1.0))
    monkeypatch.setattr(fake, "log_metric", lambda *a, **k: 1 / 0)
    several.epoch_finished(row(2, 0.5))
    several.epoch_finished(row(3, 0.4))
    several.close()
    assert shown.epochs == [1, 2, 3]
    (note,) = shown.notes
    assert note.startswith("log='mlflow': MLflow cannot keep the run: division by zero; the run")
    with pytest.raises(SettingError, match="cannot keep the run"):
        Several([shown, MLflowLogger(tmp_path)]).epoch_finished(row(1, 1.0))


def test_names_that_mlflow_refuses_are_written_otherwise(fake, tmp_path):
    logger = MLflowLogger(tmp_path)
    logger.epoch_finished(row(1, 1.0))
    odd = {"accuracy_site(1).csv": 0.5, "accuracy_a//b °C": 0.25, "größe" * 60: 0.75}
    logger.finished({"test": odd, "epochs": 1})
    names = [name for name, *_ in fake.runs["run0"]["metrics"] if name.startswith("test")]
    assert names[:2] == ["test/accuracy_site_1_.csv", "test/accuracy_a/_b _C"]
    assert len(names[2]) == 250


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_mlflow_itself_keeps_what_it_is_told(tmp_path):
    """With the package itself, which takes seconds to import."""
    mlflow = pytest.importorskip("mlflow")
    tell(MLflowLogger(tmp_path / "run"), [1, 2], finish=False)
    tell(MLflowLogger(tmp_path / "run"), [3], finish=True)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("cellwright classify")
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert {each.step: each.value for each in history} == pytest.approx({1: 1, 2: 0.5, 3: 1 / 3})
    assert run.info.status == "FINISHED"


def test_a_real_training_is_logged_beside_what_else_is_told(tmp_path):
    pytest.importorskip("tensorboard")
    epochs = []

    class Seen(Reporter):
        def epoch_finished(self, row):
            epochs.append(row)

    x = np.random.default_rng(0).normal(size=(20, 3, 1))
    several = Several([Seen(), *make_loggers(["tensorboard"], tmp_path)])
    model = cw.SequenceClassifier(layers=[2], epochs=2, backend="reference")
    model.fit(x, np.arange(20) % 2, reporter=several)
    several.finished({"test": {}, "epochs": 2})
    several.note("done")
    several.close()
    curves = curves_of(tmp_path / "tensorboard")
    assert curves["train/loss"][1] == (2, pytest.approx(epochs[1]["train_loss"]))
    assert [each["epoch"] for each in epochs] == [1, 2]


def test_loggers_that_are_not_there_are_refused(tmp_path, monkeypatch):
    with pytest.raises(SettingError, match="'tensorbord'.*Did you mean 'tensorboard'"):
        make_loggers(["tensorbord"], tmp_path)
    with pytest.raises(SettingError, match="twice"):
        make_loggers(["tensorboard", "tensorboard"], tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("tensorboard", "mlflow"):
        with pytest.raises(MissingExtraError, match=r"cellwright\[loggers\]"):
            make_loggers([name], tmp_path)
