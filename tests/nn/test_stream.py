"""Streams: one step at a time, the numbers of the whole sequence."""

import copy
import gc
import pickle
import threading
import tracemalloc
import weakref
from pathlib import Path

import pytest
import torch
from odd_cells import GRAPHS
from some_cells import own_sizes, typical, units_for

import cellwright as cw
from cellwright.errors import SettingError, ShapeError
from cellwright.ir import Graph, node, verify_cell

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


@cw.cell(state=("h", "c"), inputs={"gap": 1, "wide": "hidden"})
def everything(x, h, c, t, gap, wide, c_below):
    """A mask, a clock, a table, extra inputs, the layer below, chance and a reduction."""
    slow = t % cw.per_unit([1, 2, 3]) < 1
    keep = cw.bernoulli("keep", 0.9)
    a = cw.layer_norm("a", cw.affine("a", x, keep * h, bias=None, mask=("block_lower", 3)))
    c = cw.where(slow, cw.exp(-gap * gap) * c + cw.tanh(a) * wide, c) + 0.5 * c_below
    h = cw.tanh(c) + cw.scale("skip", h)
    return h, c


@cw.cell(state=("y", "h"))
def jordan(x, y, h):
    """What is fed back is smaller than the layer."""
    h = cw.tanh(cw.affine("h", x, y))
    y = cw.sigmoid(cw.affine("y", h, size="proj"))
    return y, h


@cw.cell(state=("h", "a", "b"))
def alike(x, h, a, b, a_below):
    """Three states that start apart and become the same value, two by two."""
    n = cw.tanh(cw.affine("n", x, a) + h - 0.5 * b + a_below)
    return n, n, a


@cw.cell(state="h")
def weightless(x, h):
    """Nothing to learn."""
    h = 0.5 * h + cw.sum_units(x)
    return h


@cw.cell(state="h")
def blind(x, h):
    """It does not look at its input."""
    h = cw.tanh(cw.scale("h", h) + 1)
    return h


def in_steps(net, x, state=None, **inputs):
    """What a stream says to each step of a sequence, laid out like `x`, and its last state."""
    axis = 1 if net.batch_first else 0
    stream = net.stream(x.shape[1 - axis])
    if state is not None:
        stream.state = state
    outputs = []
    for step in range(x.shape[axis]):
        given = {name: value.select(axis, step) for name, value in inputs.items()}
        outputs.append(stream.step(x.select(axis, step), **given).clone())
    return torch.stack(outputs, axis), stream.state


def assert_same_as_whole(net, x, state=None, tolerance=2e-6, **inputs):
    net.eval()
    with torch.no_grad():
        expected = net(x, state, **inputs)
    for found in (in_steps(net, x, state, **inputs), in_chunks(net, x, state, **inputs)):
        close(found, expected, rtol=tolerance, atol=tolerance)


def in_chunks(net, x, state=None, **inputs):
    axis = 1 if net.batch_first else 0
    stream = net.stream(x.shape[1 - axis])
    stream.reset(state)
    sizes, parts = [3, 0, 1], []
    sizes.append(x.shape[axis] - sum(sizes))
    cut = {name: value.split(sizes, axis) for name, value in inputs.items()}
    for number, part in enumerate(x.split(sizes, axis)):
        given = {name: values[number] for name, values in cut.items()}
        parts.append(stream.steps(part, **given))
    return torch.cat(parts, axis), stream.state


# -- the same numbers --

DROP_INS = [
    (cw.LSTM, {}),
    (cw.LSTM, {"num_layers": 3, "batch_first": True}),
    (cw.LSTM, {"num_layers": 2, "proj_size": 3}),
    (cw.LSTM, {"bias": False, "batch_first": True}),
    (cw.GRU, {"num_layers": 2, "batch_first": True}),
    (cw.GRU, {"bias": False}),
    (cw.RNN, {"num_layers": 2}),
    (cw.RNN, {"nonlinearity": "relu", "bias": False, "batch_first": True}),
]


@pytest.mark.parametrize(("module", "options"), DROP_INS)
def test_drop_ins(module, options):
    net = module(5, 17, **options)
    x = torch.randn(3, 3 + 8, 5) if net.batch_first else torch.randn(11, 3, 5)
    assert_same_as_whole(net, x)
    _, state = net(x)
    assert_same_as_whole(net, x, state)


