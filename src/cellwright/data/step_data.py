"""Reading data with an answer at every step, by name or path, with a training and a test part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from cellwright.data.checks import check_fraction, refuse_given
from cellwright.data.clips import Clips, clips_of_digits, clips_of_mnist
from cellwright.data.conllu import read_conllu
from cellwright.data.sequences import Sequences
from cellwright.data.step_answers import AnswerKind
from cellwright.data.step_tables import StepColumns, read_step_table
from cellwright.data.words import WordSequences
from cellwright.errors import DataError, did_you_mean

__all__ = ["StepData", "StepDataset", "read_step_data", "read_step_samples"]

_SPLIT_SEED = 0
_NAMED = ("clips", "mnist-clips")
_TABLES, _TREEBANKS = (".csv", ".txt", ".parquet"), (".conllu",)
# Elsewhere "_" stands for what is not known; here it says that a word has none of them.
_MAY_BE_NONE = ("feats", "misc")
_TEST_SHARE = 0.25  # of the training clips


@dataclass(frozen=True, eq=False)
class StepData:
    """Sequences, of numbers or of words, with an answer at every step.

    Attributes
    ----------
    x
        The sequences.
    y
        The answers of each, (time,) or (time, answers); None where they are not known.
    ids
        What the user calls each sequence.
    parts
        Which file each comes from.
    names
        What the answers are called.
    """

    x: Sequences | WordSequences
    y: list[npt.NDArray[Any]] | None
    ids: list[Any]
    parts: list[str]
    names: tuple[str, ...]

    def take(self, rows: npt.NDArray[np.int64]) -> StepData:
        """The samples of these rows."""
        y = None if self.y is None else [self.y[row] for row in rows]
        ids, parts = [self.ids[row] for row in rows], [self.parts[row] for row in rows]
        return StepData(self.x.take(rows), y, ids, parts, self.names)

    @property
    def fingerprint(self) -> str:
        """A digest of all sequences and answers."""
        answers = None if self.y is None else [answer.tolist() for answer in self.y]
        return hashlib.blake2b(
            repr((self.x.fingerprint, answers)).encode(), digest_size=16
        ).hexdigest()


@dataclass(frozen=True, eq=False)
class StepDataset:
    """A data set with a training and a test part, and perhaps one to make choices by.

    Attributes
    ----------
    name
        What people call it.
    train, test, validation
        Its parts.
    kind
        What the answers are.
    """

    name: str
    train: StepData
    test: StepData
    validation: StepData | None = None
    kind: AnswerKind = "label"

    @property
    def fingerprint(self) -> str:
        """A digest of all of it, to tell whether two runs had the same."""
        parts = (self.train, self.test, *([self.validation] if self.validation else []))
        text = " ".join(part.fingerprint for part in parts)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def read_step_data(
    source: str,
    folder: Path | None = None,
    *,
    columns: StepColumns | None = None,
    column: str = "upos",
    test: Sequence[str] = (),
    test_fraction: float = 0.2,
    clips: int | None = None,
) -> StepDataset:
    """Read data to learn from.

    Parameters
    ----------
    source
        ``"clips"`` (of scikit-learn's digits), ``"mnist-clips"``; a table (``.csv``, ``.txt``);
        a CoNLL-U file; or a folder with CoNLL-U files whose names hold ``train``, ``test`` and
        perhaps ``dev``. Files may be compressed (``.gz``).
    folder
        Where MNIST's IDX files lie.
    columns
        What the columns of a table are.
    column
        Which column of CoNLL-U is learned.
    test
        Files of the test part; relative ones lie beside the source.
    test_fraction
        Part of the sequences that is kept for the test where nothing else says what is tested.
    clips
        How many training clips are made.

    Raises
    ------
    DataError
        The source is unknown or malformed, and the message names file, line and column; or an
        option was given that means nothing to it.
    """
    check_fraction(test_fraction)
    columns = columns or StepColumns()
    named = source in _NAMED
    path = Path() if named else _existing(source)
    file = not named and path.is_file()
    table = file and _kind(path) in _TABLES
    refuse_given(
        source,
        {
            "test": (tuple(test), (), file),
            **{f.name: (getattr(columns, f.name), f.default, table) for f in fields(columns)},
            "column": (column, "upos", not named and not table),
            "clips": (clips, None, named),
        },
    )
    if named:
        return _clips(source, folder, clips, test_fraction)
    if folder is not None:
        raise DataError(f"a data folder goes with a named data set, not with {source!r}")
    if path.is_dir():
        return _treebank(path, column)
    given = _read(path, columns, column)
    if test:
        parts = [_read(_existing(path.parent / name), columns, column) for name in test]
        return StepDataset(_stem(path), given, _joined(parts))
    if len(given.x) < 2:
        raise DataError(
            f"{path}: holds one sequence only, so none is left for the test; name a file of "
            f"tests with --test"
        )
    rows = np.arange(len(given.x))
    train, tested = train_test_split(rows, test_size=test_fraction, random_state=_SPLIT_SEED)
    return StepDataset(_stem(path), given.take(np.sort(train)), given.take(np.sort(tested)))


def read_step_samples(
    source: str,
    folder: Path | None = None,
    *,
    columns: StepColumns | None = None,
    column: str = "upos",
    clips: int | None = None,
) -> StepData:
    """Read samples from a path, with answers or without; of a named data set its test part.

    Raises
    ------
    DataError
        The source is unknown or malformed; the message names file, line and column.
    """
    if source in _NAMED:
        return _clips(source, folder, clips, 0.2).test
    path = _existing(source)
    if path.is_dir():
        return _treebank(path, column).test
    return _read(path, columns or StepColumns(), column, labelled=False)


def _existing(source: str | Path) -> Path:
    path = Path(source)
    if path.is_dir():
        return path
    if _kind(path) not in (*_TABLES, *_TREEBANKS):
        raise DataError(
            f"there is no data set {str(source)!r}.{did_you_mean(str(source), _NAMED)} Known: "
            f"{', '.join(_NAMED)}, or a path that ends in .csv, .txt, .parquet or "
            f".conllu, texts perhaps with .gz"
        )
    if not path.is_file():
        raise DataError(f"there is no file {source}")
    return path


def _kind(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _read(path: Path, columns: StepColumns, column: str, *, labelled: bool = True) -> StepData:
    if _kind(path) in _TREEBANKS:
        return _read_treebank(path, column)
    table = read_step_table(path, columns, labelled=labelled)
    parts = [_stem(path)] * len(table.ids)
    return StepData(table.x, table.y, list(table.ids), parts, columns.labels)


def _read_treebank(path: Path, column: str) -> StepData:
    sentences = read_conllu(path, column)
    known = any(label != "_" for sentence in sentences for label in sentence.labels)
    unknown = None if column in _MAY_BE_NONE else "_"
    labels = [
        np.array([None if label == unknown else label for label in sentence.labels], dtype=object)
        for sentence in sentences
    ]
    return StepData(
        WordSequences([sentence.words for sentence in sentences]),
        labels if known else None,
        [sentence.name for sentence in sentences],
        [_stem(path)] * len(sentences),
        (column,),
    )


def _treebank(folder: Path, column: str) -> StepDataset:
    files = sorted(path for path in folder.iterdir() if _kind(path) in _TREEBANKS)
    found: dict[str, StepData] = {}
    for part in ("train", "test", "dev"):
        matching = [path for path in files if part in path.name]
        if len(matching) > 1 or (not matching and part != "dev"):
            raise DataError(
                f"{folder}: expected one CoNLL-U file whose name holds {part!r}, found "
                f"{', '.join(path.name for path in matching) or 'none'}"
            )
        if matching:
            found[part] = _read_treebank(matching[0], column)
    return StepDataset(folder.name, found["train"], found["test"], found.get("dev"))


def _joined(parts: Sequence[StepData]) -> StepData:
    x: Sequences | WordSequences
    words = [part.x for part in parts if isinstance(part.x, WordSequences)]
    if words:
        x = WordSequences([sentence for part in words for sentence in part])
    else:
        tables = [part.x for part in parts if isinstance(part.x, Sequences)]
        names = tables[0].names
        assert names is not None
        x = Sequences([v for table in tables for v in table.in_order(names)], names)
    y = None if any(p.y is None for p in parts) else [a for p in parts for a in p.y or []]
    return StepData(
        x,
        y,
        [each for part in parts for each in part.ids],
        [each for part in parts for each in part.parts],
        parts[0].names,
    )


def _clips(
    source: str, folder: Path | None, count: int | None, test_fraction: float
) -> StepDataset:
    counts = {} if count is None else {"train": count, "test": int(_TEST_SHARE * count)}
    if source == "mnist-clips":
        made = clips_of_mnist(folder, **counts)
    elif folder is not None:
        raise DataError("a data folder goes with mnist-clips, not with clips")
    else:
        made = clips_of_digits(**counts, test_fraction=test_fraction)
    train, test = (_numbered(source, part) for part in made)
    return StepDataset(source, train, test)


def _numbered(source: str, clips: Clips) -> StepData:
    x, y = clips
    return StepData(x, list(y), list(range(len(y))), [source] * len(y), ("digit",))
