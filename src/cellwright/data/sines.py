"""Two-tone sines: sequences whose making is known, for networks that make sequences."""

from __future__ import annotations

import numpy as np

from cellwright.data.checks import check_count
from cellwright.data.sequences import Sequences
from cellwright.errors import SettingError

__all__ = ["two_tone_sines"]

# Cycles a step, and size, of the slow and the quick tone.
_TONES = (((0.03, 0.05), 1.0), ((0.12, 0.20), 0.5))


def two_tone_sines(
    samples: int, *, steps: int = 24, features: int = 1, noise: float = 0.1, seed: int = 0
) -> Sequences:
    r"""Sums of a slow and a quick sine, of which no two are alike, with a little noise.

    $$x_t = \sum_{k=1}^{2} g_k\,a_k \sin\big(2\pi (f_k t + \varphi_k)\big) + \epsilon_t, \quad
      a_k \sim U(0.7, 1.3),\ \varphi_k \sim U(0, 1),\ \epsilon_t \sim N(0, \sigma^2)$$

    with $g_1 = 1$ and $f_1 \sim U(0.03, 0.05)$ cycles a step, $g_2 = 0.5$ and
    $f_2 \sim U(0.12, 0.2)$; all are drawn anew for each feature of each sequence. After the
    sines of Yoon, Jarrett and van der Schaar, "Time-series generative adversarial networks"
    (2019), which have one tone and no noise.

    Parameters
    ----------
    samples
        How many sequences.
    steps
        Length of each.
    features
        Sines side by side.
    noise
        Standard deviation of what is added at each step.
    seed
        Of all that is drawn.

    Raises
    ------
    SettingError
        A number is too small.

    Examples
    --------
    >>> two_tone_sines(100).values.shape
    (100, 24, 1)
    """
    for name, value in (("samples", samples), ("steps", steps), ("features", features)):
        check_count(value, name)
    if not noise >= 0:
        raise SettingError(f"noise={noise!r}: must not be less than 0")
    draw = np.random.default_rng(seed)
    shape = (samples, 1, features)
    time = np.arange(steps)[:, None]
    values = noise * draw.normal(size=(samples, steps, features))
    for frequencies, size in _TONES:
        frequency, phase = draw.uniform(*frequencies, shape), draw.uniform(0, 1, shape)
        height = size * draw.uniform(0.7, 1.3, shape)
        values += height * np.sin(2 * np.pi * (frequency * time + phase))
    return Sequences(values.astype(np.float32))
