"""Parallel text: two files, in each line of which stands the same in another language."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellwright.data.checks import check_fraction, refuse_given
from cellwright.data.files import read_lines
from cellwright.data.number_words import english_number, french_number
from cellwright.errors import DataError, did_you_mean

__all__ = ["ParallelData", "ParallelText", "read_parallel", "read_parallel_samples"]

# As for other readers: the division does not depend on the seed of the training.
_SPLIT_SEED = 0
_VALIDATION = ("val", "valid", "validation", "dev")
_NUMBERS = {"en": english_number, "fr": french_number}
_GENERATED = {"train": 6000, "validation": 500, "test": 1000}


@dataclass(frozen=True, eq=False)
class ParallelText:
    """Texts, and the same in another language.

    Attributes
    ----------
    source
        What is read.
    target
        What is to be told, one for each; None where it is not known.
    """

    source: Sequence[str]
    target: Sequence[str] | None

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: Sequence[int]) -> ParallelText:
        """The texts of these rows."""
        target = None if self.target is None else [self.target[row] for row in rows]
        return ParallelText([self.source[row] for row in rows], target)


@dataclass(frozen=True, eq=False)
class ParallelData:
    """Parallel text with a training and a test part; validation only where the data have one."""

    name: str
    train: ParallelText
    validation: ParallelText | None
    test: ParallelText

    @property
    def fingerprint(self) -> str:
        """A digest of all texts, to tell whether the data are the same."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.train, self.validation, self.test):
            for side in () if part is None else (part.source, part.target or ()):
                digest.update(f"{len(side)}:".encode())
                for text in side:
                    digest.update(text.encode() + b"\n")
        return digest.hexdigest()


def read_parallel(
    data: str,
    folder: Path | None = None,
    *,
    source: str,
    target: str,
    test: str | None = None,
    test_fraction: float = 0.1,
) -> ParallelData:
    """Read parallel text.

    Parameters
    ----------
    data
        ``"numbers"``, numbers in words that are made here (``en``, ``fr``); a folder with
        ``train.de``, ``train.en``, ``val.de``, …, ``test*.en``; or the path of two files
        without their endings, ``corpus`` for ``corpus.de`` and ``corpus.en``. Each file may be
        compressed, with ``.gz`` behind its name. UTF-8.
    folder
        Is refused: no named data set lies in a folder.
    source, target
        The endings of the files that are read from, and that are to be told.
    test
        Name of the test files in a folder, without the ending, such as ``test_2016_flickr``.
    test_fraction
        Part that is kept for the test where the data have no test files.

    Raises
    ------
    DataError
        A file is missing, not UTF-8, has an empty line, or not as many lines as its
        counterpart, and the message names file and line; or `test` was given for what is no
        folder.
    """
    _check(folder, source, target)
    check_fraction(test_fraction)
    path = Path(data)
    several = data != "numbers" and path.is_dir()
    refuse_given(data, {"test": (test, None, several)})
    if data == "numbers":
        return _numbers(source, target)
    if not several:
        return _divided(path.name, _pair(path, source, target), None, None, test_fraction)
    train = _pair(path / "train", source, target)
    stems = [stem for stem in _VALIDATION if _file(path / stem, source) is not None]
    validation = _pair(path / stems[0], source, target) if stems else None
    name = _test_name(path, source, target, test)
    tested = None if name is None else _pair(path / name, source, target)
    return _divided(path.name, train, validation, tested, test_fraction)


def read_parallel_samples(
    data: str,
    folder: Path | None = None,
    *,
    source: str,
    target: str,
    test: str | None = None,
    test_fraction: float = 0.1,
) -> ParallelText:
    """Read what is to be translated: a text file, or a pair of which the target may be missing.

    Parameters
    ----------
    data
        A file with a text in each line, or the path before the endings ``source`` and
        ``target``; of a folder, and of ``"numbers"``, the test part.
    folder, source, target, test, test_fraction
        As for `read_parallel`.

    Raises
    ------
    DataError
        A file is missing or malformed.
    """
    _check(folder, source, target)
    path = Path(data)
    if data == "numbers":
        return _numbers(source, target).test
    if path.is_dir():
        # Whoever uses a model may have nothing but the test files.
        name = _test_name(path, source, target, test)
        if name is not None:
            return _pair(path / name, source, target)
        return _divided(
            path.name, _pair(path / "train", source, target), None, None, test_fraction
        ).test
    if path.is_file():
        return ParallelText(_texts(path), None)
    if _file(path, target) is None and (found := _file(path, source)) is not None:
        return ParallelText(_texts(found), None)
    return _pair(path, source, target)


