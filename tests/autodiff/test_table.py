"""The gradient of every op is torch's, also at ties, zeros, infinities and NaN."""

import itertools
import math

import pytest
import torch
from evaluation import evaluate

from cellwright.autodiff import FLAT, GRADIENTS, differentiate
from cellwright.backends.reference import MEANING
from cellwright.ir import OPS, Graph, node

H = node("state", name="h", size="hidden")
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e200, 1e-200, math.inf, -math.inf, math.nan)
GRADIENTS_OF_RESULT = (1.5, 0.0, -0.0, math.inf, math.nan)
POINTWISE = sorted(op for op in GRADIENTS if OPS[op].kind == "pointwise" and op != "where")
TWO_INPUTS = [op for op in POINTWISE if OPS[op].arity == 2]


def leaves(*sizes):
    return tuple(node("input", name=f"a{n}", size=size) for n, size in enumerate(sizes))


def check(value, inputs, tensors, g, sizes=None):
    """Compare the gradient of one op by its inputs with torch's, to the last digits.

    torch rounds 1 - y * y once where we round twice, so the last digits are those of 1.
    """
    tensors = [tensor.double().requires_grad_() for tensor in tensors]
    known = dict(zip(inputs, tensors, strict=True))
    sizes = sizes or {"n": tensors[0].shape[-1]}
    (result,) = evaluate([value], known, sizes)
    expected = torch.autograd.grad(result, tensors, g.expand_as(result), allow_unused=True)

    graph = Graph("test", inputs, (H,), (H,), (("y", value),))
    derivative = differentiate(graph, ["y"])
    known = {leaf: tensor.detach() for leaf, tensor in known.items()}
    found = evaluate(
        [derivative.inputs[leaf] for leaf in inputs],
        known | {derivative.outside["y"]: g.expand_as(result)},
        sizes,
    )
    for leaf, one, other in zip(inputs, found, expected, strict=True):
        assert derivative.inputs[leaf].size == leaf.size
        assert_same(one.expand_as(other), other)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14, equal_nan=True)


def test_every_op_that_computes_has_a_gradient_or_is_flat():
    computes = {op.name for op in OPS.values() if op.kind not in ("leaf", "weight")}
    assert computes == set(MEANING)
    assert set(GRADIENTS) | FLAT == computes
    assert not set(GRADIENTS) & FLAT
    assert {op.name for op in OPS.values() if op.kind == "truth"} <= FLAT


@pytest.mark.parametrize("op", POINTWISE)
def test_pointwise(op):
    count = OPS[op].arity
    grid = torch.tensor(list(itertools.product(SPECIAL, repeat=count)), dtype=torch.float64).T
    inputs = leaves(*["n"] * count)
    for g in GRADIENTS_OF_RESULT:
        check(node(op, *inputs), inputs, grid, torch.tensor([g]).double())


@pytest.mark.parametrize("op", [op for op in POINTWISE if OPS[op].arity == 1])
def test_pointwise_on_many_numbers(op):
    generator = torch.Generator().manual_seed(0)
    x, g = torch.randn(2, 3, 400, generator=generator, dtype=torch.float64) * 4
    inputs = leaves("n")
    check(node(op, *inputs), inputs, [x.abs() if op in ("log", "log1p", "sqrt") else x], g)


@pytest.mark.parametrize("sizes", [("n", 1), (1, "n"), (1, 1)])
@pytest.mark.parametrize("op", TWO_INPUTS)
def test_one_number_meets_many(op, sizes):
    inputs = leaves(*sizes)
    generator = torch.Generator().manual_seed(1)
    units = {"n": 6}
    tensors = [torch.randn(5, units.get(s, s), generator=generator).double() for s in sizes]
    tensors[1][:, 0] = tensors[0][:, 0]  # a tie
    g = torch.randn(5, 6 if "n" in sizes else 1, generator=generator).double()
    check(node(op, *inputs), inputs, tensors, g, units)


