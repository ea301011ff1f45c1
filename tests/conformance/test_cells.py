"""Every cell of the zoo against its paper's formulas, written out by hand in torch.

The grid: cell x dtype x direction x kind of lengths x initial state; compared are outputs,
final states and every gradient. A backend that joins is held to the same grid.
"""

import itertools

import pytest
import torch
from odd_cells import GRAPHS
from random_graphs import POSITIVE
from some_cells import TYPICAL, units_for

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


def jordan(w, x, y):
    return (tanh(affine(w, "y", h=tanh(affine(w, "h", x=x, y=y)))),)


def indrnn(w, x, h):
    return (relu(affine(w, "h", x=x) + w["u"] * h),)


def clockwork(w, x, h, t):
    units = torch.arange(len(h)) * 4 // len(h)
    sees = (units[:, None] <= units[None, :]).to(x.dtype)
    n = tanh(affine(w, "h", x=x) + (w["h_h"] * sees) @ h)
    ticks = torch.tensor([t % period == 0 for period in (1, 2, 4, 8)])[units]
    return (torch.where(ticks, n, h),)


def lstm(w, x, h, c):
    i, f, o = (sigmoid(affine(w, gate, x=x, h=h)) for gate in "ifo")
    c = f * c + i * tanh(affine(w, "g", x=x, h=h))
    return o * tanh(c), c


def lstm_1997(w, x, h, c):
    i, o = (sigmoid(affine(w, gate, x=x, h=h)) for gate in "io")
    c = c + i * (4 * sigmoid(affine(w, "g", x=x, h=h)) - 2)
    return o * (2 * sigmoid(c) - 1), c


def projected_lstm(w, x, h, c):
    m, c = lstm(w, x, h, c)
    return m @ w["r_m"].T, c


def odyssey(w, x, h, c, i=None, f=None, o=None, g=tanh, read=tanh):
    """The vanilla LSTM of the comparison; a gate, or a squashing function, may be given."""

    def gate(name, c):
        return sigmoid(affine(w, name, x=x, h=h) + w[f"{name}_peep"] * c)

    i = gate("i", c) if i is None else i
    f = gate("f", c) if f is None else f(i)
    c = f * c + i * g(affine(w, "g", x=x, h=h))
    o = gate("o", c) if o is None else o
    return o * read(c), c


def peephole_lstm(w, x, h, c):
    return odyssey(w, x, h, c)


def nig_lstm(w, x, h, c):
    return odyssey(w, x, h, c, i=1)


def nfg_lstm(w, x, h, c):
    return odyssey(w, x, h, c, f=lambda i: 1)


def nog_lstm(w, x, h, c):
    return odyssey(w, x, h, c, o=1)


def niaf_lstm(w, x, h, c):
    return odyssey(w, x, h, c, g=lambda a: a)


def noaf_lstm(w, x, h, c):
    return odyssey(w, x, h, c, read=lambda c: c)


def cifg_lstm(w, x, h, c):
    return odyssey(w, x, h, c, f=lambda i: 1 - i)


def fgr_lstm(w, x, h, c, i, f, o):
    a_i, a_f, a_o = (affine(w, gate, x=x, h=h, i=i, f=f, o=o) for gate in "ifo")
    i, f = sigmoid(a_i + w["i_peep"] * c), sigmoid(a_f + w["f_peep"] * c)
    c = f * c + i * tanh(affine(w, "g", x=x, h=h))
    o = sigmoid(a_o + w["o_peep"] * c)
    return o * tanh(c), c, i, f, o


def coupled_lstm(w, x, h, c):
    f, o = (sigmoid(affine(w, gate, x=x, h=h)) for gate in "fo")
    c = f * c + (1 - f) * tanh(affine(w, "g", x=x, h=h))
    return o * tanh(c), c


def normal(v):
    return (v - v.mean()) / torch.sqrt(v.var(unbiased=False) + 1e-5)