@pytest.mark.parametrize("name", [*typical(), "uneven_clockwork"])
def test_every_cell_of_the_zoo_in_layers_of_odd_sizes(name):
    cell = cw.Cell(GRAPHS[name])
    units = [17, 4 if name == "uneven_clockwork" else 1, 33]
    if any(leaf.op == "below" for leaf in GRAPHS[name].nodes):
        units = [17, 17, 17]  # as it reads a state of the layer below, unit by unit
    units = [units_for(cell.graph, number) for number in units]
    net = cw.Recurrent(cell, 5, units, sizes=own_sizes(cell, [3, 17, 2]))
    x = torch.randn(2, 11, 5)
    assert_same_as_whole(net, x)
    _, state = net(x)
    assert_same_as_whole(net, x, state)


@pytest.mark.parametrize(
    ("backend", "dtype", "tolerance"),
    [
        ("auto", torch.float32, 2e-6),
        ("auto", torch.float64, 1e-14),
        ("auto", torch.bfloat16, 1e-1),
        ("reference", torch.float32, 1e-6),
        ("reference", torch.bfloat16, 1e-1),
    ],
)
def test_everything_that_a_cell_may_ask_for(backend, dtype, tolerance):
    net = cw.Recurrent(
        everything, 5, [7, 7], dtype=dtype, backend=backend, zoneout=0.3, recurrent_dropout=0.2
    )
    x, gap = torch.randn(3, 11, 5, dtype=dtype), torch.rand(3, 11, 1, dtype=dtype)
    wide = torch.randn(3, 11, 7, dtype=dtype)
    assert_same_as_whole(net, x, tolerance=tolerance, gap=gap, wide=wide)
    state = [
        {"h": torch.randn(3, 7).to(dtype), "c": torch.randn(3, 7).to(dtype), "t": t}
        for t in (torch.tensor([[0], [5], [4]]), torch.tensor([[1], [0], [2**40]]))
    ]
    if (backend, dtype) != ("auto", torch.float64):
        state[1]["t"][2] = 7
    assert_same_as_whole(net, x, state, tolerance=tolerance, gap=gap, wide=wide)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("cell", [jordan, alike, weightless, blind])
def test_cells_of_unusual_shape(cell, backend):
    sizes = {"proj": [3, 2]} if cell is jordan else None
    net = cw.Recurrent(cell, 5, [6, 6], sizes=sizes, backend=backend)
    x = torch.randn(2, 11, 5)
    assert_same_as_whole(net, x)
    _, state = net(x)
    state = [{name: torch.randn_like(value) for name, value in layer.items()} for layer in state]
    assert_same_as_whole(net, x, state)
    assert_same_as_whole(net, x[:, :5], state)


@pytest.mark.parametrize(
    "name", ["delayed", "embedded", "normed_lstm", "min_lstm", "uneven_clockwork", "tied"]
)
def test_cells_that_a_compiler_can_get_wrong(name):
    net = cw.Recurrent(cw.Cell(GRAPHS[name]), 5, [17, 6], dtype=torch.float64)
    x = torch.randn(2, 11, 5, dtype=torch.float64)
    assert_same_as_whole(net, x, tolerance=1e-13)
    _, state = net(x)
    state = [
        {k: v if k == "t" else torch.randn_like(v) for k, v in layer.items()} for layer in state
    ]
    assert_same_as_whole(net, x, state, tolerance=1e-13)


def test_a_state_that_is_one_number_a_row():
    h, g = node("state", name="h", size="hidden"), node("state", name="g", size=1)
    x = node("input", name="x", size="input")
    matrix = node("matrix", name="w", size="hidden", columns="input", mask=None)
    total = node("add", node("add", node("matmul", matrix, x), g), h)
    new = node("tanh", total)
    graph = verify_cell(Graph("summed", (x,), (h, g), (new, node("sum", new)), (("n", new),)))
    net = cw.Recurrent(cw.Cell(graph), 3, [5, 4])
    x = torch.randn(2, 9, 3)
    assert_same_as_whole(net, x)
    _, state = net(x)
    assert_same_as_whole(net, x, state)