@pytest.mark.parametrize("sizes", list(itertools.product(("n", 1), repeat=4)))
def test_where(sizes):
    *inputs, left, right = leaves(*sizes)
    value = node("where", node("less", left, right), *inputs)
    generator = torch.Generator().manual_seed(2)
    units = {"n": 4}
    values = [torch.randn(5, units.get(s, s), generator=generator).double() for s in sizes]
    values[0][0] = math.inf
    values[1][1] = math.nan
    g = torch.randn(5, 4 if "n" in sizes else 1, generator=generator).double()
    g[2], g[3] = math.inf, math.nan
    tensors = [tensor.requires_grad_() for tensor in values[:2]]
    known = dict(zip((*inputs, left, right), (*tensors, *values[2:]), strict=True))
    (result,) = evaluate([value], known, units)
    expected = torch.autograd.grad(result, tensors, g)
    everything = (*inputs, left, right)
    derivative = differentiate(Graph("test", everything, (H,), (H,), (("y", value),)), ["y"])
    assert set(derivative.inputs) == set(inputs)  # what is compared gets nothing
    known = {leaf: tensor.detach() for leaf, tensor in known.items()}
    known[derivative.outside["y"]] = g
    found = evaluate([derivative.inputs[leaf] for leaf in inputs], known, units)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("op", ["sum", "max"])
@pytest.mark.parametrize("g", GRADIENTS_OF_RESULT)
def test_over_the_units(op, g):
    rows = [
        [1.0, 2.0, 0.5, -1.0],
        [2.0, 2.0, 0.5, 2.0],  # ties share equally
        [0.0, -0.0, -1.0, -3.0],
        [-math.inf] * 4,
        [math.inf, 1.0, math.inf, -math.inf],
        [math.nan, 1.0, 2.0, math.nan],
    ]
    (a,) = leaves("n")
    check(node(op, a), (a,), [torch.tensor(rows)], torch.full((6, 1), g).double())
    (a,) = leaves(1)
    check(node(op, a), (a,), [torch.tensor(rows)[:, :1]], torch.full((6, 1), g).double(), {"n": 1})


@pytest.mark.parametrize("op", sorted(FLAT))
def test_nothing_flows_through_what_is_flat(op):
    inputs = leaves(*["n"] * OPS[op].arity)
    graph = Graph("test", inputs, (H,), (H,), (("y", node(op, *inputs)),))
    derivative = differentiate(graph, ["y"])
    assert derivative.inputs == {}
    # torch says the same, in its words: zeros, or no derivative at all.
    tensors = [torch.tensor(SPECIAL, dtype=torch.float64, requires_grad=True) for _ in inputs]
    result = MEANING[op](*tensors)
    if result.requires_grad:
        result.sum().backward()
        assert all(bool((tensor.grad == 0).all()) for tensor in tensors)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(
    ("op", "taken", "given"), [("matmul", "m", "n"), ("matmul_transposed", "n", "m")]
)
def test_matrix_products(op, taken, given, wide):
    """`wide`: the gradient differs between units, or is one number for all of them."""
    sizes = {"n": 3, "m": 5}
    (a,) = leaves(taken)
    matrix = node("matrix", name="W", size="n", columns="m", mask=None)
    product = node(op, matrix, a)
    signal = product if wide else node("sum", product)
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, sizes[taken], generator=generator, dtype=torch.float64, requires_grad=True)
    g = torch.randn(4, sizes[given] if wide else 1, generator=generator, dtype=torch.float64)
    known = {a: x, matrix: weight}
    (result,) = evaluate([signal], known, sizes)
    by_x, by_weight = torch.autograd.grad(result, [x, weight], g)

    derivative = differentiate(Graph("test", (a,), (H,), (H,), (("y", signal),)), ["y"])
    ((gradient, source),) = derivative.matrices["W"]
    assert (gradient.size, source.size) == ("n", "m")
    known = {a: x.detach(), matrix: weight.detach(), derivative.outside["y"]: g}
    roots = [derivative.inputs[a], gradient, source]
    found, rows, columns = evaluate(roots, known, sizes)
    assert_same(found, by_x)
    outer = rows.expand(4, 3).T @ columns.expand(4, 5)
    assert_same(outer, by_weight)