def layer_norm_lstm(w, x, h, c):
    sides = {"x": x, "h": h}
    total = torch.cat([w[f"{gate}_bias"] for gate in "ifgo"])
    for side, value in sides.items():
        stacked = torch.cat([w[f"{gate}_{side}"] @ value for gate in "ifgo"])
        gain = torch.cat([w[f"{gate}_{side}_gain"] for gate in "ifgo"])
        total = total + gain * normal(stacked)
    i, f, g, o = total.chunk(4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(w["c_gain"] * normal(c) + w["c_bias"]), c


def multiplicative_lstm(w, x, h, c):
    m = (w["mx_x"] @ x) * (w["mh_h"] @ h)
    return lstm({k.replace("_m", "_h"): v for k, v in w.items()}, x, m, c)


def janet(w, x, h):
    s = affine(w, "f", x=x, h=h)
    g = tanh(affine(w, "g", x=x, h=h))
    return (sigmoid(s) * h + (1 - sigmoid(s - 1)) * g,)


def slstm(w, x, h, c, n, m):
    a_i, a_f = (affine(w, gate, x=x, h=h) for gate in "if")
    empty = n == 0
    # Without the stabiliser: what it carries is divided out again.
    i, f = torch.exp(a_i), sigmoid(a_f)
    c, n = f * torch.exp(m) * c + i * tanh(affine(w, "z", x=x, h=h)), f * torch.exp(m) * n + i
    m = torch.maximum(torch.where(empty, a_i, torch.log(f) + m), a_i)
    h = sigmoid(affine(w, "o", x=x, h=h)) * c / n
    return h, c * torch.exp(-m), n * torch.exp(-m), m


def depth_gated_lstm(w, x, h, c):
    # In the first layer there is nothing below.
    return odyssey(w, x, h, c)


def gru(w, x, h):
    r, z = (sigmoid(affine(w, gate, x=x, h=h)) for gate in "rz")
    n = tanh(affine(w, "n", x=x) + r * affine(w, "m", h=h))
    return ((1 - z) * n + z * h,)


def gru_reset_before(w, x, h):
    r, z = (sigmoid(affine(w, gate, x=x, h=h)) for gate in "rz")
    return ((1 - z) * tanh(affine(w, "n", x=x, rh=r * h)) + z * h,)


def layer_norm_gru(w, x, h):
    def norm(name, value):
        return w[f"{name}_norm_gain"] * normal(value) + w[f"{name}_norm_bias"]

    r, z = (
        sigmoid(norm(f"{k}_x", w[f"{k}_x"] @ x) + norm(f"{k}_h", w[f"{k}_h"] @ h)) for k in "rz"
    )
    n = tanh(norm("n", w["n_x"] @ x) + r * norm("m", w["m_h"] @ h))
    return ((1 - z) * n + z * h,)


def mgu(w, x, h):
    f = sigmoid(affine(w, "f", x=x, h=h))
    return ((1 - f) * h + f * tanh(affine(w, "n", x=x, fh=f * h)),)


def light_gru(w, x, h):
    z = sigmoid(affine(w, "z", x=x, h=h))
    return (z * h + (1 - z) * relu(affine(w, "n", x=x, h=h)),)


def ugrnn(w, x, h):
    g = sigmoid(affine(w, "g", x=x, h=h))
    return (g * h + (1 - g) * tanh(affine(w, "n", x=x, h=h)),)


def intersection_rnn(w, x, y, h):
    g_y, g_h = (sigmoid(affine(w, gate, x=x, h=h)) for gate in ("gy", "gh"))
    y = g_y * x + (1 - g_y) * relu(affine(w, "u", x=x, h=h))
    return y, g_h * h + (1 - g_h) * tanh(affine(w, "n", x=x, h=h))


def mut1(w, x, h):
    z, r = sigmoid(affine(w, "z", x=x)), sigmoid(affine(w, "r", x=x, h=h))
    n = tanh(w["n_rh"] @ (r * h) + tanh(w["s_x"] @ x) + w["n_bias"])
    return (n * z + h * (1 - z),)


def mut2(w, x, h):
    z, r = sigmoid(affine(w, "z", x=x, h=h)), sigmoid(w["s_x"] @ x + affine(w, "r", h=h))
    return (tanh(affine(w, "n", rh=r * h, x=x)) * z + h * (1 - z),)


def mut3(w, x, h):
    z = sigmoid(affine(w, "z", x=x, squashed=tanh(h)))
    r = sigmoid(affine(w, "r", x=x, h=h))
    return (tanh(affine(w, "n", rh=r * h, x=x)) * z + h * (1 - z),)


def ran(w, x, h, c):
    i, f = (sigmoid(affine(w, gate, x=x, h=h)) for gate in "if")
    c = i * (w["g_x"] @ x) + f * c
    return tanh(c), c


def fastgrnn(w, x, h):
    a = w["a_x"] @ x + w["a_h"] @ h
    z, n = sigmoid(a + w["z_bias"]), tanh(a + w["n_bias"])
    return ((sigmoid(w["zeta"]) * (1 - z) + sigmoid(w["nu"])) * n + z * h,)


def min_lstm(w, x, h):
    f, i = sigmoid(affine(w, "f", x=x)), sigmoid(affine(w, "i", x=x))
    return ((f * h + i * affine(w, "g", x=x)) / (f + i),)


def min_gru(w, x, h):
    z = sigmoid(affine(w, "z", x=x))
    return ((1 - z) * h + z * affine(w, "n", x=x),)


def sru(w, x, h, c):
    f = sigmoid(affine(w, "f", x=x) + w["f_peep"] * c)
    r = sigmoid(affine(w, "r", x=x) + w["r_peep"] * c)
    c = f * c + (1 - f) * (w["n_x"] @ x)
    return r * c + (1 - r) * (w["k_x"] @ x), c


FORMULAS = {name: globals()[name] for name in cw.cells.names()} | {"uneven_clockwork": clockwork}
# Tolerance relative to the greatest magnitude, against formulas in double precision.
DTYPES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 6e-2}
LENGTHS = {"full": None, "ragged": [5, 0, 3, 1], "sorted": [6, 4, 2, 2], "empty": [0, 0, 0, 0]}
SHAPES = ((3, 5), (1, 1), (17, 31))
BATCH, STEPS = 4, 6
# What is rounded before it is normalised counts many times.
NORMED = {"layer_norm_lstm", "layer_norm_gru"}
LOOSER = {torch.float32: 4e-5}
OWN_SIZES = {"projected_lstm": "proj", "jordan": "output"}


