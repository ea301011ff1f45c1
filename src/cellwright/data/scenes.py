"""Pictures composed of two handwritten digits, and captions of what stands where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cellwright.data.captioned import Captioned, CaptionedDataset
from cellwright.data.idx import mnist_files, read_idx
from cellwright.data.pictures import PictureArray, Pixels
from cellwright.errors import DataError

__all__ = ["HELD_OUT", "SCENES", "Digits", "compose", "digit_scenes", "mnist_scenes"]

Pairs: TypeAlias = npt.NDArray[np.int64]
"""(pair, 2): the digit that is named first, and the one named second."""

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Words of a relation, and on which side of the first digit the second one stands: columns
# to the right, rows down. The digit named first is always the upper one, or the left one of
# two on a level, so that there is one caption to a picture.
_RELATIONS = (
    ("to the left of", (1, 0)),
    ("above", (0, 1)),
    ("above and to the left of", (1, 1)),
    ("above and to the right of", (-1, 1)),
)
_DIGITS = 10
_HELD_OUT_SEED, _SPLIT_SEED, _TRAIN_SEED, _TEST_SEED = 2014, 0, 1, 2


@dataclass(frozen=True, eq=False)
class Digits:
    """Scans of handwritten digits: images (sample, side, side), 0 to 255, and what each is."""

    images: Pixels
    labels: npt.NDArray[np.int64]


def _held_out() -> Pairs:
    """A fifth of all pairs, where every digit stands twice first and twice second."""
    random = np.random.default_rng(_HELD_OUT_SEED)
    first, second = random.permutation(_DIGITS), random.permutation(_DIGITS)
    pairs = [(first[n], second[(n + shift) % _DIGITS]) for shift in (0, 1) for n in range(_DIGITS)]
    return np.array(sorted(pairs), np.int64)


HELD_OUT: Pairs = _held_out()
"""The 20 ordered pairs of 100 that stand in test scenes only: no training picture shows them."""


def _learned() -> Pairs:
    held_out = set(map(tuple, HELD_OUT.tolist()))
    everything = np.stack(np.divmod(np.arange(_DIGITS**2), _DIGITS), 1)
    return np.array([pair for pair in everything.tolist() if tuple(pair) not in held_out])


def compose(digits: Digits, pairs: Pairs, scenes: int, seed: int) -> Captioned:
    """Draw scenes of two digits on a black canvas.

    Parameters
    ----------
    digits
        Scans to choose from.
    pairs
        Which digits may stand together, (pair, 2), the one named first in front; every pair
        and each of the four relations comes up as often as any other.
    scenes
        How many.
    seed
        Of everything that is drawn: pair, relation, scans and places.

    Returns
    -------
    Captioned
        Pictures of twice the side of a scan and 8 pixels more, with one caption each, such
        as "a three above a seven".

    Raises
    ------
    DataError
        A digit of a pair has no scan.
    """
    random = np.random.default_rng(seed)
    by_digit = [np.flatnonzero(digits.labels == digit) for digit in range(_DIGITS)]
    for digit in np.unique(pairs):
        if not len(by_digit[digit]):
            raise DataError(f"there is no scan of the digit {digit}")
    side = digits.images.shape[1]
    canvas = 2 * side + 8
    pictures, captions = np.zeros((scenes, canvas, canvas, 1), np.uint8), []
    for scene in range(scenes):
        first, second = pairs[random.integers(len(pairs))]
        words, direction = _RELATIONS[random.integers(len(_RELATIONS))]
        for digit, (top, left) in zip(
            (first, second), _places(direction, side, canvas, random), strict=True
        ):
            scan = digits.images[random.choice(by_digit[digit])]
            pictures[scene, top : top + side, left : left + side, 0] = scan
        captions.append([f"{_named(first)} {words} {_named(second)}"])
    return Captioned(PictureArray(pictures), captions, list(range(scenes)))


def _named(digit: int) -> str:
    return f"{'an' if digit == 8 else 'a'} {_WORDS[digit]}"


def _places(
    direction: tuple[int, int], side: int, canvas: int, random: np.random.Generator
) -> list[tuple[int, int]]:
    """Top and left of both scans: side by side without touching, or nearly on a level."""
    slack, level = canvas - 2 * side, side // 4
    offsets = [
        step * (side + random.integers(slack + 1)) if step else random.integers(-level, level + 1)
        for step in (direction[1], direction[0])
    ]
    places = [(0, 0), (0, 0)]
    for axis, offset in enumerate(offsets):
        start = random.integers(max(0, -offset), canvas - side - max(0, offset) + 1)
        both = (start, start + offset)
        places = [
            (int(both[n]), place[1]) if axis == 0 else (place[0], int(both[n]))
            for n, place in enumerate(places)
        ]
    return places


def digit_scenes(
    folder: Path | None = None, *, train: int = 4000, test: int = 1000
) -> CaptionedDataset:
    """Scenes of scikit-learn's 1,797 digits, each pixel four times, 40 by 40 pixels.

    A fifth of the scans stands in test scenes only, and test scenes show held-out pairs only.

    Parameters
    ----------
    folder
        There is none for these data.
    train, test
        How many scenes.
    """
    if folder is not None:
        raise DataError("a data folder goes with mnist-scenes, not with scenes")
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    # Twice as large, so that an encoder that halves the sides three times still tells them apart.
    images = images.repeat(2, axis=1).repeat(2, axis=2)
    learned, kept = train_test_split(
        np.arange(len(images)), test_size=0.2, random_state=_SPLIT_SEED, stratify=digits.target
    )
    parts = [Digits(images[rows], digits.target[rows].astype(np.int64)) for rows in (learned, kept)]
    return _dataset("scenes", parts[0], parts[1], train, test)


def mnist_scenes(
    folder: Path | None = None, *, train: int = 20_000, test: int = 2_000
) -> CaptionedDataset:
    """Scenes of MNIST's digits, 64 by 64 pixels, from its training and its test scans.

    Parameters
    ----------
    folder
        Where the four IDX files lie; without it they are downloaded once.
    train, test
        How many scenes.

    Raises
    ------
    DataError
        A file is missing or malformed.
    """
    paths = mnist_files(folder)
    parts = []
    for part in ("train", "t10k"):
        path = paths[f"{part}-images-idx3-ubyte"]
        images, labels = read_idx(path), read_idx(paths[f"{part}-labels-idx1-ubyte"])
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(
                f"{path.parent}: images {images.shape} do not go with labels {labels.shape}"
            )
        parts.append(Digits(images.astype(np.uint8), labels.astype(np.int64)))
    return _dataset("mnist-scenes", parts[0], parts[1], train, test)


def _dataset(name: str, learned: Digits, kept: Digits, train: int, test: int) -> CaptionedDataset:
    return CaptionedDataset(
        name,
        compose(learned, _learned(), train, _TRAIN_SEED),
        compose(kept, HELD_OUT, test, _TEST_SEED),
        (f"test scenes show the {len(HELD_OUT)} pairs of digits that no training scene shows",),
    )


SCENES: dict[str, Callable[..., CaptionedDataset]] = {
    "scenes": digit_scenes,
    "mnist-scenes": mnist_scenes,
}
"""Data sets by the name that the command line knows them by."""