def test_learned_first_states_are_those_of_the_moment_of_opening():
    net = cw.Recurrent("lstm", 3, [4, 5], learn_initial_state=True)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if "initial" in name:
                weight.normal_()
    x = torch.randn(2, 9, 3)
    assert_same_as_whole(net, x)
    stream, (y, state) = net.stream(2), net(x)
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(2)
    for _ in range(2):
        close(stream.steps(x), y)
        close(stream.state, state)
        stream.reset()


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("make", [cw.GRU, cw.LSTM, cw.Recurrent])
def test_weights_are_those_of_the_moment_of_opening(make, backend):
    net = make("peephole_lstm", 3, 4) if make is cw.Recurrent else make(3, 4, batch_first=True)
    net.backend = backend
    x = torch.randn(2, 9, 3)
    y, _ = net(x)
    stream = net.stream(2)
    for weight in net.parameters():
        weight.data.fill_(torch.nan)
    close(stream.steps(x), y)
    net.double()
    stream.reset()
    close(stream.steps(x), y)


def test_a_stream_evaluates_also_where_its_net_trains():
    net = cw.Recurrent(everything, 5, [7, 7], dropout=0.5, zoneout=0.5, recurrent_dropout=0.5)
    x, gap, wide = torch.randn(2, 8, 5), torch.rand(2, 8, 1), torch.randn(2, 8, 7)
    net.train()
    found, _ = in_steps(net, x, gap=gap, wide=wide)
    expected, _ = net.eval()(x, gap=gap, wide=wide)
    close(found, expected)
    assert not found.requires_grad


def test_time_first():
    net = cw.Recurrent("gru", 3, [4, 5], batch_first=False)
    assert_same_as_whole(net, torch.randn(9, 2, 3))


# -- states in and out --


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_a_state_goes_from_net_to_stream_to_stream_and_back(backend):
    net = cw.Recurrent(everything, 5, [7, 7], backend=backend).eval()
    inputs = {"x": torch.randn(2, 12, 5), "gap": torch.rand(2, 12, 1), "wide": torch.ones(2, 12, 7)}
    first, second, third, fourth = (
        {name: value[:, at : at + 3] for name, value in inputs.items()} for at in (0, 3, 6, 9)
    )
    whole, last = net(**inputs)
    _, state = net(**first)
    one, other = net.stream(2), net.stream(2)
    one.state = state
    close(one.steps(**second), whole[:, 3:6])
    other.state = one.state
    close(other.steps(**third), whole[:, 6:9])
    assert other.state[0]["t"].tolist() == [[9], [9]]
    y, state = net(**fourth, state=other.state)
    close(y, whole[:, 9:])
    close(state, last)


def test_a_state_is_a_copy_in_both_directions():
    net = cw.LSTM(3, 4, batch_first=True)
    x = torch.randn(2, 8, 3)
    stream = net.stream(2)
    stream.steps(x[:, :4])
    h, c = stream.state
    kept = h.clone(), c.clone()
    rest = stream.steps(x[:, 4:])
    close((h, c), kept)
    stream.state = (h, c)
    h.zero_(), c.zero_()
    close(stream.steps(x[:, 4:]), rest)


def test_reset_starts_anew():
    net = cw.Recurrent("lstm", 3, [4, 5])
    x = torch.randn(2, 7, 3)
    stream = net.stream(2)
    once = stream.steps(x)
    stream.step(x[:, 0])
    stream.reset()
    assert torch.equal(stream.steps(x), once)
    zeros = [{name: torch.zeros_like(v) for name, v in layer.items()} for layer in stream.state]
    stream.reset(zeros)
    assert torch.equal(stream.steps(x), once)


def test_states_that_do_not_fit_are_named():
    stream = cw.Recurrent("lstm", 3, [4, 5]).stream(2)
    state = stream.state
    with pytest.raises(ShapeError, match="each of the 2 layers"):
        stream.state = state[:1]
    with pytest.raises(ShapeError, match=r"state\[1\]\['c'\]: expected \(batch=2, units=5\)"):
        stream.state = [state[0], state[1] | {"c": torch.zeros(2, 4)}]
    with pytest.raises(ShapeError, match=r"state\[1\]\['c'\]: expected torch.float32 on cpu"):
        stream.state = [state[0], state[1] | {"c": torch.zeros(2, 5).double()}]
    with pytest.raises(ShapeError, match=r"expected \['c', 'h'\], got \['h'\]"):
        stream.reset([{"h": state[0]["h"]}, state[1]])
    stream = cw.GRU(3, 4).stream(2)
    with pytest.raises(RuntimeError, match="hidden size"):
        stream.state = torch.zeros(1, 3, 4)
    with pytest.raises(ShapeError, match="h: expected torch.float32 on cpu, got torch.float64"):
        stream.state = torch.zeros(1, 2, 4).double()


# -- what may be given --


