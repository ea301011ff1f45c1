"""Music as piano rolls: which of 88 keys are down at each step."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.sparse import issparse

from cellwright.errors import DataError

__all__ = ["KEYS", "PianoRoll", "PianoRolls", "read_piano_rolls"]

KEYS = 88
"""Keys of a piano; the first is the lowest A, MIDI note 21."""

PianoRoll: TypeAlias = npt.NDArray[np.uint8]


class PianoRolls(NamedTuple):
    """Pieces (time, key), 1 where a key is down, in three parts."""

    training: list[PianoRoll]
    validation: list[PianoRoll]
    test: list[PianoRoll]


def read_piano_rolls(path: str | Path) -> PianoRolls:
    """Read a ``.mat`` of Boulanger-Lewandowski's four collections, such as JSB_Chorales.mat.

    Parameters
    ----------
    path
        A MATLAB file with ``traindata``, ``validdata`` and ``testdata``: cells, each a matrix
        (time, 88) of zeros and ones, sparse or not.

    Raises
    ------
    DataError
        The file is missing, or no such file; the message says what it lacks.

    References
    ----------
    Boulanger-Lewandowski, Bengio and Vincent, ICML (2012).
    """
    if not Path(path).is_file():
        raise DataError(f"there is no file {path}")
    wanted = ("traindata", "validdata", "testdata")
    try:
        content = loadmat(path, variable_names=wanted)
    except Exception as error:  # loadmat raises whatever the damaged bytes lead it to
        raise DataError(f"{path} is no MATLAB file: {error}") from error
    for name in wanted:
        if name not in content:
            raise DataError(f"{path} has no {name}; it should hold {', '.join(wanted)}")
    return PianoRolls(*(_pieces(content[name], f"{path}: {name}") for name in wanted))


def _pieces(cells: Any, name: str) -> list[PianoRoll]:
    if cells.dtype != object or not cells.size:
        raise DataError(f"{name} holds no pieces")
    pieces = []
    for number, cell in enumerate(cells.ravel()):
        piece = cell.toarray() if issparse(cell) else cell
        if piece.ndim != 2 or piece.shape[1] != KEYS:
            raise DataError(f"{name}[{number}]: expected (time, {KEYS} keys), got {piece.shape}")
        if len(piece) < 2:
            raise DataError(f"{name}[{number}] has no second step that could be predicted")
        if not np.isin(piece, (0, 1)).all():
            raise DataError(f"{name}[{number}]: a key is down, 1, or not, 0; found other numbers")
        pieces.append((piece == 1).astype(np.uint8))  # whatever kind of number says so
    return pieces
