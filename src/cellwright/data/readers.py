"""Reading a data set by name or path, with a training and a test part."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cellwright.data.checks import check_fraction
from cellwright.data.idx import mnist_files, read_idx
from cellwright.data.labels import as_labels
from cellwright.data.sequences import Sequences, as_sequences
from cellwright.data.tables import read_csv, read_npz
from cellwright.errors import DataError, did_you_mean

__all__ = ["NAMED", "TABLES", "Dataset", "Labelled", "no_data_set", "read", "read_samples"]

TABLES = (".npz", ".csv", ".csv.gz", ".parquet")
"""How the names of files end that hold numbers at each step."""

# The division of a data set without a test part of its own does not depend on the seed of
# the training, so that runs with several seeds are scored on the same samples.
_SPLIT_SEED = 0


@dataclass(frozen=True, eq=False)
class Labelled:
    """Sequences with their labels.

    Attributes
    ----------
    x
        The sequences.
    y
        A label for each; None where they are not known.
    ids
        What the user calls each sample.
    """

    x: Sequences
    y: npt.NDArray[Any] | None
    ids: list[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set with a training and a test part."""

    name: str
    train: Labelled
    test: Labelled

    @property
    def fingerprint(self) -> str:
        """A digest of all sequences and labels, to tell whether the data are the same."""
        parts = [
            (part.x.fingerprint, None if part.y is None else part.y.tolist())
            for part in (self.train, self.test)
        ]
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def read(source: str, folder: Path | None = None, *, test_fraction: float = 0.2) -> Dataset:
    """Read a data set with labels.

    Parameters
    ----------
    source
        ``"digits"`` (1,797 scans of 8 rows of 8 pixels, part of scikit-learn), ``"mnist"``,
        or a path: ``.npz`` with ``X_train, y_train, X_test, y_test`` or ``X, y``, or ``.csv``,
        ``.csv.gz`` or ``.parquet`` in long form (``id, step, features…, label``).
    folder
        Where MNIST's IDX files lie; without it they are downloaded once.
    test_fraction
        Part of the samples, of each label, that is kept for the test where the data have no
        test part of their own.

    Raises
    ------
    DataError
        The source is unknown or malformed, or has no labels.
    """
    check_fraction(test_fraction)
    if source in NAMED:
        return NAMED[source](folder, test_fraction)
    if folder is not None:
        raise DataError(f"a data folder goes with a named data set, not with {source!r}")
    path = _existing(source)
    name = Path(source.removesuffix(".gz")).stem
    if path.suffix == ".npz":
        arrays = read_npz(path)
        if "X_train" in arrays:
            parts = [_from_npz(path, arrays, part) for part in ("_train", "_test")]
            return Dataset(name, parts[0], parts[1])
        return _split(name, _from_npz(path, arrays, ""), test_fraction)
    return _split(name, read_samples(source), test_fraction)


def read_samples(source: str) -> Labelled:
    """Read samples from a path, with labels or without: the test part, or undivided.

    Raises
    ------
    DataError
        The file is unknown or malformed.
    """
    path = _existing(source)
    if path.suffix == ".npz":
        arrays = read_npz(path)
        return _from_npz(path, arrays, "_test" if "X_test" in arrays else "")
    x, y, ids = read_csv(path)
    return Labelled(x, y, ids)


def no_data_set(source: str, others: str) -> DataError:
    """What to raise of a source that is neither a named data set nor one of the others."""
    return DataError(
        f"there is no data set {source!r}.{did_you_mean(source, NAMED)} Known: "
        f"{', '.join(NAMED)}, {others}"
    )


def _existing(source: str) -> Path:
    path = Path(source)
    if not source.endswith(TABLES):
        raise no_data_set(source, f"or a path that ends in {', '.join(TABLES)}")
    if not path.is_file():
        raise DataError(f"there is no file {source}")
    return path


def _digits(folder: Path | None, test_fraction: float) -> Dataset:
    if folder is not None:
        raise DataError("a data folder goes with mnist, not with digits, which scikit-learn brings")
    digits = load_digits()
    images = as_sequences(digits.images / 16.0)
    everything = Labelled(images, digits.target, list(range(len(images))))
    return _split("digits", everything, test_fraction)


def _mnist(folder: Path | None, test_fraction: float) -> Dataset:
    paths = mnist_files(folder)
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(paths[f"{part}-images-idx3-ubyte"])
        labels = read_idx(paths[f"{part}-labels-idx1-ubyte"])
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(
                f"{paths[f'{part}-images-idx3-ubyte'].parent}: images {images.shape} do not go "
                f"with labels {labels.shape}"
            )
        x = as_sequences(images / np.float32(255))
        parts.append(Labelled(x, labels.astype(np.int64), list(range(len(labels)))))
    return Dataset("mnist", parts[0], parts[1])


NAMED: dict[str, Callable[[Path | None, float], Dataset]] = {"digits": _digits, "mnist": _mnist}


def _from_npz(path: Path, arrays: dict[str, Any], part: str) -> Labelled:
    x_name, y_name = f"X{part}", f"y{part}"
    if x_name not in arrays:
        raise DataError(f"{path}: there is no array {x_name!r}; it holds {', '.join(arrays)}")
    x = as_sequences(arrays[x_name], name=f"{path}: {x_name}")
    y = arrays.get(y_name)
    if y is not None and y.shape != (len(x),):
        raise DataError(f"{path}: {y_name} must be ({len(x)},) like {x_name}, got {y.shape}")
    if y is not None:
        y = as_labels(y, name=f"{path}: {y_name}")
    return Labelled(x, y, list(range(len(x))))


def _split(name: str, everything: Labelled, test_fraction: float) -> Dataset:
    if everything.y is None:
        raise DataError(
            f"{name}: there are no labels to learn; a table has them in a column 'label', a .npz "
            f"in an array 'y'"
        )
    try:
        train, test = train_test_split(
            np.arange(len(everything.x)),
            test_size=test_fraction,
            random_state=_SPLIT_SEED,
            stratify=everything.y,
        )
    except ValueError as error:
        raise DataError(f"{name}: cannot be divided into training and test: {error}") from error
    return Dataset(name, _rows(everything, train), _rows(everything, test))


def _rows(everything: Labelled, rows: npt.NDArray[np.int64]) -> Labelled:
    assert everything.y is not None
    return Labelled(everything.x.take(rows), everything.y[rows], [everything.ids[r] for r in rows])