def test_the_output_is_one_tensor_that_the_next_step_overwrites():
    stream = cw.Recurrent("lstm", 3, 4).stream(2)
    first = stream.step(torch.randn(2, 3))
    kept = first.clone()
    second = stream.step(torch.randn(2, 3))
    assert first is second
    assert not torch.equal(first, kept)
    chunk = stream.steps(torch.randn(2, 5, 3))
    again = chunk.clone()
    stream.step(torch.randn(2, 3))
    assert torch.equal(chunk, again)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_inputs_may_lie_anyhow(backend):
    net = cw.Recurrent("lstm", 3, 4, backend=backend)
    x = torch.randn(2, 6, 3)
    y, _ = net(x)
    laid_out = [x, x.transpose(0, 1).contiguous().transpose(0, 1), x.mT.contiguous().mT]
    laid_out += [torch.stack([x, x], -1)[..., 0], x.clone().requires_grad_(), torch.nn.Parameter(x)]
    for other in laid_out:
        stream = net.stream(2)
        close(torch.stack([stream.step(other[:, t]).clone() for t in range(6)], 1), y)
        stream.reset()
        close(stream.steps(other), y)
    stream = net.stream(2)
    one = torch.randn(3)
    close(stream.step(one.expand(2, 3)), net(one.expand(2, 1, 3))[0][:, 0])


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_what_does_not_fit_is_named(backend):
    stream = cw.Recurrent("lstm", 3, 4, backend=backend).stream(2)
    x = torch.randn(2, 3)
    for wrong, message in [
        (torch.randn(2, 4), r"x: expected \(batch=2, units=3\), got \(2, 4\)"),
        (torch.randn(3), r"x: expected \(batch=2, units=3\), got \(3,\)"),
        (torch.randn(1, 3), r"got \(1, 3\)"),
        (torch.randn(2, 1, 3), r"got \(2, 1, 3\)"),
        (torch.tensor(1.0), r"got \(\)"),
        (x.double(), "x: expected torch.float32 on cpu like the weights, got torch.float64"),
        (x.long(), "got torch.int64"),
        (x.to("meta"), "got torch.float32 on meta"),
        (x.to_sparse_coo(), "x: expected a dense tensor, got one of torch.sparse_coo"),
        (x.to_mkldnn(), "x: expected a dense tensor, got one of torch._mkldnn"),
        (x.tolist(), "x: expected a tensor, got list"),
        (x.numpy(), "x: expected a tensor, got ndarray"),
        (None, "got NoneType"),
    ]:
        with pytest.raises(ShapeError, match=message):
            stream.step(wrong)
    with pytest.raises(ShapeError, match="takes no input 'gap'"):
        stream.step(x, gap=x)
    for wrong, message in [
        (x, r"x: expected \(batch=2, time, units=3\), got \(2, 3\)"),
        (torch.randn(3, 5, 3), r"expected \(batch=2, time, units=3\), got \(3, 5, 3\)"),
        (torch.randn(2, 5, 4), r"got \(2, 5, 4\)"),
        (torch.randn(2, 5, 3).double(), "got torch.float64"),
        ([[[1.0]]], "expected a tensor, got list"),
    ]:
        with pytest.raises(ShapeError, match=message):
            stream.steps(wrong)
    assert bool((stream.state[0]["h"] == 0).all())


def test_extra_inputs_that_do_not_fit_are_named():
    stream = cw.Recurrent(everything, 5, [7, 7]).stream(2)
    x, gap, wide = torch.randn(2, 5), torch.rand(2, 1), torch.randn(2, 7)
    stream.step(x, gap=gap, wide=wide)
    with pytest.raises(ShapeError, match="needs the input 'gap' at every step"):
        stream.step(x, wide=wide)
    with pytest.raises(ShapeError, match="takes no input 'gapp'. Did you mean 'gap'"):
        stream.step(x, gapp=gap, wide=wide)
    with pytest.raises(ShapeError, match=r"wide: expected \(batch=2, units=7\), got \(2, 1\)"):
        stream.step(x, gap=gap, wide=gap)
    with pytest.raises(ShapeError, match="gap: expected torch.float32"):
        stream.step(x, gap=gap.double(), wide=wide)
    with pytest.raises(ShapeError, match=r"gap: expected \(batch=2, time=4, units=1\)"):
        stream.steps(x[:, None].repeat(1, 4, 1), gap=gap, wide=wide[:, None].repeat(1, 4, 1))
    with pytest.raises(ShapeError, match=r"wide: expected \(batch=2, time=4, units=7\)"):
        stream.steps(torch.randn(2, 4, 5), gap=torch.ones(2, 4, 1), wide=torch.ones(2, 3, 7))


