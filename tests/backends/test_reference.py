"""The reference backend: the meaning of every op, and of running a cell over time."""

import math

import numpy as np
import pytest
import torch
from some_cells import own_sizes, units_for

import cellwright as cw
from cellwright.backends import Call
from cellwright.backends.reference import MEANING
from cellwright.ir import OPS, Graph, node, verify
from cellwright.pipeline import compile

X = node("input", name="x", size="input")
H = node("state", name="h", size="hidden")
SIZES = {"input": 4, "hidden": 4}

# One line an op, written with numpy and math, independent of torch.
NUMPY = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": lambda a: np.where(np.isnan(a), 0, np.sign(a)),
    "floor": np.floor,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "where": np.where,
    "matmul": lambda weight, value: value @ weight.T,
    "matmul_transposed": lambda weight, value: value @ weight,
    "sum": lambda a: a.sum(-1, keepdims=True),
    "max": lambda a: a.max(-1, keepdims=True),
}
DOMAIN = ("log", "log1p", "sqrt")


def run(graph, x, states=None, sizes=SIZES, dtype=torch.float64, **call):
    kernel = compile(graph, sizes, backend="reference", device=torch.device("cpu"), dtype=dtype)
    states = states or {
        name: torch.zeros(x.shape[1], sizes.get(size, size), dtype=dtype)
        for name, size in graph.state_sizes.items()
    }
    return kernel(Call(inputs={"x": x}, states=states, weights=call.pop("weights", {}), **call))


def one_step(value, x):
    """Run a graph whose state, as wide as the input, becomes `value`, for one step."""
    graph = verify(Graph("test", (X,), (node("state", name="h", size="input"),), (value,)))
    return run(graph, torch.as_tensor(x)[None]).output[0].numpy()


def test_every_op_that_computes_has_a_meaning_here():
    computes = {op.name for op in OPS.values() if op.kind not in ("leaf", "weight")}
    assert set(MEANING) == computes == set(NUMPY)


@pytest.mark.parametrize("op", sorted(set(NUMPY) - {"matmul", "matmul_transposed", "where"}))
def test_every_op_agrees_with_numpy(op):
    x = np.random.default_rng(0).standard_normal((6, 4)) * 3
    x[0] = [0.0, -0.0, 1.0, 2.0]
    first, first_array = X, x
    if op in DOMAIN:
        first, first_array = node("abs", X), np.abs(x)
    else:
        x[1] = [math.inf, -math.inf, math.nan, 0.5]
    rounded = node("floor", node("add", X, node("constant", value=0.5)))
    count = OPS[op].arity
    value = node(op, *(first, rounded)[:count])
    if OPS[op].kind == "truth":
        value = node("where", value, *(node("constant", value=v) for v in (1.0, 0.0)))
    with np.errstate(all="ignore"):
        expected = NUMPY[op](*(first_array, np.floor(x + 0.5))[:count]).astype(float)
    np.testing.assert_allclose(one_step(value, x), np.broadcast_to(expected, (6, 4)), rtol=1e-14)


def test_where():
    x = np.array([[1.0, -2.0, math.nan, 3.0]])
    value = node("where", node("less", X, node("constant", value=1.5)), node("neg", X), X)
    np.testing.assert_array_equal(one_step(value, x), [[-1.0, 2.0, math.nan, 3.0]])