def grid():
    # Single precision and bfloat16 of every cell, and all lengths, are for the long run.
    axes = (FORMULAS, BACKENDS, DTYPES, LENGTHS)
    for name, backend, dtype, lengths in itertools.product(*axes):
        if name in NORMED and dtype == torch.bfloat16:
            continue
        short = name in TYPICAL or (dtype == torch.float64 and lengths == "ragged")
        marks = () if short else pytest.mark.slow
        label = f"{name}-{backend}-{dtype}-{lengths}"
        yield pytest.param(name, backend, dtype, lengths, marks=marks, id=label)


@pytest.mark.parametrize(("name", "backend", "dtype", "lengths"), list(grid()))
def test_it_equals_the_formulas(name, backend, dtype, lengths, record_property):
    cases = list(itertools.product(SHAPES, (False, True), (False, True)))
    record_property("cases", len(cases))
    torch.manual_seed(0)  # of the weights
    for (features, units), bidirectional, with_state in cases:
        # One for each period; and one unit alone is normalised to nothing.
        least = {"uneven_clockwork": 4}.get(name, 3 if name in NORMED else 1)
        units = units_for(GRAPHS[name], max(units, least))  # noqa: PLW2901
        net = cw.Recurrent(
            cw.Cell(GRAPHS[name]),
            features,
            units,
            bidirectional=bidirectional,
            sizes={OWN_SIZES[name]: (units + 1) // 2} if name in OWN_SIZES else None,
            initialization="torch",
            backend=backend,
            dtype=dtype,
        )
        generator = torch.Generator().manual_seed(5)
        x = torch.randn(BATCH, STEPS, features, generator=generator).to(dtype)
        state = draw_state(net, generator, dtype) if with_state else None
        tolerance = LOOSER.get(dtype) if name in NORMED else None
        check(net, x, state, LENGTHS[lengths], tolerance or DTYPES[dtype], FORMULAS[name])


def draw_state(net, generator, dtype):
    _, zero = net(torch.zeros(BATCH, 0, net.input_size, dtype=dtype))
    return [
        {k: v if k == "t" else _drawn(net, k, v, generator).to(dtype) for k, v in zero[0].items()}
    ]


def _drawn(net, name, like, generator):
    drawn = torch.randn(like.shape, generator=generator)
    return drawn.abs() + 1 if (net.cell.name, name) in POSITIVE else drawn


def check(net, x, state, lengths, tolerance, formula):
    """Compare a module with the formulas in double precision, from the same numbers."""
    found = outcome(lambda x, s, _: net(x, s, lengths=lengths), net, x, state, x.dtype)
    expected = outcome(
        lambda x, s, w: by_hand(net, formula, w, x, s, lengths), net, x, state, torch.float64
    )
    assert list(found) == list(expected)
    kinks = formula in (elman_relu, indrnn, light_gru, intersection_rnn)
    # What flows back through the stabiliser cancels, but for roundings where all is bfloat16.
    cancels = formula is slstm and net.backend == "reference"
    if (kinks or cancels) and x.dtype == torch.bfloat16:
        # Rounding moves a unit across the kink, where the gradient jumps.
        expected = {key: v for key, v in expected.items() if not key.startswith("gradient")}
    for key, value in expected.items():
        bound = tolerance * max(float(value.abs().max()), 1.0)
        error = float((found[key].double() - value).abs().max())
        assert error <= bound, (key, error, bound)


def outcome(run, net, x, state, dtype):
    x = x.to(dtype, copy=True).requires_grad_()
    if state is not None:
        times = {k: v for k, v in state[0].items() if k == "t"}
        state = {k: v.to(dtype, copy=True) for k, v in state[0].items() if k != "t"}
        state = [{k: v.requires_grad_() for k, v in state.items()} | times]
    weights = {
        k: p.detach().to(dtype, copy=True).requires_grad_() for k, p in net.named_parameters()
    }
    if dtype == x.dtype == next(net.parameters()).dtype:
        weights = dict(net.named_parameters())
        net.zero_grad()
    output, after = run(x, state, weights)
    results = {"output": output} | {f"after {k}": v for k, v in after[0].items() if k != "t"}
    total = sum(weighed(result) for result in results.values())
    if total.requires_grad:  # where no step exists, nothing by hand depends on anything
        total.backward()
    gradients = {"gradient of x": x.grad}
    gradients |= {f"gradient of {k}": w.grad for k, w in weights.items()}
    if state is not None:
        gradients |= {f"gradient of state {k}": v.grad for k, v in state[0].items() if k != "t"}
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
            for t, step in enumerate(reversed(steps) if side else steps):
                time = {"t": t} if formula is clockwork else {}
                carried = list(formula(w, x[row, step], *carried, **time))
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
    units = {"hidden": net.hidden_sizes[0], "input": net.input_size}
    return x.new_zeros(units.get(size, (net.hidden_sizes[0] + 1) // 2))