def test_what_cannot_be_opened_is_refused():
    with pytest.raises(SettingError, match="bidirectional network cannot be streamed"):
        cw.Recurrent("lstm", 3, 4, bidirectional=True).stream()
    with pytest.raises(SettingError, match="bidirectional network cannot be streamed"):
        cw.LSTM(3, 4, bidirectional=True).stream()
    for wrong in (0, -1, 1.5, True, None, torch.tensor(1)):
        with pytest.raises(SettingError, match="batch_size must be a positive whole number"):
            cw.Recurrent("lstm", 3, 4).stream(wrong)


def test_a_stream_is_neither_copied_nor_stored():
    stream = cw.Recurrent("lstm", 3, 4).stream()
    for action in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="open another one and give it this one's state"):
            action(stream)


# -- rows, threads, memory --


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_nan_in_a_row_stays_there(name):
    net = cw.Recurrent(name, 3, [17, 5])
    x = torch.randn(16, 6, 3)
    y, _ = net(x)
    x[5, 2, 1], x[9, 0, 0] = torch.nan, torch.inf
    found = net.stream(16).steps(x)
    others = [row for row in range(16) if row not in (5, 9)]
    assert torch.equal(found[others].isnan(), torch.zeros_like(found[others], dtype=torch.bool))
    close(found[others], y[others])
    close(found, net(x)[0], equal_nan=True)
    assert bool(found[5, 2:].isnan().any())


