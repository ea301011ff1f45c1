"""Captions in COCO's format: a JSON file, and a folder of pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cellwright.data.captioned import Captioned, check_caption
from cellwright.data.pictures import PictureFiles
from cellwright.errors import DataError, first_problem

__all__ = ["CocoCaptions", "read_coco"]


class _Image(BaseModel):
    model_config = ConfigDict(strict=True)

    id: int
    file_name: Annotated[str, Field(min_length=1)]


class _Annotation(BaseModel):
    model_config = ConfigDict(strict=True)

    image_id: int
    caption: str


class _Document(BaseModel):
    """What is read of the file; whatever else stands there is nobody's business."""

    model_config = ConfigDict(strict=True)

    images: list[_Image]
    annotations: list[_Annotation]


@dataclass(frozen=True, eq=False)
class CocoCaptions:
    """What a file of COCO captions holds.

    Attributes
    ----------
    captioned
        The pictures that are there and have captions, or all that are there, in the order of
        the file, and their file names as ids.
    absent
        How many pictures are listed but are not in the folder.
    without_caption
        How many are there, but have no caption.
    """

    captioned: Captioned
    absent: int
    without_caption: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        found = []
        if self.absent:
            found.append(f"{self.absent} pictures are listed but not in the folder; left out")
        if self.without_caption:
            found.append(f"{self.without_caption} pictures have no caption; left out")
        return tuple(found)


def read_coco(
    path: Path, folder: Path | None = None, *, size: int = 96, every: bool = False
) -> CocoCaptions:
    """Read a JSON file of captions in COCO's format, and the pictures that it lists.

    Parameters
    ----------
    path
        ``{"images": [{"id", "file_name"}, …], "annotations": [{"image_id", "caption"}, …]}``;
        other entries may stand there and are not read.
    folder
        Where the pictures lie. Without it they are looked for beside the file: in the folder
        that its name ends with (``captions_val2017.json`` goes with ``val2017``), in
        ``images``, or right there.
    size
        Height and width that pictures are brought to.
    every
        Keep pictures without a caption too; they are to be described, not learned from.

    Raises
    ------
    DataError
        The file is missing or malformed (the message names line and column, or the path of
        the entry), none of its pictures is in the folder, or one of them is damaged.

    References
    ----------
    Chen et al., Microsoft COCO Captions, arXiv:1504.00325 (2015).
    """
    document = _document(path)
    captions = _captions(document, path)
    folder = folder or _folder_beside(path)
    if not folder.is_dir():
        raise DataError(f"there is no folder of pictures {folder}")
    present = [image for image in document.images if _is_file(folder / image.file_name)]
    if not present:
        first = f", such as {document.images[0].file_name}" if document.images else ""
        raise DataError(
            f"{path}: none of the {len(document.images)} pictures that it lists{first} is in "
            f"{folder}; name their folder with --images"
        )
    chosen = [image for image in present if every or captions[image.id]]
    if not chosen:
        raise DataError(f"{path}: none of the {len(present)} pictures in {folder} has a caption")
    files = PictureFiles(tuple(folder / image.file_name for image in chosen), size, size)
    files.check()
    return CocoCaptions(
        captioned=Captioned(
            pictures=files,
            captions=[captions[image.id] for image in chosen],
            ids=[image.file_name for image in chosen],
        ),
        absent=len(document.images) - len(present),
        without_caption=len(present) - len(chosen),
    )


def _captions(document: _Document, path: Path) -> dict[int, list[str]]:
    """Captions by id of the picture."""
    captions: dict[int, list[str]] = {}
    names: set[PurePosixPath] = set()
    for number, image in enumerate(document.images):
        if image.id in captions:
            raise DataError(f"{path}: images[{number}].id: {image.id} stands there twice")
        if _leaves_folder(image.file_name):
            raise DataError(
                f"{path}: images[{number}].file_name: {image.file_name!r} leads out of the folder"
            )
        name = PurePosixPath(image.file_name)
        if name in names:
            # Divided, the picture would be learned from and tested on.
            raise DataError(
                f"{path}: images[{number}].file_name: {image.file_name!r} stands there twice; give "
                f"all its captions one image_id"
            )
        names.add(name)
        captions[image.id] = []
    for number, annotation in enumerate(document.annotations):
        if annotation.image_id not in captions:
            raise DataError(
                f"{path}: annotations[{number}].image_id: there is no image {annotation.image_id}"
            )
        check_caption(annotation.caption, f"{path}: annotations[{number}].caption")
        captions[annotation.image_id].append(annotation.caption)
    return captions


def _document(path: Path) -> _Document:
    document = _parsed(path)
    if not isinstance(document, dict):
        raise DataError(
            f"{path}: expected an object with images and annotations, got {type(document).__name__}"
        )
    try:
        return _Document.model_validate(document)
    except ValidationError as error:
        raise DataError(f"{path}: {first_problem(error)}") from error


def _parsed(path: Path) -> Any:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise DataError(
            f"{path}, line {line}, column {column}: not UTF-8: byte {raw[error.start]:#04x}"
        ) from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; a deep nest
        raise DataError(f"{path}: not JSON that can be read: {error}") from error


def _leaves_folder(name: str) -> bool:
    if "\0" in name or PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive:
        return True
    return ".." in PureWindowsPath(name).parts  # it takes both slashes for what they are


def _folder_beside(path: Path) -> Path:
    _, _, part = path.stem.partition("_")
    candidates = [path.parent / part] if part else []
    candidates.append(path.parent / "images")
    return next((folder for folder in candidates if folder.is_dir()), path.parent)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file could have
        return False
