"""Training in segments, and truncated backpropagation: the same numbers in less memory."""

import json
import subprocess
import sys
import warnings
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from odd_cells import GRAPHS
from some_cells import own_sizes, recurrent_dropout, typical, units_for

import cellwright as cw
from cellwright.backends import BACKENDS, Call, Weights, contract
from cellwright.errors import ArgumentError, CellwrightWarning, SettingError
from cellwright.nn.segments import run_in_segments
from cellwright.pipeline import lower

close = torch.testing.assert_close
SIZES = {"input": 3, "hidden": 4, "proj": 2}
STEPS, BATCH = 11, 5


@cw.cell(state=("r", "h", "c"), inputs={"gap": 1})
def everything(x, r, h, c, gap, c_below, t):
    """States of two sizes, an extra input, the layer below, the step and both kinds of draw."""
    kept = cw.bernoulli("kept", 0.5, per="step")
    same = cw.bernoulli("same", 0.5, per="sequence")
    f = cw.sigmoid(cw.affine("f", x, r) + cw.scale("f_peep", c))
    c = cw.exp(-gap * gap) * f * c + kept * cw.tanh(cw.affine("c", x, same * h)) + c_below
    h = cw.where(t % 3 < 2, cw.tanh(c), h)
    r = cw.affine("r", h, size="proj")
    return r, h, c


ACTIVE = {
    "dense": None,
    "ragged": torch.arange(STEPS)[:, None] < torch.tensor([STEPS, 3, 0, 7, 1]),
    "gaps": torch.rand(STEPS, BATCH, generator=torch.Generator().manual_seed(1)) < 0.5,
    "nothing": torch.zeros(STEPS, BATCH, dtype=torch.bool),
}


@pytest.fixture(autouse=True)
def _anew(monkeypatch):
    monkeypatch.setattr(contract, "announced", set())


def draw_everything(dtype=torch.float64, seed=0):
    """A call of the cell above, in which every tensor that may wants its gradient."""
    graph, generator = lower(everything.graph), torch.Generator().manual_seed(seed)

    def normal(*shape):
        units = [SIZES.get(size, size) for size in shape]
        return torch.randn(units, generator=generator, dtype=torch.float64).to(dtype)

    def wanted(values):
        return {name: value.requires_grad_() for name, value in values.items()}

    shapes = {
        name: [weight.attributes[a] for a in ("size", "columns") if a in weight.attributes]
        for name, weight in graph.weights.items()
    }
    call = Call(
        inputs=wanted({leaf.name: normal(STEPS, BATCH, leaf.size) for leaf in graph.inputs}),
        states=wanted({name: normal(BATCH, size) for name, size in graph.state_sizes.items()}),
        weights=wanted({name: 0.5 * normal(*shape) for name, shape in shapes.items()}),
        below=wanted({"c": normal(STEPS, BATCH, "hidden")}),
        draws={
            "kept": (normal(STEPS, BATCH, "hidden") > 0).to(dtype),
            "same": (normal(BATCH, "hidden") > 0).to(dtype),
        },
        start=torch.tensor([[0], [4], [1], [1000], [2]]),
    )
    return graph, call


def outcome(kernel, graph, call, every, of=None):
    """All results and gradients by name; `of` names the results that the loss depends on."""
    result = run_in_segments(kernel, graph, call, every)
    values = {"output": result.output} | {f"after {k}": v for k, v in result.states.items()}
    values |= {f"signal {name}": value for name, value in result.signals.items()}
    asked = {
        f"gradient of {field.name} {name}": tensor
        for field in fields(call)
        if isinstance(getattr(call, field.name), dict)
        for name, tensor in getattr(call, field.name).items()
        if tensor.requires_grad
    }
    loss = sum(
        (torch.cos(torch.arange(v.numel())).view_as(v) * v).sum()
        for name, v in values.items()
        if of is None or name in of
    )
    found = [None] * len(asked)
    if loss.requires_grad:
        found = torch.autograd.grad(loss, list(asked.values()), allow_unused=True)
    for (name, tensor), gradient in zip(asked.items(), found, strict=True):
        values[name] = torch.zeros_like(tensor) if gradient is None else gradient
    return values | {"count": result.count}