def test_many_streams_in_threads_are_as_one_after_the_other():
    net = cw.Recurrent("peephole_lstm", 5, [33, 17])
    x = torch.randn(64, 40, 5)
    y, state = net(x)
    streams = [net.stream() for _ in range(64)]
    found, failed = torch.zeros_like(y), []

    def work(mine):
        try:
            for step in range(40):
                for number in mine:
                    found[number, step] = streams[number].step(x[number : number + 1, step])[0]
        except Exception as error:  # a thread of its own tells nobody
            failed.append(error)

    threads = [threading.Thread(target=work, args=(range(n, 64, 8),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    close(found, y)
    close(torch.cat([s.state[1]["c"] for s in streams]), state[1]["c"])


def test_streams_are_opened_in_threads_and_dropped_in_others():
    net = cw.Recurrent("lstm", 3, 4)
    x = torch.randn(1, 5, 3)
    y, _ = net(x)
    opened, wrong = [], []

    def work():
        for _ in range(5):
            stream = net.stream()
            opened.append(stream)
            if not torch.allclose(stream.steps(x), y, atol=1e-6):
                wrong.append(stream)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(opened) == 20
    opened.clear()


def test_a_stream_survives_its_net():
    net = cw.Recurrent("peephole_lstm", 3, 4)
    x = torch.randn(1, 5, 3)
    y, _ = net(x)
    stream = net.stream()
    del net
    gc.collect()
    filler = [torch.full((4, 4), torch.nan) for _ in range(100)]
    close(stream.steps(x), y)
    stream.reset()
    close(stream.steps(x), y)
    del filler


def test_a_dropped_stream_gives_everything_back():
    net = cw.Recurrent("lstm", 16, [64, 64])
    stream = net.stream(2)
    output = weakref.ref(stream.step(torch.zeros(2, 16)))
    gone = weakref.ref(stream)
    del stream
    assert gone() is None
    assert output() is None

    def resident():
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        raise AssertionError

    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc")
    for _ in range(20):
        net.stream(2).step(torch.zeros(2, 16))
    before = resident()
    for _ in range(300):
        net.stream(2).step(torch.zeros(2, 16))
    # One kept would be 300 kB and more.
    assert resident() - before < 20_000


@pytest.mark.parametrize("extra", [False, True])
def test_nothing_is_allocated_at_a_step(extra):
    net = cw.Recurrent(everything, 5, [7, 7]) if extra else cw.Recurrent("lstm", 5, [7, 7])
    given = {"gap": torch.ones(2, 1), "wide": torch.ones(2, 7)} if extra else {}
    stream, x = net.stream(2), torch.randn(2, 5)
    place = stream.step(x, **given).data_ptr()

    def run():
        for _ in range(200):
            assert stream.step(x, **given).data_ptr() == place

    run()
    gc.collect()
    grown, peaks = [], []
    tracemalloc.start()
    try:
        run()
        for _ in range(3):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            run()
            after, peak = tracemalloc.get_traced_memory()
            grown.append(after - before)
            peaks.append(peak - before)
    finally:
        tracemalloc.stop()
    # Threads of other tests may allocate something meanwhile, a stream would each time.
    assert min(grown) < 500  # a counter or two that grew
    assert min(peaks) < 5_000  # arguments on their way, of one step at most


def test_a_long_stream_goes_on_counting():
    @cw.cell(state="h")
    def clock(x, h, t):
        h = cw.where(t % 1000 < 1, cw.sum_units(x), h)
        return h

    stream = cw.Recurrent(clock, 1, 2).stream()
    x = torch.arange(5000.0).view(1, -1, 1)
    found = stream.steps(x)
    assert found[0, :, 0].tolist() == [1000.0 * (n // 1000) for n in range(5000)]
    assert stream.state[0]["t"].item() == 5000


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_a_head_learns_from_no_output_that_was_written_over(backend, mode):
    net, head = cw.Recurrent("lstm", 3, 8, backend=backend), torch.nn.Linear(8, 1)
    x, loss = torch.randn(2, 4, 3), 0
    stream = net.stream(2)
    for step in range(4):
        with mode():
            y = stream.step(x[:, step])
        loss = loss + head(y).square().sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("connections", ["none", "residual"])
@pytest.mark.parametrize("move", ["share", "other", "none"])
def test_an_output_whose_memory_is_moved_is_left_alone(move, connections):
    net, x = cw.Recurrent("lstm", 8, 8, connections=connections), torch.randn(1, 4, 8)
    stream = net.stream(1)
    with torch.inference_mode():
        first = stream.step(x[:, 0])
    expected = first.clone()
    if move == "share":
        first.share_memory_()
    elif move == "other":
        first.data = first.data.clone()
    else:
        first.data = torch.zeros(0)
    with torch.inference_mode():
        second = stream.step(x[:, 1])
    torch.testing.assert_close(second, net(x)[0][:, 1])
    if move != "none":
        assert torch.equal(first, expected)
    assert stream.step(x[:, 2]) is second
    torch.testing.assert_close(second, net(x)[0][:, 2])


def test_a_cell_without_weights_streams_in_the_precision_of_its_module():
    @cw.cell(state="m")
    def average(x, m):
        m = 0.5 * m + 0.5 * x
        return m

    x = torch.randn(1, 4, 3, dtype=torch.float64)
    for net in (
        cw.Recurrent(average, 3, 3, dtype=torch.float64),
        cw.Recurrent(average, 3, 3).double(),
    ):
        assert net.stream().steps(x).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("start", [0, 2**12 - 4, 2**24 - 3, 2**31 - 3, 2**40 + 1])
def test_it_counts_further_than_a_float_can(start, dtype):
    @cw.cell(state="h")
    def timed(x, h, t):
        """Every way to speak of a time, and every function of one."""
        phase = cw.sin(0.001 * t) + cw.cos(t / 7)
        late = cw.where(cw.minimum(t, 9.0) < -(-t), cw.floor(t / 5) - t / 5, cw.sqrt(t))  # noqa: B002
        h = cw.where(t % 3 <= 1, cw.affine("h", x), h) + phase + late + cw.relu(t - 2) / (t + 1)
        return h

    for cell in (timed, cw.cells.clockwork(periods=(1, 3))):
        net = cw.Recurrent(cell, 3, 34, dtype=dtype)
        reference = cw.Recurrent(cell, 3, 34, dtype=dtype, backend="reference")
        reference.load_state_dict(net.state_dict())
        x = torch.randn(2, 9, 3).to(dtype)
        for offset in (0, torch.tensor([[0], [4]])):  # rows of one time, and of their own
            count = torch.full((2, 1), start) + offset
            state = [{"h": torch.zeros(2, 34, dtype=dtype), "t": count}]
            expected = reference(x, state)[0]
            stream = net.stream(2)
            stream.state = state
            close = 0.1 if dtype == torch.bfloat16 else 3e-4
            exact = {"rtol": close, "atol": close}
            torch.testing.assert_close(net(x, state)[0], expected, **exact)
            torch.testing.assert_close(stream.steps(x), expected, **exact)
            assert torch.equal(stream.state[0]["t"], count + 9)
