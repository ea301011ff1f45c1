"""A learning rate is found by steps that leave no trace."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import cellwright as cw
from cellwright.errors import DataError, SettingError, TrainingError
from cellwright.jobs.options import TrainingOptions, validated
from cellwright.jobs.training.rate_finder import find_learning_rate, rate_of_estimator
from cellwright.look.rate_picture import draw_rates


@dataclass(frozen=True)
class Points:
    """A batch of a plain regression."""

    x: torch.Tensor
    y: torch.Tensor
    rows: np.ndarray

    @property
    def answers(self):
        return len(self.rows)


class Line:
    """Points on a line, and a source of them."""

    def __init__(self, count=512):
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(count, 3, generator=draw)
        self.y = self.x @ torch.tensor([1.0, -2.0, 3.0]) + 5
        self.epochs = []

    def __len__(self):
        return len(self.x)

    def in_epoch(self, number):
        self.epochs.append(number)
        return self

    def batches(self, size, order=None):
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield Points(self.x[rows], self.y[rows], rows)


def squares(network, batch):
    loss = (network(batch.x)[:, 0] - batch.y).square().mean()
    return loss, {"loss": loss.detach() * len(batch.rows)}


@pytest.fixture
def line():
    torch.manual_seed(1)
    return nn.Linear(3, 1), Line()


def options(**changed):
    given = {"optimizer": "sgd", "gradient_clip": None, "batch_size": 64, "epochs": 1}
    return validated(TrainingOptions(**{**given, **changed}))


def test_the_suggestion_lies_where_the_loss_falls(line):
    network, points = line
    curve = find_learning_rate(network, squares, points, options(), greatest=10.0)
    # Of a square with curvature 2, momentum 0.9: steps of more than (2 + 2 * 0.9) / 2 grow.
    assert 1e-3 < curve.suggestion < 0.5
    assert curve.rates[0] == pytest.approx(1e-6)
    assert np.diff(np.log(curve.rates)) == pytest.approx(np.log(1e7) / 199)
    assert len(curve.rates) < 200  # it ended when all was lost
    assert curve.smoothed[-1] > 4 * min(curve.smoothed)
    place = curve.rates.index(curve.suggestion)
    assert curve.smoothed[place + 5] < curve.smoothed[place - 5] < 1.05 * curve.smoothed[0]
    assert points.epochs[:3] == [0, 1, 2]  # 8 batches each


def test_a_flatter_loss_asks_for_a_greater_rate(line):
    network, points = line
    found = [
        find_learning_rate(
            network,
            lambda n, b, scale=scale: (scale * squares(n, b)[0], squares(n, b)[1]),
            points,
            options(),
            least=1e-5,
            greatest=1e3,
            steps=300,
        ).suggestion
        for scale in (1.0, 1e-2)
    ]
    assert found[1] == pytest.approx(100 * found[0], rel=0.6)


def test_nothing_is_left_of_it(line):
    network, points = line
    network.eval()
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(4)
    wanted = torch.rand(1)
    torch.manual_seed(4)
    given = options(learning_rate=0.25, schedule="cosine")
    curves = [find_learning_rate(network, squares, points, given, steps=40) for _ in range(2)]
    assert torch.equal(torch.rand(1), wanted)
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name])
    assert all(weight.grad is None for weight in network.parameters())
    assert not network.training
    assert (given["learning_rate"], given["schedule"]) == (0.25, "cosine")
    assert curves[0] == curves[1]
    assert len(set(curves[0].losses)) > 30


def test_weights_come_back_when_a_step_fails(line):
    network, points = line
    weights = network.weight.clone()
    steps = []

    def breaks(network, batch):
        steps.append(1)
        if len(steps) == 15:
            raise ZeroDivisionError
        return squares(network, batch)

    with pytest.raises(ZeroDivisionError):
        find_learning_rate(network, breaks, points, options(), least=0.1, greatest=1.0)
    assert torch.equal(network.weight, weights)


def test_a_loss_that_is_no_number_ends_it(line):
    network, points = line
    seen = []

    def breaks_after(count):
        def objective(network, batch):
            loss, measured = squares(network, batch)
            seen.append(1)
            return (loss * float("nan") if len(seen) > count else loss), measured

        return objective

    curve = find_learning_rate(network, breaks_after(30), points, options())
    assert len(curve.losses) == 30
    seen.clear()
    with pytest.raises(TrainingError):
        find_learning_rate(network, breaks_after(3), points, options())


@pytest.mark.parametrize(
    "wrong",
    [
        {"least": 0},
        {"least": 1, "greatest": 0.1},
        {"greatest": float("inf")},
        {"steps": 19},
        {"steps": 50.0},
        {"least": float("nan")},
    ],
)
def test_rates_that_are_none_are_refused(line, wrong):
    network, points = line
    with pytest.raises(SettingError, match="must be"):
        find_learning_rate(network, squares, points, options(), **wrong)


def test_an_estimator_stays_as_it_is():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4, 1))
    y = (x.mean((1, 2)) > 0).astype(int)
    model = cw.SequenceClassifier(layers=[4], epochs=1, learning_rate=0.02).fit(x, y)
    before = model.predict_proba(x)
    curve = rate_of_estimator(model, x, y, steps=60)
    assert len(curve.rates) == 60
    assert np.array_equal(model.predict_proba(x), before)
    assert "learn" not in vars(model)
    assert model.learning_rate == 0.02
    for other in (cw.SequenceClassifier(layers=[4]), cw.SequenceGAN(layers=[4])):
        data = (x, y) if isinstance(other, cw.SequenceClassifier) else (x,)
        assert 1e-6 < rate_of_estimator(other, *data, steps=30).suggestion <= 1
        assert not hasattr(other, "network_")
    with pytest.raises(DataError, match="one class only"):
        rate_of_estimator(cw.SequenceClassifier(), x, np.zeros(60, int))


def test_its_picture_marks_the_suggestion():
    rates = np.geomspace(1e-4, 1, 30)
    smoothed = 2 - np.exp(-((np.log10(rates) + 1.5) ** 2))
    figure = draw_rates(rates, smoothed + 0.1, smoothed, 0.01)
    (axes,) = figure.get_axes()
    assert axes.get_xscale() == "log"
    marked = [line for line in axes.lines if "0.01" in str(line.get_label())]
    assert marked[0].get_xdata()[0] == 0.01
    figure.canvas.draw()
