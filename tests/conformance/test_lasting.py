"""Products with a state that rests, which last from step to step, against the reference.

They do where blocks are whole panels, rows many and not shared out by units: none of the sizes of
the great grid is such.
"""

import random

import pytest
import torch
from comparing import (
    by_backend,
    check,
    lengths_to_active,
    random_call,
    scheduled,
)

import cellwright as cw
from cellwright.pipeline import lower
from cellwright.plan import plan

PANEL = 32  # columns of the widest one


@cw.cell(state=("c", "h"))
def clockwork_lstm(x, c, h, t):
    """Several matrices meet the state, which others look at, too, and which nobody sees."""
    ticks = t % cw.per_unit([1, 3, 6], even=True) == 0
    i = cw.sigmoid(cw.affine("i", x) + cw.affine("i", h, bias=None, mask=("block_upper", 3)))
    g = cw.tanh(cw.affine("g", x) + cw.affine("g", h, bias=None, mask=("block_upper", 3)))
    o = cw.sigmoid(cw.affine("o", x, h) + cw.scale("o", h))
    c = cw.where(ticks, 0.5 * c + i * g, c)
    h = cw.where(ticks, o * cw.tanh(c), h)
    return c, h


def clockwork(*periods):
    return lower(cw.cells.get("clockwork")(periods=periods).graph)


GRAPHS = {
    "doubling": clockwork(1, 2, 4, 8),
    "no multiples": clockwork(2, 3),
    "seldom": clockwork(3, 12, 5000),
    "lstm": lower(clockwork_lstm.graph),
}


def sizes_of(graph, panels=1):
    blocks = next(len(leaf.attributes["values"]) for leaf in graph.leaves("per_unit"))
    return {"input": 5, "hidden": blocks * panels * PANEL}


def call_of(graph, sizes, *, steps=21, batch=9, lengths=None, **more):
    active = None if lengths is None else lengths_to_active(lengths, steps)
    return random_call(graph, sizes, steps=steps, batch=batch, active=active, **more)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_planner_sees_them(name):
    planned = plan(GRAPHS[name], training=True)
    for program in (plan(GRAPHS[name]).forward, planned.forward, planned.backward):
        assert len(program.lasting.parts) == (2 if name == "lstm" else 1)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_it_equals_the_reference(name, reverse, threads, chunk, backend):
    graph = GRAPHS[name]
    sizes = sizes_of(graph, 1 + threads % 2)
    drawn = torch.Generator().manual_seed(chunk)
    with scheduled(threads=threads, chunk=chunk):
        for lengths in (None, torch.randint(0, 22, (9,), generator=drawn).tolist()):
            check(backend, graph, sizes, call_of(graph, sizes, lengths=lengths, reverse=reverse))


@cw.cell(state="h")
def by_two_clocks(x, h, t):
    """A sum is looked at by another clock than that of the state."""
    a = cw.affine("a", x) + cw.affine("b", h, bias=None, mask=("block_upper", 2))
    n = cw.where(t % cw.per_unit([2, 3], even=True) == 0, cw.tanh(a), 0.5)
    h = cw.where(t % cw.per_unit([1, 2], even=True) == 0, n, h)
    return h


@pytest.mark.parametrize("name", ["doubling", "by_two_clocks"])
def test_sums_that_somebody_else_looks_at(name, backend):
    graph = GRAPHS.get(name) or lower(by_two_clocks.graph)
    sizes = sizes_of(graph)
    with scheduled(threads=2):
        check(backend, graph, sizes, call_of(graph, sizes))
        check(backend, graph, sizes, call_of(graph, sizes, record=("n",)))


def drawn_cell(drawn):
    """A cell whose state rests, in company that is drawn."""
    blocks = drawn.choice([2, 3])
    own, other = (sorted(drawn.sample(range(1, 7), blocks)) for _ in range(2))
    twice, behind, chosen, read, output = (drawn.random() < 0.5 for _ in range(5))

    def met(name, value):
        return cw.affine(name, value, bias=None, mask=("block_upper", blocks))

    def cell(x, h, k, t):
        """Drawn."""
        ticks = t % cw.per_unit(own, even=True) == 0
        a = cw.affine("a", x) + met("b", h)
        if twice:
            a = a + met("c", h) * cw.sigmoid(met("d", h)) + met("e", h * k)
        n = cw.tanh(a)
        if chosen:
            n = cw.where(t % cw.per_unit(other, even=True) == 0, n, cw.tanh(h))
        h = cw.where(ticks, n, h)
        k = cw.tanh(cw.affine("f", k) + (cw.affine("g", h) if behind else h) + (a if read else 0))
        return (k, h) if output else (h, k)

    def turned(x, k, h, t):
        """Drawn, and the other state is the output."""
        return cell(x, h, k, t)

    names = ("k", "h") if output else ("h", "k")
    return lower(cw.cell(state=names)(turned if output else cell).graph), blocks


