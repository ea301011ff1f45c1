"""Reading labelled sequences, whatever they are made of: numbers, texts, sound, pen strokes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from cellwright.data.audio import Recordings, read_recordings
from cellwright.data.readers import Labelled, read, read_samples
from cellwright.data.strokes import read_trajectories
from cellwright.data.text_lines import read_text_lines
from cellwright.errors import DataError

__all__ = ["LabelledData", "read_labelled", "read_labelled_samples"]

# Does not depend on the seed of the training, so that runs with several are scored alike.
_SPLIT_SEED = 0
_TEXTS = (".txt", ".txt.gz", ".gz")
_ARCHIVES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, eq=False)
class LabelledData:
    """A data set with a training and a test part; their `x` may also be texts or recordings."""

    name: str
    train: Labelled
    test: Labelled

    @property
    def fingerprint(self) -> str:
        """A digest of all sequences and labels, to tell whether the data are the same."""
        parts = [
            (_fingerprint(part.x), None if part.y is None else part.y.tolist())
            for part in (self.train, self.test)
        ]
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def read_labelled(
    source: str,
    folder: Path | None = None,
    *,
    test_fraction: float = 0.2,
    test: str | None = None,
    test_files: str | None = None,
    split: str = "random",
) -> LabelledData:
    """Read a data set with labels.

    Parameters
    ----------
    source
        What `cellwright.data.read` reads; or a file of lines ``label text`` (``.txt``, ``.gz``);
        or a folder or tar archive of WAV files (see `read_recordings`); or the ``.mat`` of
        character trajectories (see `read_trajectories`).
    folder
        Where the files of a named data set lie.
    test_fraction
        Part of the samples that is kept for the test where the data have no test part.
    test
        Another file or folder of the same kind with the test part.
    test_files
        Recordings kept for the test: a shell pattern of their names.
    split
        ``"random"`` keeps a part of each label, ``"last"`` the last samples as they come.

    Raises
    ------
    DataError
        The source is unknown or malformed, or has no labels.
    """
    if not 0 < test_fraction < 1:
        raise DataError(f"test_fraction={test_fraction}: must lie between 0 and 1")
    if folder is None and test is not None:
        train = _undivided(source, test)
        return _complete(LabelledData(_stem(source), train, _undivided(test, source)))
    if not _is_own(source):
        if test_files is not None or split != "random":
            raise DataError(f"{source}: test_files and split are of recordings, texts and strokes")
        data = read(source, folder, test_fraction=test_fraction)
        return _complete(LabelledData(data.name, data.train, data.test))
    if folder is not None:
        raise DataError(f"a data folder goes with a named data set, not with {source!r}")
    everything = _read_own(source)
    if test_files is not None:
        if not isinstance(everything.x, Recordings):
            raise DataError(f"{source}: test_files={test_files!r} is a pattern of recordings")
        kept = everything.x.matching(test_files)
        rows = np.flatnonzero(~kept), np.flatnonzero(kept)
    else:
        rows = _divided(source, everything, test_fraction, split)
    parts = [_taken(everything, each) for each in rows]
    return _complete(LabelledData(_stem(source), parts[0], parts[1]))


def read_labelled_samples(source: str, folder: Path | None = None, **reading: Any) -> Labelled:
    """Read samples, with labels or without: a named data set's test part, or all of a file's.

    Raises
    ------
    DataError
        The source is unknown or malformed.
    """
    if _is_own(source):
        return _read_own(source)
    if folder is None and source.endswith((".npz", ".csv")):
        return read_samples(source)
    return read(source, folder).test


def _is_own(source: str) -> bool:
    return Path(source).is_dir() or source.endswith((*_TEXTS, *_ARCHIVES, ".mat"))


def _read_own(source: str) -> Labelled:
    path = Path(source)
    x: Any
    y: npt.NDArray[Any] | None
    if path.is_dir() or source.endswith(_ARCHIVES):
        x = read_recordings(path)
        y = None if x.texts is None else np.array(x.texts, dtype=str)
        return Labelled(x, y, list(x.names))
    if not path.is_file():
        raise DataError(f"there is no file {source}")
    if path.suffix == ".mat":
        found = read_trajectories(path)
        return Labelled(found.x, found.y, list(range(len(found))))
    x, y = read_text_lines(path)
    return Labelled(x, y, list(range(len(x))))


def _undivided(source: str, other: str) -> Labelled:
    if _is_own(source):
        return _read_own(source)
    if not source.endswith((".npz", ".csv")):
        raise DataError(f"a test part of its own goes with a file or folder, not with {source!r}")
    found = read_samples(source)
    if type(found.x) is not type(read_labelled_samples(other).x):
        raise DataError(f"{source} and {other} are not of one kind")
    return found


def _complete(data: LabelledData) -> LabelledData:
    if data.train.y is None or data.test.y is None:
        raise DataError(f"{data.name}: there are no labels to learn")
    learned = set(map(str, data.train.y.tolist()))
    for sample, label in zip(data.test.ids, data.test.y.tolist(), strict=True):
        if str(label) not in learned:
            raise DataError(
                f"{data.name}: sample {sample!r} of the test part has the label {label!r}, which "
                f"no sample to learn from has"
            )
    return data


def _divided(
    source: str, everything: Labelled, test_fraction: float, split: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    samples = len(everything.ids)
    if split == "last":
        first = samples - round(samples * test_fraction)
        if not 0 < first < samples:
            raise DataError(f"{source}: {samples} samples cannot be divided at {test_fraction}")
        return np.arange(first), np.arange(first, samples)
    if everything.y is None:
        raise DataError(f"{source}: there are no labels to learn")
    try:
        train, test = train_test_split(
            np.arange(samples),
            test_size=test_fraction,
            random_state=_SPLIT_SEED,
            stratify=everything.y,
        )
    except ValueError as error:
        raise DataError(f"{source}: cannot be divided into training and test: {error}") from error
    return train, test


def _taken(everything: Labelled, rows: npt.NDArray[np.int64]) -> Labelled:
    y = None if everything.y is None else everything.y[rows]
    return Labelled(everything.x.take(rows), y, [everything.ids[row] for row in rows])


def _fingerprint(x: Any) -> str:
    if not isinstance(x, Recordings):
        return str(x.fingerprint)
    digest = hashlib.blake2b(f"{x.rate} {x.names}".encode(), digest_size=16)
    for wave in x.waves:
        digest.update(wave.tobytes())
    return digest.hexdigest()


def _stem(source: str) -> str:
    return Path(source).name.split(".")[0] or source
