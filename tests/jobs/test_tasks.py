"""Learning tasks: the losses, the budgets, and that a run can be repeated and resumed."""

from pathlib import Path

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.data import Batch, tasks
from cellwright.data.tasks import Parts
from cellwright.errors import RunError, SettingError
from cellwright.jobs import Reporter
from cellwright.jobs.tasks.learning import build_network, learn, task_options
from cellwright.jobs.tasks.recipes import CHORALES, RECIPES, recipe
from cellwright.jobs.training import engine
from cellwright.jobs.training.devices import make_fabric
from cellwright.jobs.training.engine import evaluate
from cellwright.jobs.training.examples import Examples
from cellwright.jobs.training.objectives import LOSSES, AnswerLoss

SHARED = Path(__file__).parents[2] / "../shared/data/jsb-chorales/JSB_Chorales.mat"
SMALL = {"layers": 4, "epoch_size": 40, "validation_size": 30, "test_size": 20}
TASKS = {
    "number": tasks.adding(6),
    "class": tasks.temporal_order(2, steps=10),
    "class a step": tasks.embedded_reber(),
}


def weights(result):
    return list(result.network.state_dict().values())


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


def rows(result):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]


def examples(data):
    counted = None if data.counted is None else torch.from_numpy(data.counted)
    return Examples(data.x, torch.from_numpy(data.targets), counted)


class Log(Reporter):
    def __init__(self, stop_after=None):
        self.notes, self.stop_after, self.rows = [], stop_after, []

    def note(self, message):
        self.notes.append(message)

    def epoch_finished(self, row):
        self.rows.append(row)
        if len(self.rows) == self.stop_after:
            raise KeyboardInterrupt


# -- losses


def scores_of(batch, outputs):
    """A network whose answers are known: the same for every batch of that shape."""
    lead = batch.x.shape[:1] if batch.counted is None else batch.x.shape[:2]
    scores = torch.randn(*lead, outputs, generator=torch.Generator().manual_seed(0))
    return lambda x, lengths: scores


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_is_the_mean_over_what_counts(kind):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([3, 1, 4])
    step = kind.endswith("a step")
    counted = torch.arange(4) < lengths[:, None] if step else None
    lead = (3, 4) if step else (3,)
    if kind == "number":
        targets = torch.randn(*lead, 5, generator=generator)
    elif kind.startswith("class"):
        targets = torch.randint(0, 5, lead, generator=generator)
    else:
        targets = torch.randint(0, 2, (*lead, 5), generator=generator).float()
    batch = Batch(torch.zeros(3, 4, 1), lengths, np.arange(3), targets, counted)
    network = scores_of(batch, 5)
    loss, sums = AnswerLoss(LOSSES[kind])(network, batch)
    single = []
    for sample in range(3):
        for at in range(int(lengths[sample])) if step else [None]:
            place = (sample,) if at is None else (sample, at)
            score, target = network(None, None)[place].double(), targets[place]
            chances = score.softmax(0) if kind.startswith("class") else score.sigmoid()
            if kind == "number":
                single.append(sum((s - t) ** 2 for s, t in zip(score, target, strict=True)) / 5)
            elif kind.startswith("class"):
                single.append(-chances[target].log())
            else:
                pairs = zip(chances, target, strict=True)
                single.append(sum(-(p if t else 1 - p).log() for p, t in pairs))
    assert batch.answers == len(single) == (8 if step else 3)
    assert float(loss) == pytest.approx(float(sum(single)) / len(single), rel=1e-5)
    assert float(sums["loss"]) == pytest.approx(float(sum(single)), rel=1e-5)