def _check(folder: Path | None, source: str, target: str) -> None:
    if folder is not None:
        raise DataError("parallel text takes no data folder; give the folder as --data")
    if source == target:
        raise DataError(f"source and target are both {source!r}; give two languages")


def _texts(path: Path) -> list[str]:
    """The lines of a file, none of them empty."""
    lines = read_lines(path)
    if not lines:
        raise DataError(f"{path}: is empty")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise DataError(f"{path}, line {number}: is empty; take it out of both files")
    return lines


def _file(stem: Path, language: str) -> Path | None:
    """The file of a language, compressed or not."""
    names = [f"{stem.name}.{language}{ending}" for ending in ("", ".gz")]
    return next((path for name in names if (path := stem.with_name(name)).is_file()), None)


def _pair(stem: Path, source: str, target: str) -> ParallelText:
    files = []
    for language in (source, target):
        found = _file(stem, language)
        if found is None:
            here = sorted({_language(p) for p in stem.parent.glob(f"{stem.name}.*")})
            hint = f"; found endings: {', '.join(here)}" if here else ""
            unknown = "" if here else did_you_mean(str(stem), ["numbers"])
            raise DataError(f"there is no file {stem}.{language} or .{language}.gz{hint}{unknown}")
        files.append(found)
    left, right = (_texts(path) for path in files)
    if len(left) != len(right):
        at = min(len(left), len(right))
        longer = files[0] if len(left) > len(right) else files[1]
        raise DataError(
            f"{files[0]} has {len(left)} lines but {files[1]} has {len(right)}; line {at + 1} of "
            f"{longer} has no counterpart"
        )
    return ParallelText(left, right)


def _language(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[2]


def _test_name(folder: Path, source: str, target: str, asked: str | None) -> str | None:
    """Name of the test files of a folder; None if there are none."""
    found = {p.name.removesuffix(".gz").removesuffix(f".{source}") for p in folder.glob("test*")}
    names = sorted(
        name for name in found if _file(folder / name, source) and _file(folder / name, target)
    )
    if asked is not None:
        if asked not in names:
            known = f"; there are: {', '.join(names)}" if names else ""
            raise DataError(f"{folder} has no test files {asked!r}{known}")
        return asked
    if len(names) > 1:
        raise DataError(
            f"{folder} has several test files, {', '.join(names)}; name the one that counts with "
            f"--test"
        )
    return names[0] if names else None


def _divided(
    name: str,
    train: ParallelText,
    validation: ParallelText | None,
    test: ParallelText | None,
    test_fraction: float,
) -> ParallelData:
    if test is not None:
        return ParallelData(name, train, validation, test)
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(train))
    count = round(test_fraction * len(train))
    if not 0 < count < len(train):
        raise DataError(
            f"{name}: {len(train)} lines cannot be divided by test_fraction={test_fraction}"
        )
    kept, held = sorted(order[count:].tolist()), sorted(order[:count].tolist())
    return ParallelData(name, train.take(kept), validation, train.take(held))


def _numbers(source: str, target: str) -> ParallelData:
    """Numbers in words, none of them in two parts."""
    for language in (source, target):
        if language not in _NUMBERS:
            raise DataError(
                f"numbers are made in {' and '.join(_NUMBERS)}, not in {language!r}; for other "
                f"languages give files with --data"
            )
    drawn = np.random.default_rng(_SPLIT_SEED).choice(10**6, sum(_GENERATED.values()), False)
    parts = np.split(drawn, np.cumsum(list(_GENERATED.values()))[:-1])
    made = [
        ParallelText(*([_NUMBERS[side](int(n)) for n in part] for side in (source, target)))
        for part in parts
    ]
    return ParallelData("numbers", *made)
