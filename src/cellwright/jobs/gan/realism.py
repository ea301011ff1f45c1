"""How real made sequences are: by what is learned from them, and by who can tell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.data import Sequences, as_sequences
from cellwright.errors import DataError, ShapeError
from cellwright.jobs.options import NetworkOptions, TrainingOptions, validated
from cellwright.jobs.options.base import NETWORK
from cellwright.jobs.training.devices import make_fabric
from cellwright.jobs.training.engine import evaluate, train
from cellwright.jobs.training.examples import Examples
from cellwright.jobs.training.objectives import LOSSES, AnswerLoss
from cellwright.jobs.training.processes import Processes
from cellwright.jobs.training.scaling import spread_beyond_rounding
from cellwright.jobs.training.threads import cpu_threads
from cellwright.models import ClassifierNetwork, StepwiseNetwork

__all__ = ["TrainOnSynthetic", "discriminative_score", "prediction_error", "train_on_synthetic"]

# A judge is small, and learns from so many sequences, over and over.
_LEARNED = 32_000
_JUDGE: dict[str, Any] = {"cell": "gru", "layers": (24,), "dropout": 0.0, "batch_size": 64}
_JUDGE |= {"learning_rate": 1e-2, "device": "cpu"}
# Of several processes each asks its own judges, or only one does.
_ALONE = Processes(1, 0)
_TOLD_APART = 0.3  # the part of the sequences on which a judge is tested


@dataclass(kw_only=True, eq=False, repr=False)
class _JudgeOptions(NetworkOptions, TrainingOptions):
    """Options of the networks that judge."""


@dataclass(frozen=True)
class TrainOnSynthetic:
    """What predictors learned from made sequences, beside what they learned from real ones.

    Attributes
    ----------
    synthetic, real
        Mean absolute error of the next step on real test data, in spreads of the real
        training data, after learning from each: the mean of all seeds.
    by_seed
        (synthetic, real) of each seed.
    """

    synthetic: float
    real: float
    by_seed: tuple[tuple[float, float], ...]

    @property
    def ratio(self) -> float:
        """How many times as large the error is after learning from made sequences."""
        return self.synthetic / self.real if self.real else math.inf


def train_on_synthetic(
    real: Any, synthetic: Any, test: Any, *, seeds: Iterable[int] = (0, 1, 2)
) -> TrainOnSynthetic:
    """Train on synthetic, test on real (Esteban, Hyland and Rätsch 2017; Yoon et al. 2019).

    Two predictors, a layer of 24 GRU units each, learn to tell each step from those before:
    one from made sequences, one from as many real ones. Both are tested on the same real
    sequences, that neither has seen.

    Parameters
    ----------
    real
        Sequences to learn from, in any form that `as_sequences` takes.
    synthetic
        As many made ones.
    test
        Real sequences to test on.
    seeds
        Of the predictors' weights and of the order in which they learn.

    Raises
    ------
    DataError, ShapeError
        Sequences cannot be used, are not of the same kind, or all have a single step.
    """
    learned = as_sequences(real, name="real")
    made = as_sequences(synthetic, features=learned.features, name="synthetic")
    held_out = as_sequences(test, features=learned.features, name="test")
    if len(made) != len(learned):
        raise ShapeError(f"synthetic has {len(made)} sequences but real has {len(learned)}")
    mean, spread = _moments(learned)
    parts = [_scaled(part, mean, spread) for part in (made, learned, held_out)]
    found = tuple(
        (
            prediction_error(parts[0], parts[2], seed=seed),
            prediction_error(parts[1], parts[2], seed=seed),
        )
        for seed in seeds
    )
    synthetic_error, real_error = np.mean(found, axis=0)
    return TrainOnSynthetic(float(synthetic_error), float(real_error), found)


def prediction_error(training: Any, test: Any, *, seed: int = 0) -> float:
    """Mean absolute error, on `test`, of a small predictor that learned from `training`.

    Each step is told from those before it, by a layer of 24 GRU units that has seen 32,000
    sequences, over and over; numbers are taken as they are.

    Raises
    ------
    DataError, ShapeError
        Sequences cannot be used, or all have a single step.
    """
    learned = _next_steps(as_sequences(training, name="training"))
    tested = _next_steps(as_sequences(test, features=learned.x.features, name="test"))
    options, names = _judge(seed, len(learned))
    features = learned.x.features
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = StepwiseNetwork(features, features, **names)
    objective = AnswerLoss(_absolute_error)
    train(network, objective, learned, None, options, processes=_ALONE)
    fabric = make_fabric(options)
    fabric.setup_module(network)  # moves it in place
    with cpu_threads(network, 256, options["threads"]):
        return evaluate(fabric, network, objective, tested, 256)["loss"]


def discriminative_score(real: Any, synthetic: Any, *, seeds: Iterable[int] = (0, 1, 2)) -> float:
    r"""How well a classifier tells real sequences from made ones: $|\text{accuracy} - 1/2|$.

    0 if it cannot at all, 0.5 if always (Yoon, Jarrett and van der Schaar 2019). A layer of
    24 GRU units learns from the first 70 % of both and is tested on the rest: windows of one
    series overlap, and would give themselves away if they were mixed. The mean of all seeds.

    Parameters
    ----------
    real, synthetic
        Sequences, in any form that `as_sequences` takes; where one has more, its first.
    seeds
        Of the classifiers' weights and of the order in which they learn.

    Raises
    ------
    DataError, ShapeError
        Sequences cannot be used, are not of the same kind, or are fewer than 10.
    """
    pair = [as_sequences(real, name="real")]
    pair.append(as_sequences(synthetic, features=pair[0].features, name="synthetic"))
    count = min(map(len, pair))
    if count < 10:
        raise DataError(f"{count} sequences are too few to be told apart; give 10 or more")
    mean, spread = _moments(pair[0])
    pair = [_scaled(part, mean, spread) for part in pair]
    cut = round(count * (1 - _TOLD_APART))
    learned, tested = (
        _told_apart([part.take(rows) for part in pair])
        for rows in (np.arange(cut), np.arange(cut, count))
    )
    return float(np.mean([abs(_accuracy(learned, tested, seed) - 0.5) for seed in seeds]))


def _accuracy(learned: Examples, tested: Examples, seed: int) -> float:
    options, names = _judge(seed, len(learned))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ClassifierNetwork(learned.x.features, 2, pooling="mean", **names)
    train(network, AnswerLoss(LOSSES["class"]), learned, None, options, processes=_ALONE)
    fabric = make_fabric(options)
    fabric.setup_module(network)  # moves it in place
    right = AnswerLoss(lambda scores, targets: (scores.argmax(1) == targets).double())
    with cpu_threads(network, 256, options["threads"]):
        return evaluate(fabric, network, right, tested, 256)["loss"]


def _judge(seed: int, samples: int) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Options of a judge's training, and what its network is made of."""
    epochs = math.ceil(_LEARNED / samples)
    chosen = _JudgeOptions(**_JUDGE, random_state=seed, samples=_LEARNED, epochs=epochs)
    options = validated(chosen)
    return options, {name: options[name] for name in NETWORK}


