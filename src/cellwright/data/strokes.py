"""Handwriting: the character trajectories' ``.mat``, and UNIPEN files of pen strokes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat

from cellwright.data.files import read_lines
from cellwright.data.sequences import Sequences
from cellwright.errors import DataError

__all__ = ["Ink", "Trajectories", "offsets", "read_trajectories", "read_unipen"]

Points = npt.NDArray[np.float64]

_TRAJECTORY = ("x velocity", "y velocity", "pen force")


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Single characters as a pen wrote them.

    Attributes
    ----------
    x
        Horizontal and vertical velocity of the pen and the change of its force, smoothed, 200
        steps a second.
    y
        The character of each, (sample,).
    """

    x: Sequences
    y: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.x)


def read_trajectories(path: str | Path, *, trimmed: bool = True) -> Trajectories:
    """Read a ``.mat`` of character trajectories.

    Parameters
    ----------
    path
        A MATLAB file with ``key``, cells with the characters; and ``xtrain``, cells of (3, time),
        with ``ytrain``, numbers from 1 into the key; or, as the UCI repository has it,
        ``mixout`` and ``consts`` in their place.
    trimmed
        Cut off the steps before and after the writing, at which all three are zero.

    Raises
    ------
    DataError
        The file is missing or malformed; the message names the array and the sample.

    References
    ----------
    Williams, Toussaint and Storkey, "Extracting motion primitives from natural handwriting
    data", ICANN (2006).
    """
    place = Path(path)
    if not place.is_file():
        raise DataError(f"there is no file {path}")
    try:
        content = loadmat(place)
    except Exception as error:  # loadmat raises whatever the damaged bytes lead it to
        raise DataError(f"{path} is no MATLAB file: {error}") from error
    samples, numbers, key = _arrays(content, str(path))
    if len(numbers) != len(samples):
        raise DataError(f"{path}: {len(samples)} trajectories do not go with {len(numbers)} labels")
    values, labels = [], []
    for index, (sample, number) in enumerate(zip(samples, numbers, strict=True)):
        name = f"{path}: trajectory {index}"
        values.append(_trajectory(sample, name, trimmed))
        if not 1 <= number <= len(key):
            raise DataError(f"{name}: its label {number} is none of 1 to {len(key)}")
        labels.append(key[int(number) - 1])
    return Trajectories(Sequences(values, _TRAJECTORY), np.array(labels))


def _arrays(content: dict[str, Any], path: str) -> tuple[list[Any], npt.NDArray[Any], list[str]]:
    if "consts" in content and "mixout" in content:
        constants = content["consts"][0, 0]
        content = {
            "xtrain": content["mixout"],
            "ytrain": constants["charlabels"],
            "key": constants["key"],
        }
    for name in ("xtrain", "ytrain", "key"):
        if name not in content:
            raise DataError(f"{path} has no {name}; it should hold xtrain, ytrain and key")
    samples, key = content["xtrain"], content["key"]
    if samples.dtype != object or not samples.size or key.dtype != object:
        raise DataError(f"{path}: xtrain and key must be cells that are not empty")
    characters = ["".join(map(str, np.ravel(cell))) for cell in key.ravel()]
    return list(samples.ravel()), content["ytrain"].ravel(), characters


def _trajectory(sample: Any, name: str, trimmed: bool) -> npt.NDArray[np.float32]:
    array = np.asarray(sample)
    if array.ndim != 2 or array.shape[0] != len(_TRAJECTORY) or array.dtype.kind not in "fiu":
        raise DataError(f"{name}: expected ({len(_TRAJECTORY)}, time), got {array.shape}")
    if not np.isfinite(array).all():
        axis, step = np.argwhere(~np.isfinite(array))[0]
        raise DataError(f"{name}: its {_TRAJECTORY[axis]} at step {step} is not a finite number")
    moving = np.flatnonzero((array != 0).any(axis=0))
    if not len(moving):
        raise DataError(f"{name}: nothing is written, all its numbers are zero")
    kept = array[:, moving[0] : moving[-1] + 1] if trimmed else array
    return np.asarray(kept.T, np.float32)


@dataclass(frozen=True, eq=False)
class Ink:
    """What a pen wrote.

    Attributes
    ----------
    points
        (time, 3): x, y, and 1 where the pen is down or 0 where it moves through the air.
    text
        What was written; None where the file does not tell.
    name
        Where it stands: the file and its lines.
    """

    points: Points
    text: str | None
    name: str


def offsets(points: Points) -> npt.NDArray[np.float32]:
    """Points (time, 3) as what a network reads, (time, 3): steps in x and y, and the pen.

    Steps are in units of the writing's height, or of its width where it has none, so that it
    does not matter where on the tablet and how large somebody writes.
    """
    spans = np.ptp(points[points[:, 2] > 0, :2], axis=0)
    size = next((span for span in spans[::-1] if span > 0), 1.0)
    moves = np.diff(points[:, :2], axis=0, prepend=points[:1, :2]) / size
    return np.column_stack([moves, points[:, 2]]).astype(np.float32)


