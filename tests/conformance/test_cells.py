"""Every cell of the zoo against its paper's formulas, written out by hand in torch.

The grid: cell x dtype x direction x kind of lengths x initial state; compared are outputs,
final states and every gradient. A backend that joins is held to the same grid.
"""

import itertools

import pytest
import torch

import cellwright as cw
from cellwright.backends import BACKENDS

sigmoid, tanh, relu = torch.sigmoid, torch.tanh, torch.relu


def affine(w, name, **sources):
    total = w.get(f"{name}_bias", 0)
    for source, value in sources.items():
        total = total + value @ w[f"{name}_{source}"].T
    return total


def elman(w, x, h):
    return (tanh(affine(w, "h", x=x, h=h)),)


def elman_relu(w, x, h):
    return (relu(affine(w, "h", x=x, h=h)),)


def lstm(w, x, h, c):
    i, f, o = (sigmoid(affine(w, gate, x=x, h=h)) for gate in "ifo")
    c = f * c + i * tanh(affine(w, "g", x=x, h=h))
    return o * tanh(c), c


def projected_lstm(w, x, h, c):
    m, c = lstm(w, x, h, c)
    return m @ w["r_m"].T, c


def peephole_lstm(w, x, h, c):
    i = sigmoid(affine(w, "i", x=x, h=h) + w["i_peep"] * c)
    f = sigmoid(affine(w, "f", x=x, h=h) + w["f_peep"] * c)
    c = f * c + i * tanh(affine(w, "g", x=x, h=h))
    o = sigmoid(affine(w, "o", x=x, h=h) + w["o_peep"] * c)
    return o * tanh(c), c


def gru(w, x, h):
    r, z = (sigmoid(affine(w, gate, x=x, h=h)) for gate in "rz")
    n = tanh(affine(w, "n", x=x) + r * affine(w, "m", h=h))
    return ((1 - z) * n + z * h,)


def gru_reset_before(w, x, h):
    r, z = (sigmoid(affine(w, gate, x=x, h=h)) for gate in "rz")
    return ((1 - z) * tanh(affine(w, "n", x=x, rh=r * h)) + z * h,)


FORMULAS = {
    formula.__name__: formula
    for formula in (elman, elman_relu, lstm, projected_lstm, peephole_lstm, gru, gru_reset_before)
}
# Tolerance relative to the greatest magnitude, against formulas in double precision.
DTYPES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 6e-2}
LENGTHS = {"full": None, "ragged": [5, 0, 3, 1], "sorted": [6, 4, 2, 2], "empty": [0, 0, 0, 0]}
SHAPES = ((3, 5), (1, 1), (17, 31))
BATCH, STEPS = 4, 6


def test_every_cell_has_its_formulas_here():
    assert set(FORMULAS) == set(cw.cells.names())


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", FORMULAS)
def test_it_equals_the_formulas(name, backend, dtype, lengths, record_property):
    grid = list(itertools.product(SHAPES, (False, True), (False, True)))
    record_property("cases", len(grid))
    for (features, units), bidirectional, with_state in grid:
        net = cw.Recurrent(
            name,
            features,
            units,
            bidirectional=bidirectional,
            sizes={"proj": (units + 1) // 2} if name == "projected_lstm" else None,
            initialization="torch",
            backend=backend,
            dtype=dtype,
        )
        generator = torch.Generator().manual_seed(5)
        x = torch.randn(BATCH, STEPS, features, generator=generator).to(dtype)
        state = draw_state(net, generator, dtype) if with_state else None
        check(net, x, state, LENGTHS[lengths], DTYPES[dtype], FORMULAS[name])


def draw_state(net, generator, dtype):
    _, zero = net(torch.zeros(BATCH, 0, net.input_size, dtype=dtype))
    return [{k: torch.randn(v.shape, generator=generator).to(dtype) for k, v in zero[0].items()}]


def check(net, x, state, lengths, tolerance, formula):
    """Compare a module with the formulas in double precision, from the same numbers."""
    found = outcome(lambda x, s, _: net(x, s, lengths=lengths), net, x, state, x.dtype)
    expected = outcome(
        lambda x, s, w: by_hand(net, formula, w, x, s, lengths), net, x, state, torch.float64
    )
    assert list(found) == list(expected)
    if formula is elman_relu and x.dtype == torch.bfloat16:
        # Rounding moves a unit across the kink, where the gradient jumps.
        expected = {key: v for key, v in expected.items() if not key.startswith("gradient")}
    for key, value in expected.items():
        bound = tolerance * max(float(value.abs().max()), 1.0)
        error = float((found[key].double() - value).abs().max())
        assert error <= bound, (key, error, bound)


def outcome(run, net, x, state, dtype):
    x = x.to(dtype, copy=True).requires_grad_()
    if state is not None:
        state = [{k: v.to(dtype, copy=True).requires_grad_() for k, v in state[0].items()}]
    weights = {
        k: p.detach().to(dtype, copy=True).requires_grad_() for k, p in net.named_parameters()
    }
    if dtype == x.dtype == next(net.parameters()).dtype:
        weights = dict(net.named_parameters())
        net.zero_grad()
    output, after = run(x, state, weights)
    results = {"output": output} | {f"after {k}": v for k, v in after[0].items()}
    total = sum(weighed(result) for result in results.values())
    if total.requires_grad:  # where no step exists, nothing by hand depends on anything
        total.backward()
    gradients = {"gradient of x": x.grad}
    gradients |= {f"gradient of {k}": w.grad for k, w in weights.items()}
    if state is not None:
        gradients |= {f"gradient of state {k}": v.grad for k, v in state[0].items()}
    results |= {k: torch.zeros(1) if g is None else g for k, g in gradients.items()}
    return {key: result.detach() for key, result in results.items()}


def weighed(result):
    """A sum in which every entry counts differently."""
    return (torch.cos(torch.arange(result.numel())).view_as(result) * result).sum()


def by_hand(net, formula, weights, x, state, lengths):
    """Row by row, step by step, each direction for itself: nothing shared with the library."""
    sides = ("layer0.", "layer0_reverse.")[: 1 + net.bidirectional]
    names = list(net.cell.graph.state_sizes)
    outputs, afters = [], []
    for side, prefix in enumerate(sides):
        w = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        rows, last = [], []
        for row in range(len(x)):
            carried = [initial(net, state, name, row, side, x) for name in names]
            length = len(x[row]) if lengths is None else lengths[row]
            steps = range(length)
            seen = {}
            for step in reversed(steps) if side else steps:
                carried = list(formula(w, x[row, step], *carried))
                seen[step] = carried[0]
            nothing = torch.zeros_like(carried[0])
            rows.append(torch.stack([seen.get(step, nothing) for step in range(len(x[row]))]))
            last.append(carried)
        outputs.append(torch.stack(rows))
        afters.append([torch.stack([carried[n] for carried in last]) for n in range(len(names))])
    joined = afters[0]
    if net.bidirectional:
        joined = [torch.stack(pair, 1) for pair in zip(*afters, strict=True)]
    return torch.cat(outputs, -1), [dict(zip(names, joined, strict=True))]


def initial(net, state, name, row, side, x):
    if state is not None:
        given = state[0][name][row]
        return given[side] if net.bidirectional else given
    size = net.cell.graph.state_sizes[name]
    units = {"hidden": net.hidden_sizes[0], "proj": (net.hidden_sizes[0] + 1) // 2}[size]
    return x.new_zeros(units)
