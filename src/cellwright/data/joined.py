"""Strings and words joined from single digits and characters, spoken, written or scanned.

What is joined is drawn from a seed, so that the same call gives the same data anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from cellwright.data.audio import Recordings
from cellwright.data.sequences import Sequences
from cellwright.data.strokes import Trajectories
from cellwright.errors import DataError, SettingError

__all__ = [
    "Lines",
    "digit_lines",
    "join_characters",
    "join_recordings",
    "random_words",
]

Wave = npt.NDArray[np.float32]


class Lines(NamedTuple):
    """Sequences, and what each says."""

    x: Sequences
    texts: list[str]


def join_recordings(
    recordings: Recordings,
    count: int,
    *,
    least: int = 3,
    most: int = 7,
    pauses: tuple[float, float] = (0.02, 0.4),
    noise: tuple[float, float] = (10.0, 30.0),
    between: str = "",
    seed: int | Sequence[int] = 0,
) -> Recordings:
    r"""Strings of recordings, each with its own loudness, with pauses between and noise over all.

    Every recording is brought to the loudness \(10^{u}\), \(u\) uniform between -1.5 and -0.7
    (root of its mean square), so that neighbours may differ by 16 dB. Before, between and behind
    them are pauses, and white noise lies over the whole string, as many dB below the loudness of
    what is spoken as is drawn. All recordings are used about equally often.

    Parameters
    ----------
    recordings
        What is joined; each needs a text.
    count
        Strings.
    least, most
        Recordings in a string, drawn uniformly.
    pauses
        Shortest and longest pause, in seconds.
    noise
        Least and greatest distance between speech and noise, in dB.
    between
        Stands between the texts that are joined.
    seed
        Of everything that is drawn.

    Raises
    ------
    DataError
        The recordings have no texts.
    SettingError
        `least` and `most` are no range.
    """
    if recordings.texts is None:
        raise DataError("nothing tells what is heard in the recordings that are to be joined")
    draw = np.random.default_rng(seed)
    chosen = _drawn(draw, len(recordings), _sizes(draw, count, least, most))
    waves, texts = [], []
    for rows in chosen:
        spoken = [
            _at_loudness(recordings.waves[row], 10 ** draw.uniform(-1.5, -0.7)) for row in rows
        ]
        silences = (draw.uniform(*pauses, len(rows) + 1) * recordings.rate).astype(int)
        loudness = np.sqrt(np.mean(np.concatenate(spoken) ** 2))
        parts = [np.zeros(silences[0], np.float32)]
        for wave, silence in zip(spoken, silences[1:], strict=True):
            parts += [wave, np.zeros(silence, np.float32)]
        string = np.concatenate(parts)
        floor = loudness * 10 ** (-draw.uniform(*noise) / 20)
        waves.append((string + floor * draw.standard_normal(len(string))).astype(np.float32))
        texts.append(between.join(recordings.texts[row] for row in rows))
    names = tuple(f"string {number}" for number in range(count))
    return Recordings(waves, recordings.rate, names, tuple(texts))


def join_characters(
    trajectories: Trajectories, words: Sequence[str], *, seed: int | Sequence[int] = 0
) -> Lines:
    """Words written character by character, the pen carried through the air between them.

    For each letter one of its trajectories is drawn. Between two the pen is up for 5 steps or
    more and moves, at first and at last slowly, to where the next letter begins: right of the
    last, at the same height in the middle, give or take a little. Each letter is written up to a
    fifth larger or smaller.

    Parameters
    ----------
    trajectories
        What is joined.
    words
        The words.
    seed
        Of everything that is drawn.

    Raises
    ------
    DataError
        A letter is not among the trajectories, or a word is empty.
    """
    draw = np.random.default_rng(seed)
    of_letter = {str(y): np.flatnonzero(trajectories.y == y) for y in np.unique(trajectories.y)}
    values = []
    for number, word in enumerate(words):
        missing = sorted(set(word) - set(of_letter))
        if missing or not word:
            raise DataError(
                f"words[{number}] is {word!r}: there is no trajectory of {', '.join(missing)}"
                if missing
                else f"words[{number}] is empty"
            )
        letters = [trajectories.x.values[draw.choice(of_letter[letter])] for letter in word]
        values.append(_written(letters, draw))
    return Lines(Sequences(values, trajectories.x.names), list(words))


def random_words(
    letters: Sequence[str], count: int, *, least: int = 2, most: int = 8, seed: Any = 0
) -> list[str]:
    """Strings of letters drawn at random, so that a network learns letters and not words."""
    draw = np.random.default_rng(seed)
    return [
        "".join(letters[number] for number in rows)
        for rows in _drawn(draw, len(letters), _sizes(draw, count, least, most))
    ]


def digit_lines(
    count: int,
    *,
    test: bool = False,
    least: int = 3,
    most: int = 7,
    seed: int | Sequence[int] = 0,
) -> Lines:
    """Numbers made of scikit-learn's scans of digits, to be read column by column from the left.

    Each scan is 8 rows of 8 columns; blank columns beside a digit are cut off, up to two are
    put between two digits, and a digit stands up to one row higher or lower.

    Parameters
    ----------
    count
        Lines.
    test
        Draw from the last fifth of the scans, others from the first four.
    least, most
        Digits in a line, drawn uniformly.
    seed
        Of everything that is drawn.

    Returns
    -------
    Lines
        (columns, 8 rows) between 0 and 1, and the digits.
    """
    digits = load_digits()
    start = len(digits.images) * 4 // 5
    part = slice(start, None) if test else slice(start)
    images, labels = digits.images[part] / np.float32(16), digits.target[part]
    draw = np.random.default_rng(seed)
    values, texts = [], []
    for rows in _drawn(draw, len(images), _sizes(draw, count, least, most)):
        parts = []
        for row in rows:
            shift = draw.integers(-1, 2)
            columns = np.pad(images[row], ((1, 1), (0, 0)))[1 - shift : 9 - shift].T
            inked = np.flatnonzero(columns.any(axis=1))
            gap = np.zeros((draw.integers(0, 3), 8))
            parts += [gap, columns[inked[0] : inked[-1] + 1]]
        values.append(np.concatenate([*parts, np.zeros((1, 8))]).astype(np.float32))
        texts.append("".join(str(labels[row]) for row in rows))
    return Lines(Sequences(values), texts)


def _sizes(draw: np.random.Generator, count: int, least: int, most: int) -> npt.NDArray[np.int64]:
    if not 1 <= least <= most or count < 1:
        raise SettingError(
            f"count={count}, least={least}, most={most}: must be at least 1, the least at most "
            f"the most"
        )
    return draw.integers(least, most + 1, count)


def _drawn(
    draw: np.random.Generator, available: int, sizes: npt.NDArray[np.int64]
) -> list[npt.NDArray[np.int64]]:
    """Numbers below `available`, as many as each size; every one about equally often."""
    rounds = -(-int(sizes.sum()) // available)
    numbers = np.concatenate([draw.permutation(available) for _ in range(rounds)])
    return np.split(numbers[: sizes.sum()], np.cumsum(sizes)[:-1])


def _at_loudness(wave: Wave, wanted: float) -> Wave:
    loudness = float(np.sqrt(np.mean(wave.astype(np.float64) ** 2)))
    return (wave * (wanted / loudness)).astype(np.float32)


def _written(letters: Sequence[npt.NDArray[Any]], draw: np.random.Generator) -> Wave:
    """Letters (time, 3) of velocities and force as one word."""
    parts: list[npt.NDArray[Any]] = []
    end = None
    for letter in letters:
        letter = letter * np.array([*[draw.uniform(0.8, 1.2)] * 2, 1.0])  # noqa: PLW2901
        path = letter[:, :2].cumsum(0)
        low, high = path.min(0), path.max(0)
        middle = (low[1] + high[1]) / 2
        if end is not None:
            # From where the pen is, seen from the last letter's right edge and middle.
            gap = np.array([draw.uniform(2, 12) - low[0], draw.uniform(-4, 4) - middle]) - end
            steps = np.hypot(*gap) / draw.uniform(1.0, 2.5)  # some speeds are those of writing
            parts.append(_carried(gap, max(5, round(steps))))
        parts.append(letter)
        end = path[-1] - np.array([high[0], middle])
    return np.concatenate(parts).astype(np.float32)


def _carried(way: npt.NDArray[Any], steps: int) -> npt.NDArray[Any]:
    """Velocities (steps, 3) of a pen in the air that starts and stops gently."""
    speed = np.sin(np.pi * (np.arange(steps) + 0.5) / steps)
    return np.column_stack([np.outer(speed / speed.sum(), way), np.zeros(steps)])
