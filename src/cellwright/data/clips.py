"""Clips in which a handwritten digit changes now and then, under noise: a label a frame.

At each frame after the first the picture is exchanged, with some chance, for one of another
digit; else it stands still. Noise is drawn anew for every frame, so that a network which
remembers the frames before sees more than one that looks at each frame alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cellwright.data.idx import mnist_files, read_idx
from cellwright.data.sequences import Sequences
from cellwright.errors import DataError

__all__ = ["ClipFrames", "ClipSequences", "clips_of_digits", "clips_of_mnist", "make_clips"]

Clips = tuple[Sequences, list[npt.NDArray[np.int64]]]

FRAMES, CHANGE, NOISE = 20, 0.2, 0.3
"""Frames of a clip, chance of another digit at each, standard deviation of the noise."""

_SPLIT_SEED = 0
_TRAINING, _TEST = 1, 2


@dataclass(frozen=True, eq=False)
class ClipFrames(Sequence[npt.NDArray[np.float32]]):
    """Clips as arrays (frame, pixel), made when they are asked for: kept, they would be gigabytes.

    Attributes
    ----------
    images
        (picture, pixel), whole numbers.
    white
        The greatest of them, which becomes 1.
    shown
        Which picture each frame shows, (clip, frame).
    seeds
        Of each clip's noise, (clip,).
    noise
        Standard deviation of the noise, which is Gaussian and independent for each pixel.
    """

    images: npt.NDArray[np.uint8]
    white: int
    shown: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]
    noise: float

    def __len__(self) -> int:
        return len(self.shown)

    @overload
    def __getitem__(self, row: int) -> npt.NDArray[np.float32]: ...

    @overload
    def __getitem__(self, row: slice) -> ClipFrames: ...

    def __getitem__(self, row: int | slice) -> npt.NDArray[np.float32] | ClipFrames:
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        frames = np.asarray(self.images[self.shown[row]] / np.float32(self.white))
        rng = np.random.default_rng([int(self.seeds[row]), 0])
        frames += np.float32(self.noise) * rng.standard_normal(frames.shape, dtype=np.float32)
        return frames

    def take(self, rows: npt.NDArray[np.int64]) -> ClipFrames:
        """The clips of these rows."""
        return ClipFrames(self.images, self.white, self.shown[rows], self.seeds[rows], self.noise)


@dataclass(frozen=True, eq=False)
class ClipSequences(Sequences):
    """Clips as sequences; taking some of them makes none."""

    values: ClipFrames

    @property
    def features(self) -> int:
        """Pixels of a frame."""
        return int(self.values.images.shape[1])

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Frames of each clip: all have the same."""
        clips, frames = self.values.shown.shape
        return np.full(clips, frames, np.int64)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Single precision."""
        return np.dtype(np.float32)

    @property
    def fingerprint(self) -> str:
        """A digest of all that the clips are made of."""
        clips = self.values
        digest = hashlib.blake2b(f"{clips.noise!r} {clips.white}".encode(), digest_size=16)
        for array in (clips.images, clips.shown, clips.seeds):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def take(self, rows: npt.NDArray[np.int64]) -> ClipSequences:
        """The clips of these rows."""
        return ClipSequences(self.values.take(rows), self.names)


def make_clips(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    count: int,
    seed: Sequence[int],
    *,
    frames: int = FRAMES,
    change: float = CHANGE,
    noise: float = NOISE,
    white: int = 255,
) -> Clips:
    """Draw clips of pictures.

    Parameters
    ----------
    images
        (picture, row, column).
    labels
        What each shows; at least two different.
    count, frames
        Clips, and frames of each.
    seed
        The same seed draws the same clips.
    change
        Chance, at each frame after the first, that another digit comes.
    noise
        Standard deviation of the noise, in parts of the range from black to white.
    white
        The greatest value of a pixel.

    Returns
    -------
    clips, labels
        Sequences of (frame, row times column), and for each clip the label of every frame.

    Raises
    ------
    DataError
        All pictures show the same, or a number is out of its range.
    """
    if len(np.unique(labels)) < 2:
        raise DataError("clips want pictures of at least two labels")
    if count < 1 or frames < 1 or not 0 <= change <= 1 or not 0 <= noise < np.inf:
        raise DataError(
            f"clips={count}, frames={frames}, change={change}, noise={noise}: must be from 1, "
            f"from 1, from 0 to 1, and from 0"
        )
    rng = np.random.default_rng(seed)
    shown = np.empty((count, frames), dtype=np.int64)
    shown[:, 0] = rng.integers(len(images), size=count)
    changes = rng.random((count, frames)) < change
    for frame in range(1, frames):
        before = shown[:, frame - 1]
        drawn = rng.integers(len(images), size=count)
        while (same := labels[drawn] == labels[before]).any():
            drawn[same] = rng.integers(len(images), size=int(same.sum()))
        shown[:, frame] = np.where(changes[:, frame], drawn, before)
    pixels = np.ascontiguousarray(images.reshape(len(images), -1))
    values = ClipFrames(pixels, white, shown, rng.integers(2**62, size=count), noise)
    return ClipSequences(values), list(labels[shown].astype(np.int64))


def clips_of_digits(
    train: int = 1000, test: int = 250, *, test_fraction: float = 0.2
) -> tuple[Clips, Clips]:
    """Clips of scikit-learn's 1,797 scans of 8 by 8 pixels: training and test.

    No picture stands in both parts; which ones are kept for the test is always the same.
    """
    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.int64)
    rows = np.arange(len(images))
    parts = train_test_split(
        rows, test_size=test_fraction, random_state=_SPLIT_SEED, stratify=labels
    )
    given = zip(parts, (train, test), (_TRAINING, _TEST), strict=True)
    first, second = (
        make_clips(images[part], labels[part], count, (seed,), white=16)
        for part, count, seed in given
    )
    return first, second


def clips_of_mnist(
    folder: Path | None, train: int = 12_000, test: int = 2_000
) -> tuple[Clips, Clips]:
    """Clips of MNIST: training clips of its training pictures, test clips of its test pictures.

    Parameters
    ----------
    folder
        Where MNIST's IDX files lie; without it they are downloaded once.
    train, test
        Number of clips.

    Raises
    ------
    DataError
        A file is missing or damaged.
    """
    paths = mnist_files(folder)
    made = []
    for part, count, seed in (("train", train, _TRAINING), ("t10k", test, _TEST)):
        images = read_idx(paths[f"{part}-images-idx3-ubyte"])
        labels = read_idx(paths[f"{part}-labels-idx1-ubyte"])
        if images.ndim != 3 or labels.shape != (len(images),):
            raise DataError(
                f"{paths[f'{part}-images-idx3-ubyte'].parent}: images {images.shape} do not go "
                f"with labels {labels.shape}"
            )
        made.append(make_clips(images, labels.astype(np.int64), count, (seed,)))
    return made[0], made[1]