def _absolute_error(scores: Tensor, targets: Tensor) -> Tensor:
    return (scores - targets).abs().mean(-1)


def _next_steps(sequences: Sequences) -> Examples:
    """Every step but the last of each sequence, and every step but the first to be told."""
    (rows,) = np.nonzero(sequences.lengths > 1)
    if not len(rows):
        raise DataError("no sequence has a second step, which could be told from the first")
    chosen = sequences.take(rows)
    array, lengths = chosen.padded(np.arange(len(rows)))
    counted = np.arange(array.shape[1] - 1) < (lengths - 1)[:, None]
    seen = Sequences([value[:-1] for value in chosen])
    return Examples(seen, torch.from_numpy(array[:, 1:]), torch.from_numpy(counted))


def _told_apart(pair: list[Sequences]) -> Examples:
    values = [value for part in pair for value in part]
    targets = torch.arange(2).repeat_interleave(len(pair[0]))
    return Examples(Sequences(values), targets)


def _moments(real: Sequences) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    mean, spread = real.moments(per_feature=True)
    return mean, spread_beyond_rounding(real, mean, spread)


def _scaled(
    sequences: Sequences, mean: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]
) -> Sequences:
    values = [((value - mean) / spread).astype(np.float32) for value in sequences]
    return replace(sequences, values=values)
