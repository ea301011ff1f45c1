"""Reading what is to be transcribed: recordings, strokes or lines, each with its text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.data.audio import ARCHIVES, Recordings, read_recordings
from cellwright.data.checks import check_fraction, refuse_given
from cellwright.data.english_words import WORDS
from cellwright.data.joined import digit_lines, join_characters, join_recordings, random_words
from cellwright.data.readers import read_samples
from cellwright.data.sequences import Sequences, as_sequences
from cellwright.data.strokes import Trajectories, offsets, read_trajectories, read_unipen
from cellwright.data.texts import as_text
from cellwright.errors import DataError

__all__ = ["Transcribed", "TranscribedDataset", "read_transcribed", "read_transcribed_samples"]

_NAMED = "digit-lines"
_UNIPEN = (".unp", ".unipen")
_LINES = 4000
# What is drawn for training and test, whatever the seed of the training.
_SPLIT, _TRAINING, _TEST, _WORDS, _LETTERS = range(5)


@dataclass(frozen=True, eq=False)
class Transcribed:
    """Sequences or recordings, and what each says.

    Attributes
    ----------
    x
        The sequences or recordings.
    texts
        What each says; None where it is not known.
    ids
        What the user calls each.
    """

    x: Sequences | Recordings
    texts: list[str] | None
    ids: list[Any]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: npt.NDArray[np.int64]) -> Transcribed:
        """The samples of these rows."""
        texts = None if self.texts is None else [self.texts[row] for row in rows]
        return Transcribed(self.x.take(rows), texts, [self.ids[row] for row in rows])

    @property
    def fingerprint(self) -> str:
        """A digest of all numbers and texts."""
        digest = hashlib.blake2b(repr(self.texts).encode(), digest_size=16)
        values = self.x.waves if isinstance(self.x, Recordings) else self.x
        for value in values:
            digest.update(value.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TranscribedDataset:
    """What is learned from, and what is tested on."""

    name: str
    train: Transcribed
    test: Transcribed

    @property
    def fingerprint(self) -> str:
        """A digest of both parts."""
        return hashlib.blake2b(
            (self.train.fingerprint + self.test.fingerprint).encode(), digest_size=16
        ).hexdigest()


def read_transcribed(
    source: str,
    *,
    test_fraction: float = 0.2,
    test_files: str | None = None,
    joined: int | None = None,
    least: int = 3,
    most: int = 7,
    tested: int = 500,
) -> TranscribedDataset:
    """Read what is learned from, and a test part.

    Parameters
    ----------
    source
        ``"digit-lines"``; a folder or tar archive of WAV files; the ``.mat`` of character
        trajectories, which are joined to words; a UNIPEN file, ``.unp``; or a ``.csv`` in long
        form whose labels are texts.
    test_fraction
        Part of the samples, drawn at random, that is kept for the test; of trajectories the
        last in the file.
    test_files
        For recordings, a pattern of the names of those that are kept instead.
    joined
        Strings to join recordings or characters to; recordings are not joined without it.
    least, most
        Recordings or digits in such a string.
    tested
        Joined strings in the test part.

    Raises
    ------
    DataError
        The source is unknown or malformed, or has no texts; or an option was given that means
        nothing to it.
    """
    check_fraction(test_fraction)
    lines, characters = source == _NAMED, source.endswith(".mat")
    strings = joined is not None and not characters
    refuse_given(
        source,
        {
            "test_files": (test_files, None, not lines and not characters),
            "least": (least, 3, lines or strings),
            "most": (most, 7, lines or strings),
            "tested": (tested, 500, lines or characters or strings),
        },
    )
    if lines:
        parts = [
            digit_lines(count, test=part == _TEST, least=least, most=most, seed=(part,))
            for part, count in ((_TRAINING, joined or _LINES), (_TEST, tested))
        ]
        return TranscribedDataset(source, *(_lines(*part) for part in parts))
    path = Path(source)
    if characters:
        train, test = _words(read_trajectories(path), test_fraction, joined or _LINES, tested)
        return TranscribedDataset(path.stem, train, test)
    everything = _everything(source)
    if everything.texts is None:
        raise DataError(f"{source}: there are no texts to learn")
    if test_files is not None:
        if not isinstance(everything.x, Recordings):
            raise DataError("test_files chooses among recordings; these data are none")
        held = everything.x.matching(test_files)
        train_rows, test_rows = np.flatnonzero(~held), np.flatnonzero(held)
    else:
        order = np.random.default_rng(_SPLIT).permutation(len(everything))
        cut = len(order) - max(1, round(test_fraction * len(order)))
        train_rows, test_rows = np.sort(order[:cut]), np.sort(order[cut:])
    if not len(train_rows):
        raise DataError(f"{source}: nothing is left to learn from, all of it is kept for the test")
    train, test = everything.take(train_rows), everything.take(test_rows)
    if joined is not None:
        train = _strings(train, joined, least, most, _TRAINING)
        test = _strings(test, tested, least, most, _TEST)
    return TranscribedDataset(path.name.partition(".")[0], train, test)


def read_transcribed_samples(source: str, reading: Mapping[str, Any]) -> Transcribed:
    """Read what a trained model is used on: the test part of what is joined, or all there is.

    Raises
    ------
    DataError
        The source is unknown or malformed.
    """
    joining = ("joined", "tested", *(("least", "most") if source == _NAMED else ("test_fraction",)))
    if source == _NAMED or source.endswith(".mat"):
        # Other options may be left from the data that were learned from.
        given = {name: reading[name] for name in joining if name in reading}
        return read_transcribed(source, **given).test
    return _everything(source)


def _everything(source: str) -> Transcribed:
    """All that a source holds; a text that says nothing is found here, not by a test at the end."""
    found = _read(source)
    for name, text in zip(found.ids, found.texts or (), strict=False):
        as_text(text, f"{source}: the text of {name!r}")
    return found


def _read(source: str) -> Transcribed:
    path = Path(source)
    if path.is_dir() or source.endswith(ARCHIVES):
        recordings = read_recordings(path)
        texts = None if recordings.texts is None else list(recordings.texts)
        return Transcribed(recordings, texts, list(recordings.names))
    if source.endswith(_UNIPEN):
        inks = read_unipen(path)
        texts = [ink.text for ink in inks if ink.text is not None]
        x = as_sequences([offsets(ink.points) for ink in inks])
        x = replace(x, names=("x step", "y step", "pen"))
        known = texts if len(texts) == len(inks) else None
        return Transcribed(x, known, [ink.name for ink in inks])
    if source.endswith(".csv"):
        samples = read_samples(source)
        texts = None if samples.y is None else [str(label) for label in samples.y.tolist()]
        return Transcribed(samples.x, texts, samples.ids)
    endings = ", ".join((*ARCHIVES, ".mat", *_UNIPEN, ".csv"))
    raise DataError(
        f"there is no data set {source!r}; known: {_NAMED}, a folder of WAV files, or a path that "
        f"ends in {endings}"
    )


def _strings(part: Transcribed, count: int, least: int, most: int, seed: int) -> Transcribed:
    if not isinstance(part.x, Recordings):
        raise DataError("joined makes strings of recordings; these data are none")
    strings = join_recordings(part.x, count, least=least, most=most, seed=(_SPLIT, seed))
    assert strings.texts is not None
    return Transcribed(strings, list(strings.texts), list(strings.names))


def _words(
    everything: Trajectories, test_fraction: float, count: int, tested: int
) -> tuple[Transcribed, Transcribed]:
    """Words of the first trajectories, and other words of the last."""
    cut = len(everything) - max(1, round(test_fraction * len(everything)))
    rows = np.arange(len(everything))
    parts = [Trajectories(everything.x.take(r), everything.y[r]) for r in (rows[:cut], rows[cut:])]
    letters = sorted(set(parts[0].y.tolist()) & set(parts[1].y.tolist()))
    possible = [word for word in WORDS if set(word) <= set(letters)]
    held, known = possible[::4], [word for row, word in enumerate(possible) if row % 4]
    if not held or not known:
        raise DataError(f"no words can be written with the letters {''.join(letters)}")
    # Half of what is learned from are no words, so that letters are learned and not words.
    texts = _picked(known, count - count // 2, _WORDS)
    texts += random_words(letters, max(1, count // 2), seed=(_SPLIT, _LETTERS))
    return (
        _lines(*join_characters(parts[0], texts, seed=(_SPLIT, _TRAINING))),
        _lines(*join_characters(parts[1], _picked(held, tested, _TEST), seed=(_SPLIT, _TEST))),
    )


def _picked(words: Sequence[str], count: int, seed: int) -> list[str]:
    draw = np.random.default_rng((_SPLIT, seed))
    return [words[place] for place in draw.integers(0, len(words), count)]


def _lines(x: Sequences, texts: list[str]) -> Transcribed:
    return Transcribed(x, texts, list(range(len(x))))