def test_what_stands_behind_the_end_changes_nothing():
    data = tasks.embedded_reber().draw(30, 0)
    network = build_network(TASKS["class a step"], task_options(TASKS["class a step"]))
    loss = AnswerLoss(LOSSES["class a step"])

    def gradient(targets):
        network.zero_grad()
        batch = next(Examples(data.x, targets, torch.from_numpy(data.counted)).batches(30))
        loss(network, batch)[0].backward()
        return [weight.grad.clone() for weight in network.parameters()]

    targets = torch.from_numpy(data.targets)
    other = torch.where(torch.from_numpy(data.counted), targets, 3)
    assert not torch.equal(targets, other)
    for one, another in zip(gradient(targets), gradient(other), strict=True):
        assert torch.equal(one, another)
    changed = targets.clone()
    changed[0, 0] = 3
    pairs = zip(gradient(targets), gradient(changed), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_measures_the_loss_that_is_trained(kind):
    task = TASKS[kind]
    result = learn(task, epochs=1, **SMALL)
    data = task.draw(SMALL["test_size"], (3,))
    options = task_options(task, layers=4)
    loss = AnswerLoss(LOSSES[task.target])
    found = evaluate(make_fabric(options), result.network, loss, examples(data), 7)
    assert found["loss"] == pytest.approx(result.measures["loss"], rel=1e-5)


@pytest.mark.parametrize("kind", TASKS)
def test_the_loss_of_an_epoch_is_a_mean_over_its_answers(kind):
    task = TASKS[kind]
    still = {"learning_rate": 1e-30, "dropout": 0.0, "batch_size": 7}
    result = learn(task, epochs=1, **SMALL, **still)
    data = task.draw(SMALL["epoch_size"], (1, 0, 0))
    loss = AnswerLoss(LOSSES[task.target])
    found = evaluate(make_fabric(task_options(task)), result.network, loss, examples(data), 40)
    assert result.history[0]["train_loss"] == pytest.approx(found["loss"], rel=1e-5)


# -- the course of a training


def test_every_epoch_draws_sequences_of_its_own(monkeypatch):
    task, seeds = TASKS["number"], []
    drawn = tasks.Task.draw
    spy = lambda self, count, seed: seeds.append((count, seed)) or drawn(self, count, seed)  # noqa: E731
    monkeypatch.setattr(tasks.Task, "draw", spy)
    learn(task, epochs=3, seed=5, **SMALL)
    assert seeds == [(30, (2, 5)), (20, (3,)), (40, (1, 5, 0)), (40, (1, 5, 1)), (40, (1, 5, 2))]


@pytest.mark.parametrize("kind", TASKS)
def test_the_same_seed_learns_the_same(kind):
    first, again, other = (learn(TASKS[kind], epochs=2, seed=s, **SMALL) for s in (0, 0, 1))
    assert same(first, again)
    assert rows(first) == rows(again)
    assert first.measures == again.measures
    assert not same(first, other)


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    learn(TASKS["number"], epochs=1, **SMALL)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("stop", [1, 2])
def test_interrupted_and_resumed_it_learns_the_same(kind, stop, tmp_path):
    options = SMALL | {"dropout": 0.3, "sequences": 110, "batch_size": 16}
    whole = learn(TASKS[kind], **options)
    assert [row["samples"] for row in whole.history] == [40, 80, 110]
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        learn(TASKS[kind], checkpoint=path, reporter=Log(stop_after=stop), **options)
    resumed = learn(TASKS[kind], checkpoint=path, resume=True, **options)
    assert same(whole, resumed)
    assert rows(whole) == rows(resumed)
    assert whole.measures == resumed.measures


@pytest.mark.parametrize("change", [{"epoch_size": 41}, {"seed": 1}, {"learning_rate": 0.02}])
def test_a_checkpoint_of_another_course_is_refused(change, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    learn(TASKS["number"], epochs=1, checkpoint=path, **SMALL)
    with pytest.raises(RunError, match="other data or options"):
        learn(TASKS["number"], epochs=1, checkpoint=path, resume=True, **(SMALL | change))


@pytest.mark.parametrize("other", [tasks.parity(5, noise=0.9), tasks.parity(5, every_step=True)])
def test_a_checkpoint_of_another_task_is_refused(other, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    learn(tasks.parity(5), epochs=1, checkpoint=path, **SMALL)
    with pytest.raises(RunError, match="other data or options"):
        learn(other, epochs=1, checkpoint=path, resume=True, **SMALL)


def easy(losses, monkeypatch):
    """A task that measures what it is told to, after each epoch and at last in the test."""
    values = iter(losses)
    monkeypatch.setattr(tasks.Task, "score", lambda *_: {"loss": next(values), "wrong": 0.0})
    return tasks.adding(4)


def test_it_ends_when_it_is_solved_with_a_margin_twice_in_a_row(monkeypatch):
    task, log = easy([4e-4, 6e-4, 5e-4, 5e-4, 9e-4], monkeypatch), Log()
    result = learn(task, epochs=9, reporter=log, **SMALL)
    assert len(result.history) == 4
    assert log.notes == ["stopped: adding(steps=4) is solved on the validation draw"]
    assert result.measures["loss"] == 9e-4
    assert result.solved
    assert result.sequences == 160


def test_it_is_not_solved_where_the_test_says_so(monkeypatch):
    result = learn(easy([4e-4, 4e-4, 2e-3], monkeypatch), epochs=9, **SMALL)
    assert not result.solved


def test_it_ends_when_the_time_is_spent(monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(engine.time, "perf_counter", lambda: float(next(seconds)))
    log = Log()
    result = learn(TASKS["number"], epochs=9, seconds=10, reporter=log, **SMALL)
    assert sum(row["seconds"] for row in result.history[:-1]) < 10 <= result.seconds
    assert log.notes == ["stopped: the budget of 10 seconds is spent"]


def test_given_parts_are_learned_from_as_they_are():
    task = TASKS["class a step"]
    drawn = [task.draw(count, count) for count in (30, 10, 12)]
    given = tasks.Task(**{**vars(task), "parts": Parts(*drawn)})
    result = learn(given, layers=4, epochs=2, patience=5)
    assert [row["samples"] for row in result.history] == [30, 60]
    best = min(row["validation_loss"] for row in result.history)
    options = task_options(given, layers=4)
    loss = AnswerLoss(LOSSES["class a step"])
    found = evaluate(make_fabric(options), result.network, loss, examples(drawn[1]), 10)
    assert found["loss"] == pytest.approx(best, rel=1e-5)
    found = evaluate(make_fabric(options), result.network, loss, examples(drawn[2]), 10)
    assert found["loss"] == pytest.approx(result.measures["loss"], rel=1e-5)


@pytest.mark.parametrize("cell", ["elman", "gru", cw.cells.get("peephole_lstm")])
def test_any_cell_learns_a_task(cell):
    result = learn(TASKS["class"], cell=cell, epochs=1, **SMALL)
    assert result.cell == cw.cells.get(cell).name
    assert result.parameters == sum(w.numel() for w in result.network.parameters())
    assert result.network.recurrent.hidden_sizes == (4,)
    assert set(result.measures) == {"loss", "wrong"}
    assert result.main in result.measures


# -- recipes and options


@pytest.mark.parametrize("name", tasks.TASKS)
@pytest.mark.parametrize("cell", ["elman", "lstm", "gru"])
def test_every_task_has_a_recipe_for_every_cell(name, cell):
    options = task_options(tasks.get(name), cell)
    network = build_network(tasks.get(name), options)
    assert network.recurrent.hidden_sizes == options["layers"]


def test_recipes_are_of_tasks_that_exist():
    assert set(RECIPES) <= set(tasks.TASKS)


@pytest.mark.parametrize(("cell", "units"), [("elman", 100), ("gru", 46), ("lstm", 36)])
def test_the_chorales_have_a_recipe_for_each_cell(cell, units):
    chorales = tasks.Task(**{**vars(TASKS["class a step"]), "name": "jsb_chorales"})
    options = task_options(chorales, cell)
    assert options["layers"] == (units,)
    assert options["patience"] is not None


def test_chrono_spans_the_task_where_a_cell_has_gates():
    task = tasks.adding(77)
    assert recipe(task, cw.cells.get("lstm"))["initialization"] == {"chrono": 77}
    assert "initialization" not in recipe(task, cw.cells.get("elman"))
    layer = build_network(task, task_options(task)).recurrent.layer0
    assert torch.equal(layer.i_bias, -layer.f_bias)
    assert 0 <= layer.f_bias.min() < layer.f_bias.max() <= np.log(76)
    plain = build_network(task, task_options(task, options={"initialization": "standard"}))
    assert (plain.recurrent.layer0.f_bias == 1).all()


def test_what_is_given_beats_the_recipe():
    task = tasks.temporal_order(2)
    assert task_options(task)["layers"] == (8,)
    options = task_options(task, layers=[5, 3], epochs=7, sequences=9, options={"dropout": 0.4})
    assert (options["layers"], options["epochs"], options["samples"]) == ((5, 3), 7, 9)
    assert options["dropout"] == 0.4
    assert options["learning_rate"] == 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learnig_rate": 1}, r"no option 'learnig_rate'. Did you mean 'learning_rate'\?"),
        ({"scaling": "none"}, r"no option 'scaling'"),
        ({"random_state": 1}, r"no option 'random_state'"),
        ({"learning_rate": -1}, r"learning_rate=-1: .*greater than 0"),
        ({"epoch_size": 0}, r"epoch_size=0: must be a whole number from 1"),
        ({"validation_size": 2.0}, r"validation_size=2.0: must be a whole number"),
        ({"seconds": 0}, r"seconds=0: must be more than 0"),
        ({"epochs": 0}, r"epochs=0"),
        ({"bidirectional": True}, r"embedded_reber asks what comes next"),
    ],
)
def test_bad_options_are_named_before_anything_is_learned(options, message):
    with pytest.raises(SettingError, match=message):
        learn("embedded_reber", **options)


def test_an_unknown_task_is_named():
    with pytest.raises(SettingError, match=r"no task 'adddng'. Did you mean 'adding'\?"):
        learn("adddng")


# -- what the papers ask for


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("relevant", "units"), [(2, 8), (3, 16)])
def test_temporal_order_is_solved(relevant, units, seed):
    result = learn(tasks.temporal_order(relevant), layers=units, seed=seed, seconds=120)
    assert result.solved
    assert round(result.measures["wrong"] * 2560) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("steps", [100, 200])
def test_adding_is_solved_with_a_chrono_start_and_not_without(steps):
    result = learn(tasks.adding(steps), seconds=200)
    assert result.measures["loss"] < 1e-3
    plain = {"initialization": "standard", "sequences": result.sequences}
    assert learn(tasks.adding(steps), **plain).measures["loss"] > 0.1


@pytest.mark.slow
def test_embedded_reber_is_solved():
    assert learn("embedded_reber").measures["wrong_sequences"] == 0


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_file(), reason="the chorales do not lie beside the project")
@pytest.mark.parametrize(("name", "most"), [("LSTM 36", 8.60), ("GRU 46", 8.70)])
def test_the_chorales_are_learned_as_well_as_asked_for(name, most):
    assert learn(tasks.jsb_chorales(SHARED), **CHORALES[name]).measures["loss"] <= most
