"""Clips of digits: what they show, that parts do not mix, and that the same seed draws the same."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cellwright.data.batches import batches
from cellwright.data.clips import clips_of_digits, make_clips
from cellwright.data.sequences import as_sequences
from cellwright.errors import DataError

IMAGES = np.arange(12 * 4, dtype=np.uint8).reshape(12, 2, 2)
LABELS = np.arange(12) % 3


def test_frames_show_a_picture_of_their_label():
    clips, labels = make_clips(IMAGES, LABELS, 30, (0,), noise=0.0, white=4)
    assert len(clips) == len(labels) == 30
    for clip, label in zip(clips, labels, strict=True):
        shown = (clip[:, 0] * 4 / 4).astype(int)  # the first pixel of picture n is 4 n
        assert np.array_equal(clip, IMAGES[shown].reshape(20, 4) / np.float32(4))
        assert np.array_equal(LABELS[shown], label)
        # A picture stands still until another digit comes.
        assert np.array_equal(np.diff(shown) != 0, np.diff(label) != 0)


@pytest.mark.parametrize("change", [0.0, 0.3, 1.0])
def test_digits_change_as_often_as_they_are_asked_to(change):
    _, labels = make_clips(IMAGES, LABELS, 400, (0,), change=change)
    share = np.mean([np.diff(label) != 0 for label in labels])
    assert abs(share - change) < 0.02


def test_noise_is_drawn_anew_for_every_frame_and_is_always_the_same():
    still, _ = make_clips(IMAGES * 0, LABELS, 200, (0,), change=0.0, noise=0.5)
    frames = np.stack(list(still))
    assert abs(frames.std() - 0.5) < 0.01
    assert abs(frames.mean()) < 0.01
    assert abs(np.corrcoef(frames[:, 0].ravel(), frames[:, 1].ravel())[0, 1]) < 0.1
    assert np.array_equal(still.values[3], still.values[3])
    assert not np.array_equal(still.values[3], still.values[4])


def test_a_seed_draws_the_same_clips_and_another_one_others():
    first, again, other = (make_clips(IMAGES, LABELS, 5, (seed,)) for seed in (0, 0, 1))
    assert np.array_equal(np.stack(list(first[0])), np.stack(list(again[0])))
    assert first[0].fingerprint == again[0].fingerprint != other[0].fingerprint
    assert not np.array_equal(np.stack(first[1]), np.stack(other[1]))


def test_they_are_sequences_that_are_made_when_asked_for():
    clips, _ = make_clips(IMAGES, LABELS, 9, (0,))
    assert as_sequences(clips) is clips
    assert (clips.features, clips.lengths.tolist()) == (4, [20] * 9)
    few = clips.take(np.array([7, 2]))
    assert isinstance(few, type(clips))
    assert np.array_equal(few.values[0], clips.values[7])
    assert few.fingerprint != clips.fingerprint
    (batch,) = batches(few, 2)
    assert np.array_equal(batch.x.numpy(), np.stack([clips.values[7], clips.values[2]]))
    assert len(clips.values[3:5]) == 2


def test_no_picture_stands_in_both_parts():
    (train, _), (test, labels) = clips_of_digits(50, 20)
    digits = load_digits()

    def pictures(clips):
        return {clips.values.images[n].tobytes() for n in np.unique(clips.values.shown)}

    assert not pictures(train) & pictures(test)
    known = dict(zip(map(bytes, digits.images.astype(np.uint8)), digits.target, strict=True))
    found = test.values.images[test.values.shown[0]]
    assert [known[frame.tobytes()] for frame in found] == labels[0].tolist()


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"frames": 0}, {"change": 1.5}, {"noise": -1.0}, {"noise": np.inf}]
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(DataError, match=f"{next(iter(wrong)).replace('count', 'clips')}="):
        make_clips(**{"images": IMAGES, "labels": LABELS, "count": 3, "seed": (0,), **wrong})


def test_pictures_of_one_label_are_refused():
    with pytest.raises(DataError, match="at least two labels"):
        make_clips(IMAGES, LABELS * 0, 3, (0,))


def test_lengths_and_features_are_known_without_a_clip_being_made(monkeypatch):
    clips, _ = make_clips(IMAGES, LABELS, 9, (0,))
    monkeypatch.setattr(type(clips.values), "__getitem__", None)
    assert (clips.features, clips.lengths.tolist(), clips.dtype) == (4, [20] * 9, np.float32)
