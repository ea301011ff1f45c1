"""Finding a learning rate by trying all of them, from the least to one that is too great.

L. N. Smith, "Cyclical learning rates for training neural networks" (2017): the rate grows from
step to step while the loss is watched. It falls where a rate is useful and rises where it is
too great.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np
import torch
from torch import nn

from cellwright.errors import DataError, SettingError, TrainingError
from cellwright.jobs.training.bucketing import bucketed
from cellwright.jobs.training.examples import AnyBatch, Objective, Source
from cellwright.jobs.training.steps import Steps
from cellwright.jobs.training.threads import cpu_threads

__all__ = ["RateCurve", "find_learning_rate", "rate_of_estimator"]

_SMOOTHING = 0.95  # of the loss, from step to step
_LOST = 4.0  # times the least loss: nothing is learned any more
_FIRST = 10  # steps until which the smoothed loss says nothing


@dataclass(frozen=True)
class RateCurve:
    """What became of the loss while the learning rate grew.

    Attributes
    ----------
    rates
        Learning rate of each step.
    losses
        Mean loss of each step's batch.
    smoothed
        The same, smoothed.
    suggestion
        Where the smoothed loss falls steepest over the logarithm of the rate: a good highest
        rate for a schedule that warms up.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float


def find_learning_rate(
    network: nn.Module,
    objective: Objective,
    training: Source,
    options: Mapping[str, Any],
    *,
    least: float = 1e-6,
    greatest: float = 1.0,
    steps: int = 200,
) -> RateCurve:
    r"""Take steps at rates that grow from `least` to `greatest`, and leave no trace of them.

    $$\eta_i = \eta_{\min} \Big(\frac{\eta_{\max}}{\eta_{\min}}\Big)^{i / (n - 1)}$$

    Steps are the engine's own, with the optimizer, the clipping and the precision of the
    options. It ends early where the smoothed loss is four times its least value, or is no
    number any more. Weights and random numbers are afterwards what they were.

    Parameters
    ----------
    network, objective, training, options
        As for `cellwright.jobs.training.engine.train`.
    least, greatest
        First and last learning rate.
    steps
        How many steps, 20 or more.

    Raises
    ------
    SettingError
        Rates or steps are not allowed.
    TrainingError
        The loss was no number before there was anything to see.
    """
    if not (0 < least < greatest < math.inf):
        raise SettingError(f"least={least!r}, greatest={greatest!r}: must be 0 < least < greatest")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2 * _FIRST:
        raise SettingError(f"steps={steps!r}: must be a whole number from {2 * _FIRST}")
    rates = np.geomspace(least, greatest, steps).tolist()
    before = {name: value.detach().clone() for name, value in network.state_dict().items()}
    was_training = network.training
    threads = cpu_threads(network, options["batch_size"], options["threads"])
    try:
        with torch.random.fork_rng(), threads:
            torch.manual_seed(options["random_state"])
            network.train()
            losses = _losses(network, objective, training, options, rates)
    finally:
        network.load_state_dict(before)
        network.zero_grad(set_to_none=True)
        network.train(was_training)
    return _curve(rates[: len(losses)], losses)


class _FoundError(Exception):
    """Leaves `fit` where the training would begin."""

    def __init__(self, curve: RateCurve) -> None:
        super().__init__()
        self.curve = curve


def rate_of_estimator(model: Any, *data: Any, **settings: Any) -> RateCurve:
    """A learning rate for an estimator and its data; the estimator stays as it is.

    Parameters
    ----------
    model
        Any estimator of cellwright.
    *data
        As for its `fit`.
    **settings
        ``least``, ``greatest`` and ``steps``, as for `find_learning_rate`.

    Raises
    ------
    DataError, ShapeError, SettingError
        As its `fit` does, or rates or steps are not allowed.

    Examples
    --------
    >>> import cellwright as cw
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(64, 5, 1)), np.arange(64) % 2
    >>> curve = rate_of_estimator(cw.SequenceClassifier(layers=[4]), x, y, steps=20)
    >>> len(curve.rates), 1e-6 < curve.suggestion < 1
    (20, True)
    """
    probe = type(model)(**model.get_params(deep=False))

    def learn(objective: Objective, training: Source, *others: Any, **named: Any) -> None:
        raise _FoundError(
            find_learning_rate(probe.network_, objective, training, probe.options(), **settings)
        )

    probe.learn = learn
    try:
        probe.fit(*data)
    except _FoundError as found:
        return found.curve
    raise SettingError(f"{type(model).__name__} does not learn by steps of a learning rate")


def _losses(
    network: nn.Module,
    objective: Objective,
    training: Source,
    options: Mapping[str, Any],
    rates: list[float],
) -> list[float]:
    take = Steps(network, objective, options).take
    losses: list[float] = []
    for rate, batch in zip(rates, _endless(training, options), strict=False):
        try:
            loss, _ = take(batch, rate, 0, len(losses))
        except TrainingError:
            if len(losses) < _FIRST:
                raise
            break
        assert loss is not None  # the batch has answers
        losses.append(float(loss.detach()))
        smoothed = _smoothed(losses)
        if len(losses) > _FIRST and smoothed[-1] > _LOST * abs(min(smoothed)):
            break
    return losses


def _endless(training: Source, options: Mapping[str, Any]) -> Iterator[AnyBatch]:
    """Batches of one epoch after the other."""
    size = options["batch_size"]
    for number in count():
        examples = training.in_epoch(number)
        draw = np.random.default_rng([options["random_state"], number])
        order = draw.permutation(len(examples))
        order = bucketed(order, getattr(examples, "lengths", None), size, draw)
        known = (batch for batch in examples.batches(size, order) if batch.answers)
        first = next(known, None)
        if first is None:
            raise DataError("the training part has no known answer")
        yield from chain([first], known)


def _smoothed(losses: list[float]) -> list[float]:
    """A running mean that forgets, without the bias of its beginning."""
    mean, found = 0.0, []
    for number, loss in enumerate(losses, 1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        found.append(mean / (1 - _SMOOTHING**number))
    return found


def _curve(rates: list[float], losses: list[float]) -> RateCurve:
    smoothed = _smoothed(losses)
    lowest = max(int(np.argmin(smoothed)), 2)
    slopes = np.gradient(np.array(smoothed), np.log(rates))[: lowest + 1]
    # The first steps are still a mean of a few batches, whose slope is chance.
    first = min(_FIRST, lowest - 1)
    steepest = first + int(np.argmin(slopes[first:]))
    return RateCurve(tuple(rates), tuple(losses), tuple(smoothed), float(rates[steepest]))
