"""The training loop: schedules, clipping, early stopping, and where it must give up."""

import math

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright.data import as_sequences
from cellwright.errors import DataError, TrainingError
from cellwright.jobs import Reporter
from cellwright.jobs.options import TrainingOptions, validated
from cellwright.jobs.training import engine
from cellwright.jobs.training.engine import train
from cellwright.jobs.training.examples import Examples
from cellwright.jobs.training.objectives import AnswerLoss
from cellwright.jobs.training.optimizing import learning_rate_factor
from cellwright.models import StepwiseNetwork


class Log(Reporter):
    def __init__(self):
        self.notes, self.steps, self.rows = [], [], []

    def advanced(self, progress):
        self.steps.append(progress)

    def epoch_finished(self, row):
        self.rows.append(row)

    def note(self, message):
        self.notes.append(message)


def classifier(**options):
    return cw.SequenceClassifier(**{"layers": [4], "epochs": 4, "batch_size": 8, **options})


@pytest.mark.parametrize(
    ("schedule", "done", "factor"),
    [
        ("constant", 0, 1),
        ("constant", 1, 1),
        ("cosine", 0, 1),
        ("cosine", 0.5, 0.5),
        ("cosine", 1, 0),
        ("one_cycle", 0, 0.04),
        ("one_cycle", 0.125, 0.52),
        ("one_cycle", 0.25, 1),
        ("one_cycle", 0.625, 0.5),
        ("one_cycle", 1, 0),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule, done, factor):
    assert learning_rate_factor(schedule, done) == pytest.approx(factor, abs=1e-12)


def test_the_rate_that_is_reported_is_the_one_of_the_last_step(waves):
    model = classifier(schedule="cosine", learning_rate=0.01, validation_fraction=0).fit(*waves)
    done = [(48 * n - 8) / (48 * 4) for n in range(1, 5)]
    expected = [0.01 * (1 + math.cos(math.pi * d)) / 2 for d in done]
    assert [row["learning_rate"] for row in model.history_] == pytest.approx(expected)


@pytest.mark.parametrize(("samples", "seen"), [(100, [48, 96, 100]), (96, [48, 96]), (5, [5])])
def test_it_stops_after_so_many_samples(waves, samples, seen):
    log = Log()
    model = classifier(samples=samples, validation_fraction=0).fit(*waves, reporter=log)
    assert [row["samples"] for row in model.history_] == seen
    assert log.steps[-1].samples == log.steps[-1].total == samples


def test_epochs_are_a_limit_too(waves):
    model = classifier(samples=10**9, epochs=2, validation_fraction=0).fit(*waves)
    assert model.history_[-1]["samples"] == 96


def test_the_reporter_is_told_of_every_step_and_epoch(waves):
    log = Log()
    model = classifier(epochs=2).fit(*waves, reporter=log)
    assert log.rows == model.history_
    assert [step.samples for step in log.steps[:6]] == [8, 16, 24, 32, 40, 43]
    assert [step.epoch for step in log.steps] == [1] * 6 + [2] * 6
    last = log.steps[5]
    assert last.measures["loss"] == pytest.approx(log.rows[0]["train_loss"])
    assert last.seconds_left > 0
    assert last.speed > 0


def test_measures_are_means_over_all_samples(waves):
    x, y = waves
    still = {"learning_rate": 1e-12, "epochs": 1, "schedule": "constant"}
    model = classifier(**still, dropout=0.0, label_smoothing=0.0).fit(x, y)
    row = model.history_[0]
    chances = model.predict_proba(x)
    right = model.classes_[chances.argmax(1)] == np.array(y)
    losses = -np.log(chances[np.arange(48), (np.array(y) == "up").astype(int)])
    for measured, values in (("accuracy", right), ("loss", losses)):
        mean = (43 * row[f"train_{measured}"] + 5 * row[f"validation_{measured}"]) / 48
        assert mean == pytest.approx(values.mean(), rel=1e-5)


def test_a_clipped_gradient_moves_the_weights_no_further(waves):
    x, y = waves
    one_step = {"epochs": 1, "batch_size": 64, "validation_fraction": 0, "weight_decay": 0}
    options = {"optimizer": "sgd", "learning_rate": 1.0, "schedule": "constant", **one_step}

    def moved(clip):
        start = classifier(learning_rate=1e-30, **one_step).fit(x, y).network_.parameters()
        end = classifier(gradient_clip=clip, **options).fit(x, y).network_.parameters()
        pairs = zip(start, end, strict=True)
        return math.sqrt(sum(float((b - a).detach().square().sum()) for a, b in pairs))

    # Nesterov's momentum makes the first step 1.9 gradients long.
    assert moved(None) > 0.5
    assert moved(0.01) == pytest.approx(0.019, rel=1e-3)


def test_weights_decay_but_biases_do_not(waves):
    options = {"optimizer": "adamw", "learning_rate": 0.1, "schedule": "constant", "epochs": 1}
    x, y = waves

    def weights(decay):
        model = classifier(weight_decay=decay, batch_size=64, validation_fraction=0, **options)
        return dict(model.fit(x, y).network_.named_parameters())

    without, decayed = weights(0.0), weights(0.5)
    for name, weight in without.items():
        assert torch.equal(weight, decayed[name]) is (weight.dim() < 2), name


def test_the_best_weights_are_kept_when_the_validation_loss_no_longer_falls(waves):
    x, y = waves
    rng = np.random.default_rng(0)
    noisy = rng.permutation(y)
    log = Log()
    options = {"epochs": 60, "patience": 3, "learning_rate": 0.05, "validation_fraction": 0.3}
    model = classifier(**options).fit(x, noisy, reporter=log)
    losses = [row["validation_loss"] for row in model.history_]
    best = int(np.argmin(losses))
    assert len(losses) == best + 4 < 60
    assert log.notes == [
        f"stopped: the validation loss has not fallen for 3 epochs; the weights of epoch "
        f"{best + 1} are kept"
    ]
    again = classifier(**options).set_params(patience=60)
    history = again.fit(x, noisy).history_
    assert [row["validation_loss"] for row in history[: len(losses)]] == losses


def test_patience_starts_anew_with_every_better_loss(waves, monkeypatch):
    losses = iter([5, 4, 6, 6, 3, 7, 7, 3, 1])
    monkeypatch.setattr(engine, "evaluate", lambda *_: {"loss": next(losses)})
    model = classifier(epochs=9, patience=3).fit(*waves)
    assert [row["validation_loss"] for row in model.history_] == [5, 4, 6, 6, 3, 7, 7, 3]


def test_without_patience_the_last_weights_are_kept(waves):
    x, y = waves
    states = []

    class Watch(Reporter):
        def epoch_finished(self, row):
            states.append({k: v.clone() for k, v in model.network_.state_dict().items()})

    model = classifier(validation_fraction=0.3)
    model.fit(x, y, reporter=Watch())
    for name, value in model.network_.state_dict().items():
        assert torch.equal(value, states[-1][name])
        assert len(states) == 4


@cw.cell(state="h")
def explosive(x, h):
    h = cw.exp(cw.exp(cw.exp(cw.affine("h", x, h, bias=3.0))))
    return h


@cw.cell(state="h")
def cornered(x, h):
    # The slope of the square root at zero is infinite, its value is not.
    h = cw.sqrt(cw.affine("h", x, h) * 0)
    return h


def test_a_loss_that_is_no_number_names_epoch_and_samples(waves):
    with pytest.raises(TrainingError, match=r"loss became (nan|inf) in epoch 1, samples 0 to 8"):
        classifier(cell=explosive).fit(*waves)


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_that_is_no_number_is_found_at_once(waves, clip):
    with pytest.raises(TrainingError, match=r"gradient became nan in epoch 1, samples 0 to 8"):
        classifier(cell=cornered, gradient_clip=clip).fit(*waves)


def test_weights_that_are_no_numbers_never_leave_an_epoch(waves):
    options = {"epochs": 1, "batch_size": 64, "optimizer": "sgd", "schedule": "constant"}
    far = {"learning_rate": 1e39, "gradient_clip": None, "validation_fraction": 0}
    with pytest.raises(TrainingError, match="weight of .* became (nan|inf) in epoch 1, its end"):
        classifier(**options, **far).fit(*waves)


def test_a_validation_loss_that_is_no_number_keeps_the_last_weights(waves, monkeypatch):
    monkeypatch.setattr(engine, "evaluate", lambda *_: {"loss": math.nan})
    log = Log()
    model = classifier(patience=2).fit(*waves, reporter=log)
    assert len(model.history_) == 2
    assert log.notes == [
        "stopped: the validation loss has not been a finite number for 2 epochs; the weights of "
        "the last epoch are kept"
    ]


def steps_of(count, known):
    """Sequences of three steps with an answer at each, so many of which are known."""
    x = np.random.default_rng(0).normal(size=(count, 3, 1)).astype(np.float32)
    counted = torch.arange(count)[:, None].expand(-1, 3) < known
    return Examples(as_sequences(x), torch.from_numpy(x), counted)


def learn_steps(training, validation=None, **hooks):
    network = StepwiseNetwork(1, 1, cell="gru", layers=(2,))
    options = validated(TrainingOptions(epochs=1, batch_size=4))
    loss = AnswerLoss(lambda scores, targets: (scores - targets).square().mean(-1))
    return train(network, loss, training, validation, options, **hooks)


def test_samples_without_a_known_answer_teach_nothing():
    (row,) = learn_steps(steps_of(40, known=3), steps_of(12, known=12))
    assert row["samples"] == 40
    assert math.isfinite(row["train_loss"])
    assert math.isfinite(row["validation_loss"])


def test_a_part_without_a_known_answer_is_named():
    started = []
    with pytest.raises(DataError, match="the training part has no known answer"):
        learn_steps(steps_of(12, known=0))
    with pytest.raises(DataError, match="the validation part has no known answer"):
        learn_steps(steps_of(12, 12), steps_of(8, 0), on_start=lambda: started.append(1))
    assert not started  # nothing was learned
