"""What counts as pictures: arrays in memory, or files that are read when they are needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from cellwright.arguments import as_array
from cellwright.data.files import check_name
from cellwright.errors import DataError, ShapeError, require_extra

__all__ = ["PictureArray", "PictureFiles", "Pictures", "Pixels", "as_pictures", "picture_files"]

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""(sample, height, width, channels), 0 to 255."""

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
# Pictures are kept once they are decoded, as far as they fit; decoding costs more than a step.
_KEPT_BYTES = 2**30


class Pictures(Protocol):
    """Pictures of one size."""

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of each."""
        ...

    @property
    def fingerprint(self) -> str:
        """A digest of all pixels, to tell whether two data sets are the same."""
        ...

    def take(self, rows: npt.NDArray[np.int64]) -> Pictures:
        """The pictures of these rows."""
        ...

    def pixels(self, rows: npt.NDArray[np.int64]) -> Pixels:
        """The pixels of these rows, (row, height, width, channels)."""
        ...


@dataclass(frozen=True, eq=False)
class PictureArray:
    """Pictures in memory.

    Attributes
    ----------
    values
        (sample, height, width, channels), 0 to 255.
    """

    values: Pixels

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of each."""
        _, height, width, channels = self.values.shape
        return height, width, channels

    @property
    def fingerprint(self) -> str:
        """A digest of all pixels."""
        digest = hashlib.blake2b(repr(self.values.shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.values).data)
        return digest.hexdigest()

    def take(self, rows: npt.NDArray[np.int64]) -> PictureArray:
        """The pictures of these rows."""
        return PictureArray(self.values[rows])

    def pixels(self, rows: npt.NDArray[np.int64]) -> Pixels:
        """The pixels of these rows, (row, height, width, channels)."""
        return self.values[rows]


@dataclass(frozen=True, eq=False)
class PictureFiles:
    """Pictures in files, brought to one size and three colours as they are read.

    A picture is turned as its camera says, scaled until it covers the size, and cut to it
    around its middle; what is transparent becomes white, and of a film the first picture counts.
    What was read is kept while it fits into a gigabyte.

    Attributes
    ----------
    paths
        The files, in any format that Pillow reads.
    height, width
        Pixels of each picture.
    """

    paths: tuple[Path, ...]
    height: int
    width: int
    _kept: dict[Path, Pixels] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of each."""
        return self.height, self.width, 3

    @property
    def fingerprint(self) -> str:
        """A digest of the size and of what the files hold."""
        digest = hashlib.blake2b(repr(self.shape).encode(), digest_size=16)
        for path in self.paths:
            digest.update(hashlib.blake2b(_content(path), digest_size=16).digest())
        return digest.hexdigest()

    def take(self, rows: npt.NDArray[np.int64]) -> PictureFiles:
        """The pictures of these rows."""
        chosen = tuple(self.paths[row] for row in rows)
        return PictureFiles(chosen, self.height, self.width, self._kept)

    def resized(self, height: int, width: int) -> PictureFiles:
        """The same files, read in another size."""
        if (height, width) == (self.height, self.width):
            return self
        return PictureFiles(self.paths, height, width)

    def check(self) -> None:
        """Read every picture once, as long as what was read can be kept; else only its head.

        Raises
        ------
        DataError
            A file is no picture or is damaged.
        """
        for path in self.paths:
            if self._room():
                self._read(path)
            else:
                _opened(path).close()

    def pixels(self, rows: npt.NDArray[np.int64]) -> Pixels:
        """The pixels of these rows, (row, height, width, channels).

        Raises
        ------
        DataError
            A file is no picture or is damaged.
        """
        array = np.zeros((len(rows), *self.shape), np.uint8)
        for position, row in enumerate(rows):
            array[position] = self._read(self.paths[row])
        return array

    def _room(self) -> bool:
        return (len(self._kept) + 1) * 3 * self.height * self.width <= _KEPT_BYTES

    def _read(self, path: Path) -> Pixels:
        if path in self._kept:
            return self._kept[path]
        from PIL import ImageOps  # noqa: PLC0415

        try:
            with _opened(path) as picture:
                upright = _on_white(_eight_bits(ImageOps.exif_transpose(picture), path))
            pixels = np.asarray(ImageOps.fit(upright, (self.width, self.height)), np.uint8)
        except DataError:
            raise
        except Exception as error:  # a damaged picture makes its decoder raise all sorts
            raise DataError(f"{path}: the picture is damaged: {error}") from error
        if self._room():
            self._kept[path] = pixels
        return pixels


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _opened(path: Path) -> Any:
    require_extra("jobs", "PIL")
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    try:
        return Image.open(path)
    except FileNotFoundError as error:
        raise DataError(f"there is no picture {path}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is no picture of a known format") from error
    except Exception as error:  # among them pictures that are too large to be honest
        raise DataError(f"{path}: cannot be read as a picture: {error}") from error


def _eight_bits(picture: Any, path: Path) -> Any:
    """Grey values of 16 bits scaled to 8, where Pillow's own conversion makes them white."""
    from PIL import Image  # noqa: PLC0415

    if picture.mode.startswith("I;16"):
        return Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise DataError(f"{path}: its grey values have 32 bits; save it with 8 or 16")
    return picture


