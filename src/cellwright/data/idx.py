"""The IDX files of MNIST and its kin: from a folder, or downloaded once.

An IDX file is two zero bytes, a byte for the type, a byte for the number of axes, the
sizes as big-endian 32-bit numbers, then the values (http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pooch

from cellwright.data.files import read_bytes
from cellwright.errors import DataError
from cellwright.settings import settings

__all__ = ["mnist_files", "read_idx"]

_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
_AXES = range(1, 5)
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def mnist_files(folder: Path | None) -> dict[str, Path]:
    """The four files of MNIST: in `folder`, or else downloaded once and checked.

    Raises
    ------
    DataError
        The folder lacks a file, or the download failed.
    """
    if folder is None:
        return {name: _download(name, md5) for name, md5 in _MD5.items()}
    found = {}
    for name in _MD5:
        candidates = [folder / f"{name}.gz", folder / name]
        existing = [path for path in candidates if path.is_file()]
        if not existing:
            raise DataError(f"{folder} holds neither {name}.gz nor {name}")
        found[name] = existing[0]
    return found


def read_idx(path: Path) -> npt.NDArray[Any]:
    """Read one IDX file, compressed or not.

    Raises
    ------
    DataError
        The file is truncated or not an IDX file.
    """
    raw = read_bytes(path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES or raw[3] not in _AXES:
        raise DataError(f"{path}: not an IDX file")
    dtype, axes = np.dtype(_TYPES[raw[2]]), raw[3]
    start = 4 + 4 * axes
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start].ljust(4 * axes, b"\0"), ">u4"))
    wanted = dtype.itemsize
    for axis in shape:
        wanted *= axis
    if len(raw) != start + wanted:
        raise DataError(f"{path}: says {shape} of {dtype}, but holds {len(raw)} bytes")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape)


def _download(name: str, md5: str) -> Path:
    folder = settings().data_folder / "mnist"
    try:
        path = pooch.retrieve(f"{_MIRROR}{name}.gz", f"md5:{md5}", f"{name}.gz", folder)
    except Exception as error:  # pooch passes on whatever its transport raises
        raise DataError(
            f"MNIST could not be downloaded to {folder} ({error}); put its four files into a "
            f"folder and name that with --data-dir"
        ) from error
    return Path(path)