@pytest.mark.parametrize(
    ("op", "rows", "columns"),
    [("matmul", "hidden", "input"), ("matmul_transposed", "input", "hidden")],
)
def test_matrix_products(op, rows, columns):
    x = np.array([[1.0, -2.0, 0.0, 3.0]])
    weight = np.arange(16.0).reshape(4, 4)
    matrix = node("matrix", name="W", size=rows, columns=columns, mask=None)
    product = node(op, matrix, X)
    graph = verify(Graph("test", (X,), (H,), (product,)))
    found = run(graph, torch.as_tensor(x)[None], weights={"W": torch.as_tensor(weight)}).output
    np.testing.assert_array_equal(found[0].numpy(), NUMPY[op](weight, x))


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("block_diagonal", lambda r, c: r == c),
        ("block_lower", lambda r, c: r >= c),
        ("block_upper", lambda r, c: r <= c),
    ],
)
def test_masks_keep_their_blocks(kind, kept):
    @cw.cell(state="h")
    def masked(x, h):
        h = cw.affine("h", h, bias=None, mask=(kind, 3))
        return h

    weight = torch.rand(6, 6, dtype=torch.float64, requires_grad=True)
    states = {"h": torch.rand(2, 6, dtype=torch.float64)}
    x = torch.zeros(1, 2, 4, dtype=torch.float64)
    sizes = {"input": 4, "hidden": 6}
    output = run(masked.graph, x, states, sizes, weights={"h_h": weight}).output[0]
    mask = torch.tensor([[float(kept(r // 2, c // 2)) for c in range(6)] for r in range(6)])
    torch.testing.assert_close(output, states["h"] @ (weight * mask).T)
    output.sum().backward()
    assert bool(((weight.grad != 0) <= (mask != 0)).all())


def test_constants_spread_over_blocks_of_units():
    @cw.cell(state="h")
    def example(x, h):
        h = h + cw.per_unit([1, 10, 100])
        return h

    x = torch.zeros(2, 1, 4, dtype=torch.float64)
    sizes = {"input": 4, "hidden": 7}
    output = run(example.graph, x, sizes=sizes).output
    assert output[1, 0].tolist() == [2, 2, 2, 20, 20, 200, 200]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_step_index_is_exact_in_every_dtype(dtype):
    @cw.cell(state="h")
    def clock(x, h, t):
        h = cw.where(t % 257 == 256, h + 1, h)
        return h

    x = torch.zeros(1030, 1, 1, dtype=dtype)
    output = run(clock.graph, x, sizes={"input": 1, "hidden": 2}, dtype=dtype).output
    assert output.dtype == dtype
    steps = (output[1:, 0, 0] != output[:-1, 0, 0]).nonzero().flatten() + 1
    assert steps.tolist() == [256, 513, 770, 1027]


def test_the_step_index_counts_along_the_direction_and_only_steps_that_exist():
    @cw.cell(state="h")
    def clock(x, h, t):
        h = t + 0 * h
        return h

    x = torch.zeros(4, 3, 1, dtype=torch.float64)
    active = torch.tensor([[1, 0, 1], [1, 0, 0], [1, 0, 1], [0, 0, 1]], dtype=torch.bool)
    sizes = {"input": 1, "hidden": 1}
    forward = run(clock.graph, x, sizes=sizes, active=active).output[..., 0]
    assert forward.T.tolist() == [[0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 1, 2]]
    backward = run(clock.graph, x, sizes=sizes, active=active, reverse=True).output[..., 0]
    assert backward.T.tolist() == [[2, 1, 0, 0], [0, 0, 0, 0], [2, 0, 1, 0]]


def test_padding_reaches_neither_values_nor_gradients():
    net = cw.Recurrent("lstm", 3, 4, dtype=torch.float64, backend="reference")
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    clean = x.clone()
    x[1, 2:] = math.nan
    clean[1, 2:] = 0
    gradients = []
    for given in (x, clean):
        net.zero_grad()
        given.requires_grad_()
        y, state = net(given, lengths=[5, 2])
        (y.sum() + state[0]["c"].sum()).backward()
        assert bool((y[1, 2:] == 0).all())
        gradients.append([p.grad.clone() for p in net.parameters()])
        assert bool((given.grad[1, 2:] == 0).all())
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_nan_and_infinity_come_through():
    net = cw.Recurrent("elman", 1, 2, backend="reference")
    x = torch.zeros(3, 4, 1)
    x[1, 2] = math.nan
    x[2, 1] = math.inf
    y, _ = net(x)
    assert bool(y[0].isfinite().all())
    assert bool(y[1, :2].isfinite().all())
    assert bool(y[1, 2:].isnan().all())
    assert y[2, 1].abs().tolist() == [1, 1]


@pytest.mark.parametrize("name", cw.cells.names())
def test_it_can_be_differentiated_twice(name):
    units, sizes = units_for(cw.cells.get(name).graph, 3), own_sizes(name, 2)
    net = cw.Recurrent(name, 2, units, sizes=sizes, dtype=torch.float64, backend="reference")
    names = [key for key, _ in net.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in net.parameters()]
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)

    def output(x, *weights):
        given = dict(zip(names, weights, strict=True))
        y, state = torch.func.functional_call(net, given, (x,), {"lengths": [3, 2]})
        return y, *(value for name, value in state[0].items() if name != "t")

    assert torch.autograd.gradcheck(output, (x, *values))
    assert torch.autograd.gradgradcheck(output, (x, *values))


def test_without_steps_the_states_stay():
    net = cw.Recurrent("lstm", 3, 4, bidirectional=True, backend="reference")
    state = [{"h": torch.randn(2, 2, 4), "c": torch.randn(2, 2, 4)}]
    y, after = net(torch.randn(2, 0, 3), state)
    assert y.shape == (2, 0, 8)
    assert torch.equal(after[0]["c"], state[0]["c"])


def test_a_batch_without_rows():
    y, state = cw.Recurrent("gru", 3, 4, backend="reference")(
        torch.randn(0, 5, 3), lengths=torch.zeros(0).long()
    )
    assert y.shape == (0, 5, 4)
    assert state[0]["h"].shape == (0, 4)


def test_draws_take_their_expected_value_unless_given():
    @cw.cell(state="h")
    def example(x, h):
        d = cw.bernoulli("d", 0.25)
        s = cw.bernoulli("s", 0.5, per="sequence")
        h = d + s
        return h

    x = torch.zeros(3, 2, 1, dtype=torch.float64)
    sizes = {"input": 1, "hidden": 4}
    assert bool((run(example.graph, x, sizes=sizes).output == 0.75).all())
    draws = {
        "d": torch.randint(0, 2, (3, 2, 4)).double(),
        "s": torch.randint(0, 2, (2, 4)).double(),
    }
    output = run(example.graph, x, sizes=sizes, draws=draws, record=("d", "h")).signals
    torch.testing.assert_close(output["h"], draws["d"] + draws["s"])
    torch.testing.assert_close(output["d"], draws["d"])


def test_numbers_for_all_units_are_spread_out():
    @cw.cell(state="h")
    def example(x, h):
        total = cw.sum_units(x)  # noqa: F841
        three = cw.affine("a", x, size=1, bias=None) * 0 + 3  # noqa: F841
        h = 2.0
        return h

    x = torch.ones(2, 3, 4, dtype=torch.float64)
    weights = {"a_x": torch.ones(1, 4, dtype=torch.float64)}
    result = run(example.graph, x, weights=weights, record=("total", "three", "h"))
    assert result.output.shape == (2, 3, 4)
    assert bool((result.output == 2).all())
    assert result.signals["total"].shape == (2, 3, 1)
    assert bool((result.signals["three"] == 3).all())
