"""Runs of a cell by some backend, with every gradient, compared with the reference.

The reference runs in double precision on the numbers that the backend was given, rounded to its
dtype. The bound of an error is relative to the greatest magnitude of the tensor in question.
"""

from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from unittest import mock

import torch
from random_graphs import draw_call

from cellwright.backends import BACKENDS
from cellwright.backends.cpu import engine as engine_module
from cellwright.backends.cpu.library import Schedule
from cellwright.backends.reference import MEANING, ReferenceKernel
from cellwright.look.conformance_runs import FLAT, ROUNDINGS, TOLERANCE, outcome, rounded
from cellwright.pipeline import lower
from cellwright.toolchain import compiler


def random_call(graph, sizes, *, steps, batch, dtype=torch.float64, scale=1.0, **more):
    """Numbers for everything that a cell reads; weights small enough that nothing saturates."""
    call = draw_call(graph, sizes, steps=steps, batch=batch, dtype=torch.float64, **more)
    weights = {
        name: (scale * w / max(w.shape[-1], 1) ** 0.5 if w.dim() == 2 else 0.5 * w).to(dtype)
        for name, w in call.weights.items()
    }
    groups = {
        field: {k: v.to(dtype) for k, v in getattr(call, field).items()}
        for field in ("inputs", "states", "below", "draws")
    }
    return replace(call, weights=weights, **groups)


def lengths_to_active(lengths, steps):
    """Which steps exist where row n has the first lengths[n] of them, (T, B)."""
    return torch.arange(steps)[:, None] < torch.as_tensor(lengths)


class _NarrowProduct(torch.autograd.Function):
    """A product of what bfloat16 holds of a matrix and of a value, summed in full.

    So is the product by which the gradient of the value is made. The gradient of the matrix is
    summed from whole numbers.
    """

    @staticmethod
    def forward(ctx, matrix, value):
        ctx.save_for_backward(matrix, value)
        return _narrow(value) @ _narrow(matrix).mT

    @staticmethod
    def backward(ctx, gradient):
        matrix, value = ctx.saved_tensors
        rows, values = (v.reshape(-1, v.shape[-1]) for v in (gradient, value))
        return rows.mT @ values, _narrow(gradient) @ _narrow(matrix)


def _narrow(value):
    return value.to(torch.bfloat16).to(value.dtype)


_NARROW = {
    "matmul": _NarrowProduct.apply,
    "matmul_transposed": lambda matrix, value: _NarrowProduct.apply(matrix.mT, value),
}


def by_reference(graph, sizes, call, silent=(), off=MappingProxyType({})):
    """The outcome in double precision, from the same numbers; `off` are operations that differ.

    For bfloat16 its products are made of numbers rounded to it, where the processor's are.
    """
    dtype = call.inputs["x"].dtype
    doubled = {
        field: {k: v.double() for k, v in getattr(call, field).items()}
        for field in ("inputs", "states", "below", "weights", "draws")
    }
    narrow = dtype == torch.bfloat16 and "avx512_bf16" in compiler().features
    meaning = MEANING | (_NARROW if narrow else {}) | FLAT | off
    return outcome(ReferenceKernel(graph, sizes, meaning), replace(call, **doubled), silent, dtype)


def by_backend(name, graph, sizes, call, silent=()):
    """The outcome by a backend in the call's own dtype."""
    return outcome(BACKENDS[name].build(lower(graph), sizes), call, silent)


def assert_same(found, expected, tolerance, where=None, shifts=MappingProxyType({})):
    """Every tensor agrees; NaN and infinities stand in the same places.

    `shifts` is how far roundings move a tensor; several times as much is allowed then.
    """
    assert list(found) == list(expected), where
    for key, wanted in expected.items():
        got = found[key].to(wanted.dtype)
        assert got.shape == wanted.shape, (where, key)
        scale = max(float(wanted.abs().nan_to_num(0, 0, 0).max()), 1.0) if wanted.numel() else 1.0
        message = f"{key}, {where}"
        torch.testing.assert_close(
            got,
            wanted,
            rtol=0,
            atol=max(tolerance * scale, ROUNDINGS * shifts.get(key, 0.0)),
            equal_nan=True,
            msg=lambda m, w=message: f"{w}: {m}",
        )


def check(name, graph, sizes, call, silent=(), tolerance=None, where=None):
    """Hold one run of a backend against the reference."""
    dtype = call.inputs["x"].dtype
    expected = by_reference(graph, sizes, call, silent)
    found = by_backend(name, graph, sizes, call, silent)
    assert found["output"].dtype == dtype
    tolerance = tolerance or TOLERANCE[dtype]
    try:
        assert_same(found, expected, tolerance, where)
    except AssertionError:
        if dtype != torch.float32:
            raise
        # A sum over many units of what is not bounded, or over hundreds of rows that nearly
        # cancel: single precision has no more digits of it, whoever adds it up.
        _, spread = sensitivity(graph, sizes, call, silent, torch.finfo(dtype).eps)
        shifts = {name: float(value.max()) for name, value in spread.items() if value.numel()}
        assert_same(found, expected, tolerance, where, shifts)


@contextmanager
def scheduled(**choices):
    """All compiled calls inside run as told; see `Schedule`."""
    with mock.patch.object(engine_module, "schedule", return_value=Schedule(**choices)):
        yield


def sensitivity(graph, sizes, call, silent=(), by=4e-16):
    """How much every outcome changes when each operation is off by its rounding.

    A random cell may cancel all digits, or ask for the sine of 1e30. What the reference itself
    does not determine is not to be compared.
    """
    exact = by_reference(graph, sizes, call, silent)
    spread = {name: torch.zeros_like(value) for name, value in exact.items()}
    for seed in range(3):
        off = rounded(by, torch.Generator().manual_seed(seed))
        other = by_reference(graph, sizes, call, silent, off)
        for name, value in exact.items():
            same = (other[name] == value) | (other[name].isnan() & value.isnan())
            off = (other[name] - value).abs().nan_to_num(torch.inf).where(~same, 0)
            spread[name] = torch.maximum(spread[name], off)
    return exact, spread


def assert_determined(found, exact, spread, where=None):
    """Every number agrees within what its rounding errors can do to it."""
    for key, value in exact.items():
        wanted, got, loose = value, found[key], 100 * spread[key]
        if key.startswith("gradient of weights"):
            # Torch may sum over rows before it divides by 0: (1 - 2) / 0, not 1 / 0 - 2 / 0.
            wanted = wanted.where(~(wanted.isinf() & got.isnan()), torch.nan)
        scale = max(float(wanted.abs().nan_to_num(0, 0, 0).max()), 1.0) if wanted.numel() else 1.0
        same = (got == wanted) | (got.isnan() & wanted.isnan())
        near = (got - wanted).abs() <= 1e-12 * scale + loose
        free = loose.isinf()
        assert bool((same | near | free).all()), (where, key, got, wanted, spread[key])