def _on_white(picture: Any) -> Any:
    """Three colours; what is transparent shows white, and not whatever lies hidden there."""
    from PIL import Image  # noqa: PLC0415

    if "transparency" in picture.info or picture.getbands()[-1] in ("A", "a"):
        seen = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return picture.convert("RGB")


def picture_files(source: Path, size: int) -> PictureFiles:
    """The pictures of a folder, by name, or a single file.

    Raises
    ------
    DataError
        There is no such folder or file, or no picture in it, or one is damaged or has a name
        that is not UTF-8.
    """
    if source.is_dir():
        # A Mac puts a "._" file beside each of its files into an archive.
        seen = (path for path in source.iterdir() if not path.name.startswith("."))
        paths = tuple(sorted(path for path in seen if path.suffix.lower() in _SUFFIXES))
        if not paths:
            raise DataError(f"{source} holds no pictures ({', '.join(_SUFFIXES)})")
    elif source.is_file():
        paths = (source,)
    else:
        raise DataError(f"there is no picture or folder {source}")
    for path in paths:
        check_name(path.name, path.parent)
    files = PictureFiles(paths, size, size)
    files.check()
    return files


def as_pictures(
    X: Any,  # noqa: N803
    *,
    shape: tuple[int, int, int] | None = None,
    size: int = 96,
    name: str = "X",
) -> Pictures:
    """Check pictures and give them their common form.

    Parameters
    ----------
    X
        An array (sample, height, width) or (sample, height, width, channels) with 1 or 3
        channels, whole numbers 0 to 255 or other numbers 0 to 1; a list of such arrays
        without the first axis, all of one size; or a list of paths.
    shape
        Height, width and channels that are expected, if known; files are read so.
    size
        Height and width of files where no shape is expected. Grey values of 16 bits become 8.
    name
        What the user calls the argument.

    Raises
    ------
    DataError
        There are no pictures, or a number is not allowed; the message says where.
    ShapeError
        Axes or sizes are not those expected.
    """
    if isinstance(X, (PictureArray, PictureFiles)):
        pictures: Pictures = X
    elif isinstance(X, (list, tuple)) and X and all(isinstance(p, (str, Path)) for p in X):
        files = PictureFiles(tuple(map(Path, X)), size, size)
        files.check()
        pictures = files
    else:
        pictures = PictureArray(_array(X, name))
    if len(pictures) == 0:
        raise DataError(f"{name} is empty; give at least one picture")
    if shape is None:
        return pictures
    if isinstance(pictures, PictureFiles):
        pictures = pictures.resized(*shape[:2])
    if pictures.shape != tuple(shape):
        raise ShapeError(
            f"{name}: expected pictures of (height, width, channels) = {tuple(shape)}, got "
            f"{pictures.shape}"
        )
    return pictures


def _array(X: Any, name: str) -> Pixels:  # noqa: N803
    if isinstance(X, (str, bytes, dict)) or not hasattr(X, "__len__"):
        raise DataError(
            f"{name}: expected an array, a list of arrays or of paths, got {type(X).__name__}"
        )
    X = as_array(X)  # noqa: N806
    if not isinstance(X, np.ndarray):
        X = _stacked(X, name)  # noqa: N806
    if X.size == 0 and len(X) == 0:
        raise DataError(f"{name} is empty; give at least one picture")
    array = X[..., None] if X.ndim == 3 else X
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or 0 in array.shape:
        raise ShapeError(
            f"{name}: expected (sample, height, width), or (sample, height, width, channels) with "
            f"1 or 3 channels, got {X.shape}"
        )
    return _whole(array, name)


def _stacked(X: Any, name: str) -> npt.NDArray[Any]:  # noqa: N803
    try:
        parts = [np.asarray(value) for value in X]
    except (ValueError, TypeError) as error:
        raise ShapeError(f"{name}: not a list of pictures: {error}") from error
    for number, part in enumerate(parts):
        if part.shape != parts[0].shape:
            raise ShapeError(
                f"{name}[{number}] is {part.shape}, but {name}[0] is {parts[0].shape}; pictures "
                f"must be of one size"
            )
    try:
        return np.stack(parts) if parts else np.zeros(0)
    except TypeError as error:  # such as dates beside numbers
        raise DataError(f"{name}: pixels must be numbers: {error}") from error


def _whole(array: npt.NDArray[Any], name: str) -> Pixels:
    """Pixels as bytes."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: pixels must be numbers, got {array.dtype}")
    most = 255 if array.dtype.kind in "iu" else 1
    with np.errstate(invalid="ignore"):
        wrong = ~((array >= 0) & (array <= most))
    if wrong.any():
        sample, row, column, channel = (int(at[0]) for at in np.nonzero(wrong))
        what = "whole numbers" if most == 255 else "numbers with a point"
        raise DataError(
            f"{name}[{sample}] is {array[sample, row, column, channel]:g} at row {row}, column "
            f"{column}, channel {channel}; {what} must lie between 0 and {most}"
        )
    return np.asarray(np.rint(array * (255.0 / most)), np.uint8)
