"""Runs of a cell by some backend, with every gradient, compared with the reference.

The reference runs in double precision on the numbers that the backend was given, rounded to its
dtype. The bound of an error is relative to the greatest magnitude of the tensor in question.
"""

from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import torch
from random_graphs import draw_call

from cellwright.backends import BACKENDS
from cellwright.backends.cpu import engine as engine_module
from cellwright.backends.cpu.library import Schedule
from cellwright.backends.reference import MEANING, ReferenceBackend
from cellwright.pipeline import lower

# Double precision sums hundreds of products at 1e-16 each; single precision at 6e-8. bfloat16 is
# what tensors are stored in between two runs, eight bits each.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 4e-6, torch.bfloat16: 2e-2}

# A zero that goes back through a flat op and meets an infinite slope becomes NaN in torch, but
# not in the gradient table, which lets nothing through (see `autodiff.derivative`).
_FLAT = {op: lambda a, op=MEANING[op]: op(a.detach()) for op in ("sign", "floor")}


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


def outcome(kernel, call, silent=()):
    """Values and gradients of one run, by name; `silent` values get no gradient."""
    leaves = {
        f"gradient of {field} {name}": tensor.detach().clone().requires_grad_()
        for field in ("inputs", "states", "below", "weights")
        for name, tensor in getattr(call, field).items()
    }
    fields = {
        field: {name: leaves[f"gradient of {field} {name}"] for name in getattr(call, field)}
        for field in ("inputs", "states", "below", "weights")
    }
    result = kernel(replace(call, **fields))
    values = {"output": result.output}
    values |= {f"signal {name}": value for name, value in result.signals.items()}
    values |= {f"after {name}": value for name, value in result.states.items()}
    wanted = [v for name, v in values.items() if name not in silent and v.requires_grad]
    incoming = [weights_of(v.shape, v.dtype) for v in wanted]
    found = dict.fromkeys(leaves)
    if wanted:
        gradients = torch.autograd.grad(wanted, list(leaves.values()), incoming, allow_unused=True)
        found = dict(zip(leaves, gradients, strict=True))
    values |= {
        name: torch.zeros_like(leaves[name]) if gradient is None else gradient
        for name, gradient in found.items()
    }
    return {name: v.detach() for name, v in values.items()} | {"count": result.count}


def weights_of(shape, dtype):
    """A gradient from outside in which every entry is different."""
    count = torch.Size(shape).numel()
    return torch.cos(torch.arange(count, dtype=torch.float64)).view(shape).to(dtype)


def by_reference(graph, sizes, call, silent=()):
    """The outcome in double precision, from the same numbers."""
    doubled = {
        field: {k: v.double() for k, v in getattr(call, field).items()}
        for field in ("inputs", "states", "below", "weights", "draws")
    }
    with mock.patch.dict(MEANING, _FLAT):
        return outcome(ReferenceBackend().build(graph, sizes), replace(call, **doubled), silent)


def by_backend(name, graph, sizes, call, silent=()):
    """The outcome by a backend in the call's own dtype."""
    return outcome(BACKENDS[name].build(lower(graph), sizes), call, silent)


def assert_same(found, expected, tolerance, where=None):
    """Every tensor agrees; NaN and infinities stand in the same places."""
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
            atol=tolerance * scale,
            equal_nan=True,
            msg=lambda m, w=message: f"{w}: {m}",
        )


def check(name, graph, sizes, call, silent=(), tolerance=None, where=None):
    """Hold one run of a backend against the reference."""
    dtype = call.inputs["x"].dtype
    expected = by_reference(graph, sizes, call, silent)
    found = by_backend(name, graph, sizes, call, silent)
    assert found["output"].dtype == dtype
    if dtype == torch.bfloat16 and any(value.op == "relu" for value in graph.nodes):
        # Rounding moves a unit across the kink, where the gradient jumps by all of itself: which
        # side it is on is no error of a gradient, and the wider types compare those.
        expected = {key: v for key, v in expected.items() if not key.startswith("gradient")}
        found = {key: found[key] for key in expected}
    if dtype == torch.bfloat16:
        coarse = by_backend("reference", graph, sizes, call, silent)
        assert_no_coarser(found, expected, coarse, tolerance or TOLERANCE[dtype], where)
    else:
        assert_same(found, expected, tolerance or TOLERANCE[dtype], where)


def assert_no_coarser(found, expected, coarse, tolerance, where):
    """Every tensor is as close as the tolerance says, or about as close as the reference is.

    How far eight bits lead astray depends on the numbers: a sequence that magnifies a rounding
    does so to everybody's, but not to everybody's equally. So the reference in the same dtype is
    the measure: twice its error in the mean square, five times its greatest.
    """
    for key, wanted in expected.items():
        scale = max(float(wanted.abs().max()), 1.0) if wanted.numel() else 1.0
        theirs, ours = (values[key].double() - wanted for values in (coarse, found))
        greatest = float(theirs.abs().max()) if theirs.numel() else 0.0
        assert_same({key: found[key]}, {key: wanted}, max(tolerance, 5 * greatest / scale), where)
        mean = (theirs.norm() / max(theirs.numel(), 1) ** 0.5).item()
        assert ours.norm().item() <= max(tolerance * scale, 2 * mean) * ours.numel() ** 0.5, where


@contextmanager
def scheduled(**choices):
    """All compiled calls inside run as told; see `Schedule`."""
    with mock.patch.object(engine_module, "schedule", return_value=Schedule(**choices)):
        yield


# Operations that round; the others are exact.
_ROUNDED = ("exp", "log", "log1p", "sqrt", "sin", "cos", "sigmoid", "tanh")
_ROUNDED += ("add", "sub", "mul", "div", "matmul", "matmul_transposed", "sum")


def sensitivity(graph, sizes, call, silent=()):
    """How much every outcome changes when each operation is off by its rounding.

    A random cell may cancel all digits, or ask for the sine of 1e30. What the reference itself
    does not determine is not to be compared.
    """
    exact = by_reference(graph, sizes, call, silent)
    spread = {name: torch.zeros_like(value) for name, value in exact.items()}
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)

        def noisy(op, *inputs, generator=generator):
            value = MEANING_OF[op](*inputs)
            noise = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            return value * (1 + 4e-16 * noise)

        rounded = {op: lambda *a, op=op: noisy(op, *a) for op in _ROUNDED}
        with mock.patch.dict(MEANING, rounded):
            other = by_reference(graph, sizes, call, silent)
        for name, value in exact.items():
            same = (other[name] == value) | (other[name].isnan() & value.isnan())
            off = (other[name] - value).abs().nan_to_num(torch.inf).where(~same, 0)
            spread[name] = torch.maximum(spread[name], off)
    return exact, spread


MEANING_OF = dict(MEANING)


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
