"""Tensors and a JSON document in one safetensors file: models and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from cellwright.errors import ModelFileError
from cellwright.storage import replace_file

__all__ = ["read_tensors", "write_tensors"]

_DOCUMENT = "cellwright"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], document: Any) -> None:
    """Write tensors and a document, whole or not at all."""
    # Cloned, because tensors that share memory cannot be stored twice.
    packed = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    replace_file(path, save(packed, metadata={_DOCUMENT: json.dumps(document)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote.

    Raises
    ------
    ModelFileError
        The file is missing, truncated or foreign. Nothing in it is ever executed.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Cloned, because they are maps of the file, which may change under them.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # the reader and torch raise all sorts for a damaged file
        raise ModelFileError(
            f"{path} is not a cellwright model file or checkpoint, or a damaged one"
        ) from error
    if _DOCUMENT not in metadata:
        raise ModelFileError(f"{path} is a safetensors file, but not one of cellwright's")
    try:
        return tensors, json.loads(metadata[_DOCUMENT])
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: its description is damaged: {error}") from error
