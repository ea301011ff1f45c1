"""Tensors of ONNX, and what a user gives in their place, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cellwright.errors import ArgumentError, ModelFileError

__all__ = ["array_of", "given_by_name", "tensors_by_name"]


def array_of(name: str, tensor: Any) -> NDArray[Any]:
    """What is in a TensorProto, a SparseTensorProto or an array, laid out as torch reads it.

    Raises
    ------
    ModelFileError
        It does not hold what it says that it holds.
    """
    from onnx import SparseTensorProto  # noqa: PLC0415 an optional package

    if isinstance(tensor, SparseTensorProto):
        found = _filled_up(name, tensor)
    else:
        found = tensor if isinstance(tensor, np.ndarray) else _dense(name, tensor)
    # torch takes neither foreign orders of bytes nor arrays that run backwards.
    return np.asarray(found, dtype=found.dtype.newbyteorder("="), order="C")


def tensors_by_name(tensors: Iterable[Any]) -> dict[str, Any]:
    """TensorProtos and SparseTensorProtos by their names."""
    from onnx import SparseTensorProto  # noqa: PLC0415

    return {(t.values if isinstance(t, SparseTensorProto) else t).name: t for t in tensors}


def given_by_name(initializers: Any) -> dict[str, Any]:
    """What a user gives as `initializers`, as `array_of` reads it.

    Raises
    ------
    ArgumentError
        It is no mapping of arrays and tensors, and no sequence of TensorProtos.
    """
    from onnx import SparseTensorProto, TensorProto  # noqa: PLC0415

    if initializers is None:
        return {}
    if isinstance(initializers, Mapping):
        return {name: _given(name, value) for name, value in initializers.items()}
    entries = list(initializers) if isinstance(initializers, Iterable) else [initializers]
    for entry in entries:
        if not isinstance(entry, (TensorProto, SparseTensorProto)):
            holding = "" if entry is initializers else f" with a {type(entry).__name__} in it"
            raise ArgumentError(
                f"initializers= is a mapping, name -> array, or a sequence of TensorProtos, not "
                f"a {type(initializers).__name__}{holding}"
            )
    return tensors_by_name(entries)


def _given(name: str, value: Any) -> Any:
    from onnx import SparseTensorProto, TensorProto, helper  # noqa: PLC0415

    if isinstance(value, (TensorProto, SparseTensorProto)):
        return value
    try:
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            if value.dtype is torch.bfloat16:  # numpy itself has no such type
                bits = value.view(torch.int16).numpy().tobytes()
                return helper.make_tensor(name, TensorProto.BFLOAT16, value.shape, bits, raw=True)
            value = value.numpy()
        if hasattr(value, "__array__"):
            return np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(f"initializers: {name!r} is no array: {error}") from error
    raise ArgumentError(
        f"initializers: {name!r} should be an array, a tensor or a TensorProto, not a "
        f"{type(value).__name__}"
    )


def _dense(name: str, tensor: Any) -> NDArray[Any]:
    from onnx import TensorProto, numpy_helper  # noqa: PLC0415

    if tensor.data_location == TensorProto.EXTERNAL:
        raise ModelFileError(
            f"the numbers of {name!r} stand in a file of their own, which has not been read; give "
            f"the path of the model, or read it with onnx.load"
        )
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{name!r} with data_type={tensor.data_type} and dims={[*tensor.dims]} cannot be "
            f"read: {error}"
        ) from error


def _filled_up(name: str, tensor: Any) -> NDArray[Any]:
    """A sparse tensor with its zeros."""
    values, indices = array_of(name, tensor.values), array_of(name, tensor.indices)
    found = np.zeros(tuple(tensor.dims), values.dtype)
    try:
        flat = np.ravel_multi_index(tuple(indices.T), found.shape) if indices.ndim > 1 else indices
        # Unlike an assignment by numbers, this refuses those below zero.
        found[np.unravel_index(flat, found.shape)] = values
    except (IndexError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"the sparse {name!r} with dims={[*tensor.dims]} cannot be read: {error}"
        ) from error
    return found