def read_unipen(path: str | Path, *, level: str | None = None) -> list[Ink]:
    r"""Read a UNIPEN file: pen-down and pen-up sections of points, and what they say.

    ::

        .COORD X Y
        .SEGMENT WORD 0-2 ? "hi"
        .PEN_DOWN
         10 20
         11 24
        .PEN_UP
         14 25
        .PEN_DOWN
         16 20

    ``.COORD`` names the columns, of which X and Y are used. ``.SEGMENT`` has a level, the
    sections it covers, counted from 0, pen up and down alike (``0-2``, ``0,2``, ``3``), a
    quality and a text in quotes. Other keywords, and what belongs to them, are passed over.

    Parameters
    ----------
    path
        The file.
    level
        Which segments to give, such as "WORD"; without it those of the level that is named
        first. Without segments the whole file is one sample without a text.

    Raises
    ------
    DataError
        Naming file, line and column: a number is missing or not finite, a section that a
        segment covers is not there, or nothing is written.
    """
    place = Path(path)
    file = _Unipen(str(path))
    for number, line in enumerate(read_lines(place), 1):
        file.read(number, line)
    return list(file.samples(level))


_SECTION = re.compile(r"[0-9]{1,9}")
_SEGMENT = re.compile(r'\.SEGMENT\s+(\S+)\s+([\d,\-\s]*\d)\s+(\S+)\s+"((?:[^"\\]|\\.)*)"\s*$')


@dataclass
class _Segment:
    line: int
    level: str
    ranges: list[tuple[int, int]]
    text: str


@dataclass
class _Unipen:
    """What has been read of a file so far."""

    path: str
    columns: list[str] = field(default_factory=lambda: ["X", "Y"])
    sections: list[list[tuple[float, float, float]]] = field(default_factory=list)
    segments: list[_Segment] = field(default_factory=list)
    pen: float | None = None

    def read(self, number: int, line: str) -> None:
        words = line.split()
        if not words:
            return
        if not words[0].startswith("."):
            if self.pen is not None:
                self._point(number, words)
            return
        keyword = words[0].upper()
        self.pen = {".PEN_DOWN": 1.0, ".PEN_UP": 0.0}.get(keyword)
        if self.pen is not None:
            self.sections.append([])
            if len(words) > 1:
                self._point(number, words[1:])
        elif keyword == ".COORD":
            self.columns = [word.upper() for word in words[1:]]
            for name in ("X", "Y"):
                if name not in self.columns:
                    raise DataError(f"{self._line(number)}: .COORD names no column {name}")
        elif keyword == ".SEGMENT":
            self._segment(number, line.strip())

    def samples(self, level: str | None) -> Iterator[Ink]:
        if not any(self.sections):
            raise DataError(f"{self.path}: nothing is written, there are no points of a pen")
        if not self.segments:
            yield self._ink(list(range(len(self.sections))), None, self.path)
            return
        wanted = level or self.segments[0].level
        chosen = [s for s in self.segments if s.level.upper() == wanted.upper()]
        if not chosen:
            levels = ", ".join(dict.fromkeys(s.level for s in self.segments))
            raise DataError(f"{self.path}: there are no segments {wanted}, only {levels}")
        for segment in chosen:
            name = self._line(segment.line)
            for first, last in segment.ranges:
                if last >= len(self.sections):
                    raise DataError(
                        f"{name}: there is no section {max(first, len(self.sections))}; the file "
                        f"has {len(self.sections)}, counted from 0"
                    )
            if not segment.text.strip():
                raise DataError(f"{name}: the text is empty")
            sections = [n for first, last in segment.ranges for n in range(first, last + 1)]
            yield self._ink(sections, segment.text, name)

    def _ink(self, sections: list[int], text: str | None, name: str) -> Ink:
        points = np.array([point for section in sections for point in self.sections[section]])
        if not points.size or not points[:, 2].any():
            raise DataError(f"{name}: nothing is written, the pen is never down")
        return Ink(points, text, name)

    def _point(self, number: int, words: list[str]) -> None:
        found = []
        for name in ("X", "Y"):
            column = self.columns.index(name)
            word = words[column] if column < len(words) else "nothing"
            try:
                value = float(word)
            except ValueError:
                value = np.nan
            if not np.isfinite(value):
                raise DataError(
                    f"{self._line(number)}, column {column + 1} ({name}): expected a finite "
                    f"number, got {word}"
                )
            found.append(value)
        assert self.pen is not None
        self.sections[-1].append((found[0], found[1], self.pen))

    def _segment(self, number: int, line: str) -> None:
        match = _SEGMENT.match(line)
        if match is None:
            raise DataError(
                f'{self._line(number)}: expected .SEGMENT LEVEL 0-2 QUALITY "text", got {line!r}'
            )
        level, ranges, _, text = match.groups()
        found: list[tuple[int, int]] = []
        for part in ranges.replace(" ", "").split(","):
            first, _, last = part.partition("-")
            last = last or first
            if not (_SECTION.fullmatch(first) and _SECTION.fullmatch(last)):
                raise DataError(f"{self._line(number)}: {part!r} is no range of sections")
            if int(last) < int(first):
                raise DataError(f"{self._line(number)}: {part!r} ends before it begins")
            found.append((int(first), int(last)))
        self.segments.append(_Segment(number, level, found, re.sub(r"\\(.)", r"\1", text)))

    def _line(self, number: int) -> str:
        return f"{self.path}, line {number}"
