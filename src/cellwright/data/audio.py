"""Recordings of sound: a folder or archive of WAV files, read, checked and named."""

from __future__ import annotations

import csv
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from cellwright.data.files import check_name, decoded
from cellwright.errors import DataError, require_extra

__all__ = ["ARCHIVES", "TRANSCRIPTS", "Recordings", "read_recordings"]

Wave = npt.NDArray[np.float32]

TRANSCRIPTS = "transcripts.csv"
"""Name of a table, ``file,text``, that says what is heard in the files that lie beside it."""

ARCHIVES = (".tar", ".tar.gz", ".tgz")
"""How the names of archives end that recordings are read from."""


@dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings with one sample rate.

    Attributes
    ----------
    waves
        Samples between -1 and 1 of each recording, (samples,).
    rate
        Samples a second.
    names
        Where each lies in its folder or archive.
    texts
        What is heard in each, or its label; None where nothing tells.
    """

    waves: Sequence[Wave]
    rate: int
    names: tuple[str, ...]
    texts: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.waves)

    def take(self, rows: npt.NDArray[np.int64]) -> Recordings:
        """The recordings of these rows."""
        return Recordings(
            [self.waves[row] for row in rows],
            self.rate,
            tuple(self.names[row] for row in rows),
            None if self.texts is None else tuple(self.texts[row] for row in rows),
        )

    def matching(self, pattern: str) -> npt.NDArray[np.bool_]:
        """Which of the names a shell pattern fits, such as ``*_[0-4].wav``, (recording,).

        Raises
        ------
        DataError
            It fits none.
        """
        plain = PurePosixPath(pattern).as_posix()  # as names are, which have no "./"
        found = np.array([fnmatch(name, plain) for name in self.names])
        if not found.any():
            raise DataError(
                f"no recording's name fits {pattern!r}; the first of {len(self)} is "
                f"{self.names[0]!r}"
            )
        return found


def read_recordings(source: str | Path, *, rate: int | None = None) -> Recordings:
    """Read all WAV files of a folder, with those below it, or of a tar archive.

    What is heard comes from a table ``transcripts.csv``, with the columns ``file``, seen from
    the folder that the table lies in, and ``text``; without one from the folder that each file
    lies in, if there are several; or else from the file's name up to its first underscore, if all
    names have one, as in ``7_jackson_32.wav``. Several channels are averaged.

    Parameters
    ----------
    source
        A folder, or a path that ends in .tar, .tar.gz or .tgz.
    rate
        The sample rate that is expected; without it that of the first file.

    Raises
    ------
    DataError
        There is nothing to read, or a file is not WAV, truncated, silent, empty, or has another
        sample rate or a name that is not UTF-8, or the table does not fit the files; the message
        names the file.
    """
    require_extra("audio", "soundfile")
    path = Path(source)
    waves: list[Wave] = []
    names: list[str] = []
    tables: dict[str, str] = {}
    for name, content in _files(path):
        check_name(name, path)
        if PurePosixPath(name).name == TRANSCRIPTS:
            tables[name] = decoded(content, f"{path}: {name}")
            continue
        wave, found = _wave(content, f"{path}: {name}")
        if rate is not None and found != rate:
            reason = f"{names[0]!r} has {rate} Hz" if names else f"{rate} Hz are expected"
            raise DataError(
                f"{path}: {name} was sampled at {found} Hz, but {reason}; bring all recordings "
                f"to one rate first"
            )
        rate = found
        waves.append(wave)
        names.append(name)
    if not waves or rate is None:
        raise DataError(f"{path}: holds no WAV files")
    texts = _table_texts(path, tables, names) if tables else _named_texts(names)
    return Recordings(waves, rate, tuple(names), texts)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each WAV file and of the table, in the order of their names."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and _wanted(file.name):
                yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    if not path.name.endswith(ARCHIVES):
        raise DataError(f"{path} is neither a folder nor a path that ends in {ARCHIVES}")
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        # Read in one pass: going back in a compressed archive would unpack it again.
        contents: dict[str, bytes] = {}
        with tarfile.open(path) as archive:
            for member in archive:
                file_in = archive.extractfile(member) if _wanted(member.name) else None
                if file_in is not None:
                    # "./a.wav", as tar calls the files of ".", is "a.wav".
                    contents[PurePosixPath(member.name).as_posix()] = file_in.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a readable tar archive: {error}") from error
    yield from sorted(contents.items())


def _wanted(name: str) -> bool:
    # A Mac puts a "._" file beside each of its files into an archive.
    last = PurePosixPath(name).name
    return not last.startswith(".") and (last.lower().endswith(".wav") or last == TRANSCRIPTS)


def _wave(content: bytes, name: str) -> tuple[Wave, int]:
    import soundfile  # noqa: PLC0415 (an extra)

    _check_whole(content, name)
    try:
        wave, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{name} is no WAV file that can be read: {error}") from error
    if not len(wave):
        raise DataError(f"{name} has no samples")
    if not np.isfinite(wave).all():
        sample, channel = np.argwhere(~np.isfinite(wave))[0]
        raise DataError(f"{name}: sample {sample} of channel {channel} is not a finite number")
    mono = wave.mean(axis=1, dtype=np.float32) if wave.shape[1] > 1 else wave[:, 0]
    if (mono == mono[0]).all():
        raise DataError(f"{name} is silent: each of its {len(mono)} samples is {mono[0]:g}")
    return mono, int(rate)


def _check_whole(content: bytes, name: str) -> None:
    """A cut file is one whose sound should be longer than the file is; libsndfile reads it."""
    if len(content) < 12 or content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise DataError(f"{name} is no WAV file: it does not start with RIFF and WAVE")
    at = 12
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<4sI", content, at)
        at += 8
        if kind == b"data":
            # What writes to a pipe cannot know the size, and puts the greatest there is.
            if at + size > len(content) and size < 0xFFFF0000:
                raise DataError(
                    f"{name} is truncated: it should hold {size} bytes of sound, and has "
                    f"{len(content) - at}"
                )
            return
        at += size + size % 2
    raise DataError(f"{name} is truncated: it ends before its sound begins")


def _named_texts(names: Sequence[str]) -> tuple[str, ...] | None:
    paths = [PurePosixPath(name) for name in names]
    if len({path.parent for path in paths}) > 1:
        return tuple(path.parent.name or path.stem for path in paths)
    if all(path.name.find("_") > 0 for path in paths):
        return tuple(path.name.partition("_")[0] for path in paths)
    return None


def _table_texts(path: Path, tables: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    known = set(names)
    texts: dict[str, str] = {}
    for name, table in tables.items():
        _read_table(f"{path}: {name}", PurePosixPath(name).parent, table, known, texts)
    missing = [name for name in names if name not in texts]
    if missing:
        raise DataError(
            f"{path}: {', '.join(tables)}: says nothing about {len(missing)} of {len(names)} WAV "
            f"files, such as {missing[0]!r}"
        )
    return tuple(texts[name] for name in names)


def _read_table(
    place: str, folder: PurePosixPath, table: str, known: Set[str], texts: dict[str, str]
) -> None:
    """Add what a table says to `texts`; its names are those seen from its own folder."""
    rows = csv.DictReader(io.StringIO(table, newline=""), strict=True)
    try:
        for wanted in ("file", "text"):
            if wanted not in (rows.fieldnames or ()):
                found = ", ".join(rows.fieldnames or ()) or "nothing"
                raise DataError(f"{place}, line 1: there is no column {wanted!r} among {found}")
        for row in rows:
            name, text = (folder / (row["file"] or "")).as_posix(), row["text"]
            line = f"{place}, line {rows.line_num}"
            if name not in known:
                raise DataError(f"{line}, column 'file': there is no WAV file {name!r}")
            if name in texts:
                raise DataError(f"{line}, column 'file': {name!r} has a text already")
            if not text or not text.strip():
                raise DataError(f"{line}, column 'text': is empty")
            texts[name] = text
    except csv.Error as error:
        raise DataError(f"{place}, line {rows.line_num}: not a readable CSV: {error}") from error
