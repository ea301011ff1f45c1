"""Scenes of two digits: what stands where is what is said."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from cellwright.data.scenes import HELD_OUT, Digits, compose, digit_scenes, mnist_scenes
from cellwright.errors import DataError

_DATA = os.environ.get("CELLWRIGHT_SHARED_DATA", Path(__file__).parents[2] / "../shared/data")
MNIST = Path(_DATA) / "mnist"
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SIDE = 8


def marked():
    """A scan of each digit that is full of a brightness of its own."""
    levels = 20 + 20 * np.arange(10, dtype=np.uint8)
    return Digits(np.broadcast_to(levels[:, None, None], (10, SIDE, SIDE)), np.arange(10))


def digits_of(caption):
    return [WORDS.index(word) for word in re.findall("|".join(WORDS), caption)]


def test_captions_say_what_stands_where():
    pairs = np.stack(np.divmod(np.arange(100), 10), 1)
    scenes = compose(marked(), pairs, 400, seed=0)
    counts = {}
    for (caption,), picture in zip(scenes.captions, scenes.pictures.values, strict=True):
        first, second = digits_of(caption)
        places = []
        for digit in (first, second):
            rows, columns = np.nonzero(picture[..., 0] == 20 + 20 * digit)
            if first != second:
                assert len(rows) == SIDE * SIDE  # whole, and not covered by the other
                places.append((rows.min(), columns.min()))
        relation = caption.split(maxsplit=2)[2].rsplit(maxsplit=2)[0]
        counts[relation] = counts.get(relation, 0) + 1
        if first == second:
            assert (picture > 0).sum() == 2 * SIDE * SIDE
            continue
        down, right = np.subtract(places[1], places[0])
        level = SIDE // 4
        assert {
            "to the left of": right >= SIDE and abs(down) <= level,
            "above": down >= SIDE and abs(right) <= level,
            "above and to the left of": down >= SIDE and right >= SIDE,
            "above and to the right of": down >= SIDE and right <= -SIDE,
        }[relation]
        assert caption.startswith("an eight" if first == 8 else f"a {WORDS[first]}")
    assert len(counts) == 4
    assert min(counts.values()) > 70


def test_scenes_follow_from_their_seed():
    pairs = np.array([[1, 2]])
    one, same, other = (compose(marked(), pairs, 20, seed) for seed in (3, 3, 4))
    assert one.pictures.fingerprint == same.pictures.fingerprint != other.pictures.fingerprint
    assert one.captions == same.captions


def test_a_digit_without_a_scan_is_named():
    lacking = Digits(marked().images[1:], np.arange(1, 10))
    with pytest.raises(DataError, match="no scan of the digit 0"):
        compose(lacking, np.array([[1, 0]]), 1, 0)


def test_every_digit_is_held_out_twice_first_and_twice_second():
    assert len({tuple(pair) for pair in HELD_OUT.tolist()}) == 20
    for place in (0, 1):
        assert np.bincount(HELD_OUT[:, place], minlength=10).tolist() == [2] * 10


def test_the_default_data_hold_pairs_and_scans_out():
    data = digit_scenes(train=300, test=80)
    held_out = {tuple(pair) for pair in HELD_OUT.tolist()}
    assert data.train.pictures.shape == (40, 40, 1)
    assert not any(tuple(digits_of(c)) in held_out for (c,) in data.train.captions)
    assert all(tuple(digits_of(c)) in held_out for (c,) in data.test.captions)
    assert data.fingerprint == digit_scenes(train=300, test=80).fingerprint
    assert data.fingerprint != digit_scenes(train=301, test=80).fingerprint
    with pytest.raises(DataError, match="goes with mnist-scenes"):
        digit_scenes(Path())


def test_a_folder_without_mnist_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds neither train-images"):
        mnist_scenes(tmp_path)


@pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST does not lie beside the project")
def test_scenes_of_mnist():
    data = mnist_scenes(MNIST, train=20, test=10)
    assert data.train.pictures.values.shape == (20, 64, 64, 1)
    assert len(data.test.captions) == 10