@pytest.mark.parametrize("seed", range(8))
def test_in_any_company(seed, backend):
    drawn = random.Random(seed)
    graph, blocks = drawn_cell(drawn)
    batch, threads = drawn.choice([8, 17]), drawn.choice([1, 2, 3])
    lengths = [drawn.randint(0, 21) for _ in range(batch)] if drawn.random() < 0.5 else None
    record = tuple(drawn.sample(sorted(graph.observable), drawn.randint(0, 2)))
    sizes = {"input": 5, "hidden": blocks * PANEL}
    call = call_of(graph, sizes, batch=batch, lengths=lengths, record=record)
    with scheduled(threads=threads, chunk=drawn.choice([0, 5])):
        check(backend, graph, sizes, call)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_gap_a_long_batch_and_single_precision(name, backend):
    graph, sizes = GRAPHS[name], sizes_of(GRAPHS[name], 2)
    active = torch.rand(40, 67, generator=torch.Generator().manual_seed(0)) < 0.6
    with scheduled(threads=2):
        check(backend, graph, sizes, random_call(graph, sizes, steps=40, batch=67, active=active))
        call = call_of(graph, sizes, steps=150, batch=8, dtype=torch.float32)
        check(backend, graph, sizes, call)
        # More rows than gradients of matrices are summed over at once.
        check(backend, graph, sizes, call_of(graph, sizes, steps=3, batch=1200))


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("first", [[5], [0, 3, 1, 7, 8, 2, 2, 4, 6]])
def test_rows_that_have_steps_behind_them(name, first, backend):
    graph, sizes = GRAPHS[name], sizes_of(GRAPHS[name])
    start = torch.tensor(first, dtype=torch.int64).expand(9).reshape(9, 1)
    with scheduled(threads=2):
        check(backend, graph, sizes, call_of(graph, sizes, start=start.contiguous()))


@pytest.mark.parametrize("name", GRAPHS)
def test_sums_that_last_are_to_the_bit_what_they_would_be_anew(name, backend):
    graph, sizes = GRAPHS[name], sizes_of(GRAPHS[name])
    call = call_of(graph, sizes)
    call.inputs["x"][3, 2, 0] = float("nan")
    call.inputs["x"][0, 4, 1] = float("inf")
    found = []
    for chunk in (1, 5, 0):  # in the first, every sum is one of a first step
        with scheduled(threads=2, chunk=chunk):
            found.append(by_backend(backend, graph, sizes, call)["output"])
    for other in found[1:]:
        assert torch.equal(other.nan_to_num(7.0), found[0].nan_to_num(7.0))


def test_a_stream_and_a_network_say_the_same(backend):
    torch.manual_seed(0)
    net = cw.Recurrent("clockwork", 5, 4 * PANEL, batch_first=False, backend=backend)
    x = torch.randn(30, 9, 5)
    stream = net.stream(9)
    with torch.inference_mode():
        expected, _ = net(x)
        found = torch.stack([stream.step(step).clone() for step in x])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_only_what_may_last_does():
    def lasting(cell):
        planned = plan(lower(cw.cell(state="h")(cell).graph), training=True)
        return [bool(p.lasting) for p in (planned.forward, planned.backward)]

    def block(name, value):
        return cw.affine(name, value, bias=None, mask=("block_upper", 2))

    def rests(x, h, t):
        """What is needed and no more."""
        ticks = t % cw.per_unit([1, 2], even=True) == 0
        h = cw.where(ticks, cw.tanh(cw.affine("a", x) + block("b", h)), h)
        return h

    def other_way_round(x, h, t):
        """The state changes where the clock does not tick."""
        ticks = t % cw.per_unit([1, 2], even=True) == 0
        h = cw.where(ticks, h, cw.tanh(cw.affine("a", x) + block("b", h)))
        return h

    def decays(x, h, t):
        """The state does not stay as it is."""
        ticks = t % cw.per_unit([1, 2], even=True) == 0
        h = cw.where(ticks, cw.tanh(cw.affine("a", x) + block("b", h)), 0.5 * h)
        return h

    def full(x, h, t):
        """Every unit meets every other one."""
        ticks = t % cw.per_unit([1, 2], even=True) == 0
        h = cw.where(ticks, cw.tanh(cw.affine("a", x, h)), h)
        return h

    def slow_ones_first(x, h, t):
        """A block meets those before it, not those behind it."""
        ticks = t % cw.per_unit([2, 1], even=True) == 0
        met = cw.affine("b", h, bias=None, mask=("block_lower", 2))
        h = cw.where(ticks, cw.tanh(cw.affine("a", x) + met), h)
        return h

    def told_by_the_input(x, h):
        """What ticks does not follow from the step."""
        ticks = cw.affine("k", x) > 0
        h = cw.where(ticks, cw.tanh(cw.affine("a", x) + block("b", h)), h)
        return h

    assert lasting(rests) == [True, True]
    for cell in (other_way_round, decays, full, slow_ones_first, told_by_the_input):
        assert lasting(cell) == [False, False], cell.__name__
