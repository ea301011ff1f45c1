"""Reading labelled sequences, whatever they are made of: numbers, texts, sound, pen strokes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from cellwright.data.audio import ARCHIVES, Recordings, read_recordings
from cellwright.data.checks import check_choice, check_fraction, refuse_given
from cellwright.data.labels import missing_labels
from cellwright.data.readers import (
    NAMED,
    TABLES,
    Dataset,
    Labelled,
    no_data_set,
    read,
    read_samples,
)
from cellwright.data.sequences import Sequences
from cellwright.data.strokes import read_trajectories
from cellwright.data.tables import read_npz
from cellwright.data.text_lines import read_text_lines
from cellwright.errors import DataError

__all__ = ["LabelledData", "read_labelled", "read_labelled_samples"]

# Does not depend on the seed of the training, so that runs with several are scored alike.
_SPLIT_SEED = 0
_OWN = (".txt", ".tsv", *ARCHIVES, ".mat", ".gz")


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
        What `cellwright.data.read` reads; or a file of lines ``label text`` (``.txt``, ``.tsv``,
        ``.gz``);
        or a folder or tar archive of WAV files (see `read_recordings`); or the ``.mat`` of
        character trajectories (see `read_trajectories`).
    folder
        Where the files of a named data set lie.
    test_fraction
        Part of the samples that is kept for the test where the data have no test part.
    test
        Another file or folder of the same kind with the test part; a relative one lies beside
        the source.
    test_files
        Recordings kept for the test: a shell pattern of their names.
    split
        ``"random"`` keeps a part of each label, ``"last"`` the last samples as they come.

    Raises
    ------
    DataError
        The source is unknown or malformed, or has no labels; the test part is not of its kind;
        or an option was given that means nothing to it.
    SettingError
        `split` is not known.
    """
    check_fraction(test_fraction)
    check_choice(split, "split", ("random", "last"))
    own = _is_own(source)
    refuse_given(
        source,
        {
            "test_files": (test_files, None, own and test is None),
            "split": (split, "random", own and test is None and test_files is None),
        },
    )
    if test is not None:
        refuse_given(source, {"folder": (folder, None, False)})
        return _complete(_given_apart(source, str(Path(source).parent / test)))
    if not own:
        data = _read_named(source, folder, test_fraction=test_fraction)
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
    if folder is None and source.endswith(TABLES):
        return read_samples(source)
    return _read_named(source, folder).test


def _is_own(source: str) -> bool:
    if source in NAMED:  # also where a folder is called so
        return False
    return Path(source).is_dir() or (source.endswith(_OWN) and not source.endswith(TABLES))


def _read_named(source: str, folder: Path | None, **reading: Any) -> Dataset:
    if not source.endswith(TABLES) and source not in NAMED:
        endings = ", ".join((*TABLES, *_OWN))
        raise no_data_set(source, f"a folder of WAV files, or a path that ends in {endings}")
    return read(source, folder, **reading)


def _read_own(source: str) -> Labelled:
    path = Path(source)
    x: Any
    y: npt.NDArray[Any] | None
    if path.is_dir() or source.endswith(ARCHIVES):
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


def _given_apart(source: str, test: str) -> LabelledData:
    """Two sources, that to learn from and that of the test."""
    for each in (source, test):
        if not _is_own(each) and not each.endswith(TABLES):
            raise DataError(f"a test part of its own goes with a file or folder, not with {each!r}")
    if source.endswith(".npz") and "X_train" in read_npz(Path(source)):
        raise DataError(f"{source}: has a test part already; leave out test={test!r}")
    train, tested = read_labelled_samples(source), read_labelled_samples(test)
    if type(train.x) is not type(tested.x):
        raise DataError(f"{source} and {test} are not of one kind")
    if isinstance(train.x, Recordings) and train.x.rate != tested.x.rate:
        raise DataError(
            f"{source} was sampled at {train.x.rate} Hz but {test} at {tested.x.rate} Hz"
        )
    if isinstance(train.x, Sequences):
        if train.x.features != tested.x.features:
            raise DataError(
                f"{source} has {train.x.features} features but {test} has {tested.x.features}"
            )
        try:
            tested = replace(tested, x=tested.x.in_order(train.x.names or ()))
        except DataError as error:
            raise DataError(f"{test}: {error}") from error
    return LabelledData(_stem(source), train, tested)


def _complete(data: LabelledData) -> LabelledData:
    if data.train.y is None or data.test.y is None:
        raise DataError(f"{data.name}: there are no labels to learn")
    unknown = missing_labels(data.test.y, data.train.y)
    for sample, label in zip(data.test.ids, data.test.y.tolist(), strict=True):
        if str(label) in unknown:
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
