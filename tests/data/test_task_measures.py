"""How answers of tasks are measured, and when they count as wrong."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import cellwright as cw
from cellwright.data import tasks
from cellwright.data.tasks import Criterion, TaskData
from cellwright.data.tasks.measures import label_sets
from cellwright.errors import ShapeError

NAMES = list(tasks.TASKS)


def right_answers(task, data):
    """Scores that are right wherever an answer is asked for."""
    if task.target == "number":
        return data.targets.astype(float)
    if data.possible is not None:
        return 20.0 * data.possible
    return 20.0 * np.eye(task.outputs)[data.targets]


@pytest.mark.parametrize("name", NAMES)
def test_who_knows_everything_solves_it_and_who_knows_nothing_does_not(name):
    task = tasks.get(name)
    data = task.draw(200, 0)
    lead = (200,) if data.counted is None else data.counted.shape
    answers = right_answers(task, data)
    assert task.solved(task.score(answers, data)) or data.possible is not None
    assert task.score(answers, data)["wrong"] == 0
    nothing = task.score(np.zeros((*lead, task.outputs)), data)
    assert nothing["wrong"] > 0.3
    assert not task.solved(nothing)


def scores_like(shape, seed=0):
    return 3 * np.random.default_rng(seed).normal(size=shape)


def test_numbers_are_wrong_from_the_tolerance_on():
    task = tasks.adding(5)
    data = task.draw(4, 0)
    off = np.array([[0.0], [0.039], [-0.041], [0.5]])
    measures = task.score(data.targets + off, data)
    assert measures["wrong"] == 0.5
    assert measures["loss"] == pytest.approx(np.square(off).mean(), rel=1e-5)


def test_every_output_of_temporal_order_must_be_within_the_tolerance():
    task = tasks.temporal_order(2)
    data = task.draw(3, 0)
    chances = np.full((3, 4), 0.0)
    for row, (right, target) in enumerate(zip([0.71, 0.69, 0.4], data.targets, strict=True)):
        chances[row] = (1 - right) / 3
        chances[row, target] = right
    measures = task.score(np.log(chances), data)
    assert measures["wrong"] == pytest.approx(2 / 3)  # the best class is right in all three
    assert measures["loss"] == pytest.approx(-np.log([0.71, 0.69, 0.4]).mean())


def test_symbols_that_cannot_come_next_must_stay_below_all_that_can():
    task = tasks.embedded_reber()
    data = task.draw(40, 0)
    answers = scores_like((*data.counted.shape, 7))
    wrong, wrong_strings, losses = [], [], []
    for row in range(40):
        for step in np.flatnonzero(data.counted[row]):
            scores = answers[row, step]
            can = [
                s for s, allowed in zip(scores, data.possible[row, step], strict=True) if allowed
            ]
            cannot = [s for s in scores if s not in can]
            wrong.append(min(can) <= max(cannot))
            losses.append(-log_softmax(scores)[data.targets[row, step]])
        wrong_strings.append(any(wrong[-data.counted[row].sum() :]))
    measures = task.score(answers, data)
    assert measures["wrong"] == pytest.approx(np.mean(wrong))
    assert measures["wrong_sequences"] == pytest.approx(np.mean(wrong_strings))
    assert measures["loss"] == pytest.approx(np.mean(losses))


def test_a_tie_is_no_answer():
    task = tasks.embedded_reber()
    data = task.draw(10, 0)
    assert task.score(np.zeros((*data.counted.shape, 7)), data)["wrong"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_torchs(name):
    task = tasks.get(name)
    data = task.draw(30, 0)
    lead = (30,) if data.counted is None else data.counted.shape
    answers = scores_like((*lead, task.outputs))
    found, targets = torch.from_numpy(answers), torch.from_numpy(data.targets)
    if data.counted is not None:
        counted = torch.from_numpy(data.counted)
        found, targets = found[counted], targets[counted]
    wanted = (found - targets).square().mean() if task.target == "number" else None
    wanted = cross_entropy(found, targets) if wanted is None else wanted
    assert task.score(answers, data)["loss"] == pytest.approx(float(wanted), rel=1e-6)


def test_labels_are_summed_over_a_step_and_averaged_over_steps():
    rng = np.random.default_rng(0)
    counted = np.array([[True, True, True], [True, False, False]])
    targets = rng.integers(0, 2, (2, 3, 5)).astype(np.float32)
    answers = 50 * rng.normal(size=(2, 3, 5))  # exp(50) fits, but not its square in single
    x = cw.data.as_sequences([np.zeros((3, 1)), np.zeros((1, 1))])
    found = label_sets(answers, TaskData(x, targets, counted))["loss"]
    wanted = binary_cross_entropy_with_logits(
        torch.from_numpy(answers), torch.from_numpy(targets).double(), reduction="none"
    ).sum(-1)[torch.from_numpy(counted)]
    assert len(wanted) == 4
    assert found == pytest.approx(float(wanted.mean()))


def test_a_criterion_holds_at_its_limit_and_a_margin_makes_it_stricter():
    criterion = Criterion("as written", {"loss": 0.1, "wrong": 0.0})
    assert criterion.met({"loss": 0.1, "wrong": 0.0, "else": 9})
    assert not criterion.met({"loss": 0.11, "wrong": 0.0})
    assert not criterion.met({"loss": 0.1, "wrong": 0.001})
    assert not criterion.met({"loss": float("nan"), "wrong": 0.0})
    assert criterion.met({"loss": 0.05, "wrong": 0.0}, margin=0.5)
    assert not criterion.met({"loss": 0.06, "wrong": 0.0}, margin=0.5)


# -- answers that are no numbers


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_always_wrong(name):
    task = tasks.get(name)
    data = task.draw(20, 0)
    answers = right_answers(task, data)
    measures = task.score(np.full_like(answers, np.nan), data)
    assert measures["wrong"] == measures.get("wrong_sequences", 1) == 1
    assert np.isnan(measures["loss"])
    assert not task.solved(measures)
    assert task.score(answers, data)["wrong"] == 0
    first = (0,) if data.counted is None else (0, 0)
    for output in range(task.outputs):  # a single number that is none, in a single answer
        spoiled = answers.copy()
        spoiled[(*first, output)] = np.nan
        assert task.score(spoiled, data)["wrong"] == pytest.approx(1 / data.answers)


@pytest.mark.parametrize("name", [name for name in NAMES if tasks.get(name).target == "number"])
def test_an_infinite_number_is_wrong(name):
    task = tasks.get(name)
    data = task.draw(4, 0)
    for infinite in (np.inf, -np.inf):
        answers = right_answers(task, data)
        answers[1] = infinite
        assert task.score(answers, data) == {"loss": np.inf, "wrong": 0.25}


@pytest.mark.parametrize("name", [name for name in NAMES if tasks.get(name).target != "number"])
def test_an_infinite_score_is_a_probability_of_one_or_none(name):
    task = tasks.get(name)
    data = task.draw(20, 0)
    likely = right_answers(task, data) > 0
    sure = task.score(np.where(likely, np.inf, 0.0), data)
    assert sure == task.score(np.where(likely, 0.0, -np.inf), data)
    assert sure["wrong"] == 0
    # Equal scores are equally likely, and only embedded_reber knows more than one right answer.
    ways = likely.sum(-1) if data.counted is None else likely.sum(-1)[data.counted]
    assert sure["loss"] == pytest.approx(np.log(ways).mean())
    other = np.roll(likely, 1, -1) & ~likely
    mistaken = task.score(np.where(other, np.inf, 0.0), data)
    assert (mistaken["wrong"], mistaken["loss"]) == (1, np.inf)


def test_infinite_scores_of_labels_are_right_or_wrong_for_good():
    targets = np.array([[[1.0, 0.0]]])
    data = TaskData(cw.data.as_sequences([np.zeros((1, 1))]), targets, np.ones((1, 1), bool))
    assert label_sets(np.array([[[np.inf, -np.inf]]]), data) == {"loss": 0}
    assert label_sets(np.array([[[np.inf, np.inf]]]), data) == {"loss": np.inf}
    assert label_sets(np.array([[[-np.inf, -np.inf]]]), data) == {"loss": np.inf}
    assert np.isnan(label_sets(np.array([[[np.nan, 0.0]]]), data)["loss"])


# -- bad input


def test_answers_of_another_shape_are_refused():
    task = tasks.adding(5)
    with pytest.raises(ShapeError, match=r"expected \(sample, output\) = \(3, 1\), got \(3,\)"):
        task.score(np.zeros(3), task.draw(3, 0))
    task = tasks.copy_memory(3)
    with pytest.raises(ShapeError, match=r"expected \(sample, time, output\) = \(3, 23, 9\)"):
        task.score(np.zeros((3, 20, 9)), task.draw(3, 0))
