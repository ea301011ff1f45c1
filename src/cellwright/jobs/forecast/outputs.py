"""What a network's numbers mean: quantiles, or the parameters of a distribution."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import Distribution, NegativeBinomial, Normal, StudentT
from torch.nn.functional import softplus

from cellwright.errors import SettingError
from cellwright.jobs.forecast.windows import WindowBatch

__all__ = ["Output", "interval_probabilities", "output_of"]

Floats = npt.NDArray[np.float64]
_LEAST = 1e-4
_LEAST_FREEDOM = 2.0


def interval_probabilities(levels: Sequence[float]) -> list[float]:
    """The quantiles that intervals of these percentages, and the median, need.

    Examples
    --------
    >>> interval_probabilities([80])
    [0.1, 0.5, 0.9]
    """
    ends = {round((1 - level / 100) / 2, 9) for level in levels}
    return sorted({0.5} | ends | {round(1 - end, 9) for end in ends})


class Output(ABC):
    """How numbers of the network are held against the truth, and what they forecast.

    Attributes
    ----------
    start
        What the numbers are before anything is learned, in units of the scaled window.
    anchors
        Which of them say where the forecast is, and follow the autoregressive part.
    """

    start: Sequence[float]
    anchors: Sequence[int]

    @abstractmethod
    def losses(self, numbers: Tensor, batch: WindowBatch, weight: Tensor) -> Tensor:
        """A loss for each step ahead, (…, batch, horizon), of numbers (…, batch, horizon, …)."""

    @abstractmethod
    def quantiles(self, numbers: Floats, level: Floats, spread: Floats, at: Any) -> Floats:
        """Quantiles in units of the series.

        Parameters
        ----------
        numbers
            (batch, horizon, output).
        level, spread
            Of each window, (batch, 1).
        at
            Probabilities: a list of n, or an array (batch, horizon, n) of each step's own.

        Returns
        -------
        array
            (batch, horizon, n).
        """


class _Quantiles(Output):
    r"""Quantiles by the pinball loss: twice its mean over them, the absolute error for a median.

    $$2\max(q\,(y - \hat y), (q - 1)(y - \hat y))$$
    """

    def __init__(self, probabilities: Sequence[float]) -> None:
        self.probabilities = list(probabilities)
        self.normal = scipy.stats.norm.ppf(self.probabilities)
        self.start = [float(value) for value in self.normal]
        self.anchors = list(range(len(self.probabilities)))

    def losses(self, numbers: Tensor, batch: WindowBatch, weight: Tensor) -> Tensor:
        at = torch.tensor(self.probabilities, dtype=numbers.dtype, device=numbers.device)
        error = batch.targets.unsqueeze(-1) - numbers
        return 2 * torch.maximum(at * error, (at - 1) * error).mean(-1) * weight

    def quantiles(self, numbers: Floats, level: Floats, spread: Floats, at: Any) -> Floats:
        # Quantiles that were learned each by itself may cross.
        ordered = level[..., None] + spread[..., None] * np.sort(numbers, axis=-1)
        if isinstance(at, list) and at == self.probabilities:
            return np.asarray(ordered)
        # Between and beyond them as a normal distribution would have it.
        wanted = scipy.stats.norm.ppf(np.broadcast_to(at, (*numbers.shape[:2], np.shape(at)[-1])))
        right = np.searchsorted(self.normal, wanted).clip(1, len(self.normal) - 1)
        low = np.take_along_axis(ordered, right - 1, -1)
        high = np.take_along_axis(ordered, right, -1)
        a, b = self.normal[right - 1], self.normal[right]
        return np.asarray(low + (high - low) * (wanted - a) / (b - a))


class _Distributed(Output):
    """The parameters of a distribution, by the logarithm of what it says of the truth."""

    def losses(self, numbers: Tensor, batch: WindowBatch, weight: Tensor) -> Tensor:
        numbers = numbers.float()
        level, spread = batch.level.float(), batch.spread.float()
        distribution = self.distribution(numbers, level, spread)
        loss: Tensor = -distribution.log_prob(self.truth(batch))
        return loss

    @abstractmethod
    def distribution(self, numbers: Tensor, level: Tensor, spread: Tensor) -> Distribution:
        """What the numbers stand for."""

    def truth(self, batch: WindowBatch) -> Tensor:
        """What it is asked about."""
        return batch.targets


class _Normal(_Distributed):
    start = (
        0.0,
        0.5,
    )
    anchors = (0,)

    def distribution(self, numbers: Tensor, level: Tensor, spread: Tensor) -> Distribution:
        return Normal(numbers[..., 0], softplus(numbers[..., 1]) + _LEAST)

    def quantiles(self, numbers: Floats, level: Floats, spread: Floats, at: Any) -> Floats:
        scale = _softplus(numbers[..., 1:2]) + _LEAST
        return _in_units(scipy.stats.norm.ppf(at, numbers[..., :1], scale), level, spread)


class _StudentT(_Distributed):
    start = (
        0.0,
        0.5,
        3.0,
    )
    anchors = (0,)

    def distribution(self, numbers: Tensor, level: Tensor, spread: Tensor) -> Distribution:
        freedom = _LEAST_FREEDOM + softplus(numbers[..., 2])
        return StudentT(freedom, numbers[..., 0], softplus(numbers[..., 1]) + _LEAST)

    def quantiles(self, numbers: Floats, level: Floats, spread: Floats, at: Any) -> Floats:
        freedom = _LEAST_FREEDOM + _softplus(numbers[..., 2:3])
        scale = _softplus(numbers[..., 1:2]) + _LEAST
        return _in_units(scipy.stats.t.ppf(at, freedom, numbers[..., :1], scale), level, spread)


class _NegativeBinomial(_Distributed):
    r"""Counts with mean $\mu$ and variance $\mu + \alpha\mu^2$ (Salinas et al. 2020, DeepAR)."""

    start = (
        0.0,
        -1.0,
    )
    anchors = (0,)

    def distribution(self, numbers: Tensor, level: Tensor, spread: Tensor) -> Distribution:
        mean = spread * softplus(level / spread + numbers[..., 0]) + _LEAST
        alpha = softplus(numbers[..., 1]) + _LEAST
        return NegativeBinomial(1 / alpha, logits=torch.log(mean * alpha))

    def truth(self, batch: WindowBatch) -> Tensor:
        units = batch.targets.double() * batch.spread + batch.level
        return units.round().clamp(min=0).to(batch.targets.dtype)

    def quantiles(self, numbers: Floats, level: Floats, spread: Floats, at: Any) -> Floats:
        wide = spread[..., None]
        mean = wide * _softplus(level[..., None] / wide + numbers[..., :1]) + _LEAST
        count = 1 / (_softplus(numbers[..., 1:2]) + _LEAST)
        return np.asarray(scipy.stats.nbinom.ppf(at, count, count / (count + mean)))


def output_of(options: Mapping[str, Any]) -> Output:
    """What validated options say that a network's numbers mean.

    Raises
    ------
    SettingError
        Counts have no logarithm to be learned, and a likelihood no units.
    """
    name = options["output"]
    if name == "quantiles":
        return _Quantiles(interval_probabilities(options["levels"]))
    if options["error_units"] is not None:
        raise SettingError(
            f"error_units={options['error_units']!r}: goes with output='quantiles'; the "
            f"likelihood, by which output={name!r} is learned, has no units"
        )
    if name == "negative_binomial" and options["transform"] != "none":
        raise SettingError("output='negative_binomial' learns counts; leave out transform='log'")
    kinds: dict[str, type[Output]] = {
        "normal": _Normal,
        "student_t": _StudentT,
        "negative_binomial": _NegativeBinomial,
    }
    return kinds[name]()


def _softplus(x: Floats) -> Floats:
    return np.asarray(np.logaddexp(0, x))


def _in_units(scaled: Floats, level: Floats, spread: Floats) -> Floats:
    return np.asarray(level[..., None] + spread[..., None] * scaled)