def assert_same(found, expected, tolerance=1e-12):
    assert list(found) == list(expected)
    for name, wanted in expected.items():
        value = wanted.detach()
        bound = tolerance * max(float(value.abs().max()) if value.numel() else 0.0, 1.0)
        close(
            found[name].detach(), value, rtol=0, atol=bound, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.parametrize("every", [1, 4, 10, "auto"])
@pytest.mark.parametrize("exists", ACTIVE)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_segments_change_no_number(backend, reverse, exists, every, monkeypatch):
    monkeypatch.setattr("cellwright.nn.segments.SHORTEST", 2)
    graph, call = draw_everything()
    kernel = BACKENDS[backend].build(graph, SIZES)
    call = replace(call, active=ACTIVE[exists], reverse=reverse, record=("f", "r", "c"))
    expected = outcome(kernel, graph, call, None)
    assert float(expected["gradient of below c"].abs().max()) > 0 or exists == "nothing"
    assert_same(outcome(kernel, graph, call, every), expected)


@pytest.mark.parametrize("of", ["output", "after c", "signal f"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_may_depend_on_some_results_only(backend, of):
    graph, call = draw_everything()
    kernel = BACKENDS[backend].build(graph, SIZES)
    call = replace(call, record=("f",))
    expected = outcome(kernel, graph, call, None, of)
    assert_same(outcome(kernel, graph, call, 3, of), expected)


@pytest.mark.parametrize("field", ["inputs", "states", "weights", "below"])
def test_gradients_are_given_to_those_who_want_one(field):
    graph, call = draw_everything()
    kernel = BACKENDS["reference"].build(graph, SIZES)
    alone = {
        other: {name: tensor.detach() for name, tensor in getattr(call, other).items()}
        for other in ("inputs", "states", "weights", "below")
        if other != field
    }
    call = replace(call, **alone)
    expected = outcome(kernel, graph, call, None)
    assert any(name.startswith(f"gradient of {field}") for name in expected)
    assert_same(outcome(kernel, graph, call, 3), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_may_come_in_blocks(backend):
    graph = lower(cw.cell(state="h")(two_matrices).graph)
    kernel = BACKENDS[backend].build(graph, {"input": 4, "hidden": 4})
    blocks = [torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (4, 8)]
    weights = Weights({("c_x",): blocks[0], ("a_h", "b_h"): blocks[1]})
    x, h = torch.randn(9, 2, 4, dtype=torch.float64), torch.ones(2, 4, dtype=torch.float64)
    found = []
    for every in (None, 2):
        result = run_in_segments(kernel, graph, Call({"x": x}, {"h": h}, weights), every)
        found.append(torch.autograd.grad(result.output.square().sum(), blocks))
    close(found[1], found[0], rtol=0, atol=1e-12)


def two_matrices(x, h):
    """Two matrices of one state, a third of the input."""
    a, b = cw.affine("a", h, bias=None), cw.affine("b", h, bias=None)
    h = cw.affine("c", x, bias=None) + cw.sigmoid(a) * cw.tanh(b)
    return h


def networks(*arguments, every=3, **options):
    """Two networks with the same weights: without segments, and with."""
    options = {"dtype": torch.float64, "initialization": "torch"} | options
    plain = cw.Recurrent(*arguments, **options)
    segmented = cw.Recurrent(*arguments, **options, checkpoint_every=every)
    segmented.load_state_dict(plain.state_dict())
    return plain, segmented


def trained(net, x, state=None, **options):
    """Results and gradients of a training step whose random draws are always the same."""
    torch.manual_seed(3)
    net.zero_grad()
    x = x.clone().requires_grad_()
    if state is not None:
        state = [
            {k: v.clone().requires_grad_(k != "t") for k, v in layer.items()} for layer in state
        ]
    y, after = net(x, state, **options)
    values = {"output": y} | {
        f"after {n} {k}": v for n, s in enumerate(after) for k, v in s.items()
    }
    sum(
        (torch.cos(torch.arange(v.numel())).view_as(v) * v).sum()
        for v in values.values()
        if v.requires_grad
    ).backward()
    values["gradient of x"] = x.grad
    values |= {f"gradient of {name}": p.grad for name, p in net.named_parameters()}
    if state is not None:
        values |= {
            f"gradient of {n} {k}": v.grad for n, s in enumerate(state) for k, v in s.items()
        }
    return values


@pytest.mark.parametrize("lengths", [None, [10, 0, 3, 7]])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [*typical(), "uneven_clockwork"])
def test_a_network_trains_the_same_in_segments(name, backend, bidirectional, lengths):
    cell = cw.Cell(GRAPHS[name])
    plain, segmented = networks(
        cell,
        3,
        [units_for(cell.graph, 5), 5 if name == "depth_gated_lstm" else 4],
        bidirectional=bidirectional,
        sizes=own_sizes(cell, 2),
        dropout=0.2,
        recurrent_dropout=recurrent_dropout(cell, 0.3),
        zoneout=0.1,
        learn_initial_state=True,
        backend=backend,
    )
    x = torch.randn(4, 10, 3, dtype=torch.float64)
    expected = trained(plain, x, lengths=lengths)
    assert_same(trained(segmented, x, lengths=lengths), expected)
    with torch.no_grad():
        _, state = plain(x)
    state = [
        {k: v if k == "t" else torch.randn_like(v) for k, v in layer.items()} for layer in state
    ]
    for net in (plain, segmented):
        net.requires_grad_(False)
    given = {k: v for k, v in trained(plain, x, state).items() if v is not None}
    found = {k: v for k, v in trained(segmented, x, state).items() if v is not None}
    assert f"gradient of 1 {plain.cell.states[0]}" in given
    assert_same(found, given)


@pytest.mark.parametrize("steps", [0, 1, 3, 4])
def test_sequences_of_about_one_segment_and_of_none(steps):
    plain, segmented = networks("lstm", 3, [4, 4], learn_initial_state=True)
    x = torch.randn(2, steps, 3, dtype=torch.float64)
    assert_same(trained(segmented, x), trained(plain, x))


def test_half_precision_adds_many_small_gradients_up():
    _, segmented = networks("lstm", 3, 8, every=1)
    x = torch.randn(1, 2000, 3, dtype=torch.float64)
    found = []
    for dtype in (torch.float64, torch.bfloat16):
        net = segmented.to(dtype)
        net.zero_grad()
        net(x.to(dtype))[0].sum().backward()
        found.append(net.layer0.g_bias.grad.double())
    # Each step adds about as much, and 2000 are more than eight bits can count.
    assert float((found[1] - found[0]).norm() / found[0].norm()) < 0.02


def test_autocast_is_the_same_when_a_segment_is_run_again():
    plain, segmented = networks("gru", 3, 4, dtype=torch.float32, backend="reference")
    x = torch.randn(2, 10, 3)
    found = []
    for net in (plain, segmented):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y, _ = net(x)
        y.square().sum().backward()
        found.append([p.grad for p in net.parameters()])
    # With other numbers forward than in the second run, the gradients are off by 1e-2.
    close(found[1], found[0], rtol=1e-2, atol=1e-3)


class Counting:
    """A kernel that notes how many steps it is given."""

    def __init__(self, kernel):
        self.kernel, self.steps = kernel, []

    def __call__(self, call):
        self.steps.append(len(call.inputs["x"]))
        return self.kernel(call)


def test_segments_are_run_again_only_where_a_gradient_is_wanted():
    graph, call = draw_everything()
    kernel = Counting(BACKENDS["reference"].build(graph, SIZES))
    with torch.no_grad():
        run_in_segments(kernel, graph, call, 4)
    assert kernel.steps == [11]
    kernel.steps.clear()
    result = run_in_segments(kernel, graph, call, 4)
    assert kernel.steps == [4, 4, 3]
    kernel.steps.clear()
    result.states["c"].sum().backward(retain_graph=True)
    assert kernel.steps == [3, 4, 4]
    result.states["c"].sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        result.states["c"].sum().backward()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_what_is_kept_is_the_input_the_weights_and_the_states_between(backend, batch_first):
    net = cw.Recurrent("lstm", 3, 8, checkpoint_every=10, backend=backend, batch_first=batch_first)
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = torch.randn(100, 100, 3)[:, :2] if not batch_first else torch.randn(2, 100, 3)
    x = x.contiguous()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        y, _ = net(x)
    weights = sum(p.nbytes for p in net.parameters())
    states = 2 * 2 * 8 * 4
    assert sum(kept.values()) <= x.nbytes + weights + (10 + 1) * states + 2 * 8 * (10 + 1)
    assert y.untyped_storage().nbytes() == y.nbytes
    assert y.data_ptr() not in kept


def test_input_changed_after_the_forward_run_is_noticed():
    net = cw.Recurrent("lstm", 3, 4, checkpoint_every=2)
    x = torch.randn(2, 6, 3)
    y, _ = net(x)
    x.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_gradients_are_those_of_the_whole(backend):
    plain, segmented = networks("lstm", 3, 4, backend=backend, batch_first=False)
    start = torch.randn(8, 2, 3, dtype=torch.float64)
    found = []
    for net in (plain, segmented):
        x = start.clone().requires_grad_()
        # The first state depends on the input too, by another way.
        first = [{"h": x[0, :, :1].expand(2, 4), "c": torch.ones(2, 4, dtype=x.dtype)}]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            y, _ = net(x, first)
            (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
            gradient.square().sum().backward()
        messages = [str(warning.message) for warning in said]
        assert any("as if checkpoint_every" in m for m in messages) == (net is segmented)
        assert all(issubclass(warning.category, CellwrightWarning) for warning in said)
        found.append([gradient, x.grad, *(p.grad for p in net.parameters())])
    close(found[1], found[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "sqrt"])
def test_segments_have_at_least_one_step(value):
    with pytest.raises(SettingError, match="checkpoint_every must be None, 'auto' or a positive"):
        cw.Recurrent("lstm", 3, 4, checkpoint_every=value)
    assert "checkpoint_every='auto'" in repr(cw.Recurrent("lstm", 3, 4, checkpoint_every="auto"))


def truncated(net, x, pieces, state=None):
    """Train over the pieces of a sequence, cutting the gradient between them."""
    net.zero_grad()
    outputs = []
    for piece in x.split(pieces, dim=1):
        y, state = net(piece, state)
        y.square().sum().backward()
        state = cw.detach(state)
        outputs.append(y.detach())
    return torch.cat(outputs, 1), [p.grad.clone() for p in net.parameters()]


@pytest.mark.parametrize("backend", BACKENDS)
def test_truncated_backpropagation_is_the_whole_one_with_the_gradient_cut(backend):
    net = cw.Recurrent("peephole_lstm", 3, 4, dtype=torch.float64, backend=backend)
    x = torch.randn(2, 12, 3, dtype=torch.float64)
    y, found = truncated(net, x, 5)
    whole, _ = net(x)
    close(y, whole)
    # By hand: the cell step by step, in one graph, whose states are cut where pieces meet.
    net.zero_grad()
    state, total = None, 0
    for step in range(12):
        if step in (5, 10):
            state = [{name: value.detach() for name, value in state[0].items()}]
        y, state = net(x[:, step : step + 1], state)
        total = total + y.square().sum()
    total.backward()
    close(found, [p.grad for p in net.parameters()], rtol=0, atol=1e-12)
    net.zero_grad()
    whole.square().sum().backward()
    assert not torch.allclose(found[0], next(net.parameters()).grad)


def test_states_are_detached_whatever_holds_them():
    x = torch.randn(2, 5, 3)
    for net in (cw.LSTM(3, 4, batch_first=True), cw.GRU(3, 4, batch_first=True)):
        _, state = net(x)
        again = cw.detach(state)
        close(again, state)
        assert type(again) is type(state)
        assert not any(
            t.requires_grad for t in ([again] if isinstance(again, torch.Tensor) else again)
        )
    _, state = cw.Recurrent("lstm", 3, [4, 4])(x)
    assert all(not v.requires_grad for layer in cw.detach(state) for v in layer.values())
    with pytest.raises(ArgumentError, match="detach takes the states.*not a int"):
        cw.detach([{"h": 3}])


def test_the_page_shows_what_was_measured():
    root = Path(__file__).parent.parent.parent
    page = (root / "docs" / "long-sequences.md").read_text()
    for row in json.loads((root / "benchmarks" / "memory.json").read_text()):
        plain, auto = row["None"], row["auto"]
        memory = f"{plain['output MiB']:.1f} | {plain['MiB']:.1f} | {auto['MiB']:.1f}"
        seconds = f"{plain['seconds']:.2f} | {auto['seconds']:.2f}"
        assert f"| {row['steps']:,} | {memory} | {seconds} |" in page


MILLION = """
import json, sys, time
import torch, cellwright as cw

def status(name):
    line = next(l for l in open("/proc/self/status") if l.startswith(name))
    return int(line.split()[1]) / 1024

features = int(sys.argv[1])
net = cw.Recurrent("lstm", features, 128, checkpoint_every="auto")
head = torch.nn.Linear(128, 1)
base = status("VmRSS")
x, target = torch.randn(1, 1_000_000, features), torch.randn(1, 1_000_000, 1)
begin = time.perf_counter()
y, _ = net(x)
loss = y.sum() if sys.argv[2] == "sum" else (head(y) - target).square().mean()
loss.backward()
seconds = time.perf_counter() - begin
norm = sum(float(p.grad.square().sum()) for p in net.parameters())
print(json.dumps({"MiB": status("VmHWM") - base, "seconds": seconds, "norm": norm}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read as on Linux")
@pytest.mark.parametrize(("features", "loss"), [(1, "sum"), (8, "dense")])
def test_a_million_steps_train_in_less_than_two_gibibytes(features, loss):
    # Dense: the gradient of the output is a tensor of its own, half a gigabyte like the output.
    run = [sys.executable, "-c", MILLION, str(features), loss]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    print(found)
    assert found["norm"] > 0
    assert found["MiB"] < 2048
