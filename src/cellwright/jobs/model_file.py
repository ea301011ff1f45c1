"""Model files: safetensors with a JSON description, the cell's equations included.

Nothing in a model file is ever executed: the network is built without memory from what the
description says, held against the tensors that are really there, and only then filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from cellwright import cells
from cellwright.cells.cell import Cell
from cellwright.errors import ModelFileError, first_problem
from cellwright.ir import from_json, to_json
from cellwright.jobs.options import option_types
from cellwright.jobs.training.tensor_file import read_tensors, write_tensors

__all__ = [
    "MODEL_FILE",
    "Description",
    "Labels",
    "check_bounds",
    "fill",
    "options_of",
    "read",
    "write",
]

MODEL_FILE = "model.cw"
# No network that a person trains comes near; a damaged or hostile file may.
_MOST_UNITS_WITHOUT_WEIGHTS = 2**16
_MOST_NODES = 20_000
_MOST_NODES_OF_ALL_LAYERS = 10**6
_LABEL_TYPES = {"int64": int, "uint64": int, "float64": float, "bool": bool, "str": str}


class Labels(BaseModel):
    """Class labels with their type."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["int64", "uint64", "float64", "bool", "str"]
    values: Annotated[list[bool | int | float | str], Field(min_length=2)]

    @classmethod
    def of(cls, labels: npt.NDArray[Any]) -> Labels:
        """Labels as data."""
        kinds = {"i": "int64", "u": "uint64", "f": "float64", "b": "bool", "U": "str"}
        kind: Any = kinds[labels.dtype.kind]
        return cls(kind=kind, values=labels.tolist())

    def array(self) -> npt.NDArray[Any]:
        """Labels as they were."""
        if any(type(value) is not _LABEL_TYPES[self.kind] for value in self.values):
            raise ModelFileError(f"its labels are not all {self.kind}")
        if len(set(self.values)) != len(self.values):
            raise ModelFileError("a label stands there twice")
        return np.array(self.values, dtype=self.kind)


class Description(BaseModel):
    """What a model file says of itself."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["cellwright model"] = "cellwright model"
    version: Literal[1] = 1
    job: str
    options: dict[str, Any]
    cell: dict[str, Any]
    facts: dict[str, Any]


def write(
    path: Path, job: str, options: Mapping[str, Any], facts: Mapping[str, Any], network: nn.Module
) -> None:
    """Write a trained network, whole or not at all.

    Parameters
    ----------
    path
        Where to.
    job
        Which estimator reads it.
    options
        Its validated options; the cell is stored as equations, the device, which is no
        property of a model, not at all.
    facts
        What the estimator learned beside weights, as plain data.
    network
        Whose weights are stored.
    """
    description = Description(
        job=job,
        options={k: _plain(v) for k, v in options.items() if k not in ("cell", "device")},
        cell=to_json(cells.get(options["cell"]).graph),
        facts=dict(facts),
    )
    write_tensors(path, network.state_dict(), description.model_dump())


def read(path: Path) -> tuple[Description, dict[str, Tensor]]:
    """Read a model file, or that of a run folder.

    Raises
    ------
    ModelFileError
        The file is missing, truncated or foreign.
    """
    if (path / "config.yaml").is_file() and not (path / MODEL_FILE).exists():
        raise ModelFileError(f"{path}: this run is not finished; go on with --resume")
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.exists():
        raise ModelFileError(f"there is no run folder or model file {path}")
    tensors, document = read_tensors(path)
    try:
        return Description.model_validate(document), tensors
    except ValidationError as error:
        raise ModelFileError(f"{path}: {first_problem(error, 'description')}") from error


def options_of(cls: type, description: Description) -> dict[str, Any]:
    """Options for an estimator, the cell among them."""
    nodes = description.cell.get("nodes")
    if isinstance(nodes, list) and len(nodes) > _MOST_NODES:
        raise ModelFileError(f"its cell has {len(nodes)} nodes; no cell has so many")
    graph = from_json(description.cell)
    unknown = set(description.options) - (set(option_types(cls)) - {"cell"})
    if unknown:
        raise ModelFileError(f"unknown options {sorted(unknown)}")
    # A cell of the zoo goes by its name again, so that the options read as they were written.
    same = graph.name in cells.names() and cells.get(graph.name).graph == graph
    return description.options | {"cell": graph.name if same else Cell(graph)}


def check_bounds(options: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Refuse a network that is far larger than its tensors, before anything is built.

    Raises
    ------
    ModelFileError
        There are more layers, nodes or units than these tensors can belong to.
    """
    graph = cells.get(options["cell"]).graph
    parts = {name: value for name, value in options.items() if _is_several(name, value)}
    for name, value in parts.items():
        if len(value) > len(tensors) or len(value) * len(graph.nodes) > _MOST_NODES_OF_ALL_LAYERS:
            raise ModelFileError(f"{len(value)} {name} cannot be made of {len(tensors)} tensors")
    axes = [value.attributes.get(axis) for value in graph.nodes for axis in ("size", "columns")]
    own = (options.get("sizes") or {}).values()
    units = [*axes, *chain(*parts.values()), options.get("projection"), *own]
    weights = sum(tensor.numel() for tensor in tensors.values())
    most = max((number for number in units if isinstance(number, int)), default=0)
    if most > max(weights, _MOST_UNITS_WITHOUT_WEIGHTS):
        raise ModelFileError(f"{most} units cannot be made of {weights} weights")


def _is_several(name: str, value: Any) -> bool:
    """Whether an option says how large each of several parts of a network is."""
    whole = isinstance(value, tuple) and all(isinstance(number, int) for number in value)
    return whole and name != "picture_size"


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network that was built without memory the tensors of a file."""
    wanted = network.state_dict()
    if set(wanted) != set(tensors):
        odd = sorted(set(wanted) ^ set(tensors))
        raise ModelFileError(f"tensors are missing or too many: {', '.join(odd[:5])}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype:
            raise ModelFileError(
                f"tensor {name}: expected {tuple(wanted[name].shape)} of {wanted[name].dtype}, "
                f"got {tuple(tensor.shape)} of {tensor.dtype}"
            )
    network.load_state_dict(tensors, assign=True)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
