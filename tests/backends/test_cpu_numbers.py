"""Numbers that are none, and numbers that are the same every time."""

import ctypes
import math
import threading
import time

import pytest
import torch
from odd_cells import normed_lstm

import cellwright as cw
from cellwright.backends.cpu import arguments, library, stream
from cellwright.pipeline import compile
from cellwright.toolchain import compiler

close = torch.testing.assert_close

WHERE = {"backend": "cpu", "device": torch.device("cpu")}


def outcome(backend, x, weights, *, reverse=False, lengths=None, seed=0):
    net = cw.Recurrent("lstm", 3, 17, bidirectional=reverse, backend=backend)
    net.load_state_dict(weights)
    x = x.clone().requires_grad_()
    y, state = net(x, lengths=lengths)
    y[..., :3].sum(dim=(1, 2)).nansum().backward()
    gradients = {f"gradient of {n}": p.grad for n, p in net.named_parameters()}
    return {"y": y.detach(), "c": state[0]["c"].detach(), "gradient of x": x.grad} | gradients


def both(x, **options):
    reverse = options.get("reverse", False)
    weights = cw.Recurrent("lstm", 3, 17, bidirectional=reverse).state_dict()
    return (outcome(backend, x, weights, **options) for backend in ("cpu", "reference"))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("lengths", [None, [7, 7, 3, 5]])
def test_what_is_no_number_comes_out_as_in_the_reference(bad, lengths, reverse):
    x = torch.randn(4, 7, 3)
    x[1, 4, 0] = bad
    found, expected = both(x, lengths=lengths, reverse=reverse)
    for name, value in expected.items():
        close(found[name], value, equal_nan=True, msg=lambda m, name=name: f"{name}: {m}")
    if math.isnan(bad):
        assert bool(found["y"][1, 4:, :17].isnan().all())
        assert not bool(found["y"][1, :4, :17].isnan().any())
    others = [0, 2, 3]
    assert bool(found["y"][others].isfinite().all())
    assert bool(found["gradient of x"][others].isfinite().all())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_padding_touches_nothing_whatever_it_holds(bad):
    lengths = [5, 0, 2, 7]
    x = torch.randn(4, 7, 3)
    filled = x.clone()
    for row, length in enumerate(lengths):
        x[row, length:] = 0
        filled[row, length:] = bad
    weights = cw.Recurrent("lstm", 3, 17).state_dict()
    expected = outcome("cpu", x, weights, lengths=lengths)
    found = outcome("cpu", filled, weights, lengths=lengths)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
        assert bool(value.isfinite().all()), name


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_the_same_threads_give_the_same_bits(threads):
    x = torch.randn(32, 40, 64)
    net = cw.LSTM(64, 96, 2, batch_first=True)

    def run():
        net.zero_grad()
        y, _ = net(x)
        y.pow(2).sum().backward()
        return [y.detach(), *(p.grad.clone() for p in net.parameters())]

    first = run()
    for _ in range(5):
        for one, other in zip(run(), first, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_a_batch_beyond_all_caches_is_as_good_as_its_parts(name, ragged, threads):
    # So much is saved that it is written past the caches and fetched back from there, and one
    # thread has more rows than are multiplied with a panel at once.
    rows, steps, hidden = 260, 80, 96
    assert rows * steps * hidden * 3 * 4 * (0.5 if ragged else 1) > 8 << 20
    x = torch.randn(rows, steps, 16, requires_grad=True)
    net = cw.Recurrent(name, 16, hidden, backend="cpu")
    lengths = torch.randint(0, steps + 1, (rows,)) if ragged else torch.full((rows,), steps)

    def run(first, end):
        part = lengths[first:end] if ragged else None
        y, _ = net(x[first:end], lengths=part)
        gradients = torch.autograd.grad(y.pow(2).sum(), [x, *net.parameters()])
        return [y.detach(), gradients[0][first:end]], gradients[1:]

    (y, dx), weights = run(0, rows)
    parts = [run(first, first + 20) for first in range(0, rows, 20)]
    torch.testing.assert_close(y, torch.cat([p[0][0] for p in parts]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(dx, torch.cat([p[0][1] for p in parts]), rtol=1e-5, atol=1e-5)
    for whole, pieces in zip(weights, zip(*(p[1] for p in parts), strict=True), strict=True):
        torch.testing.assert_close(
            whole, sum(pieces), rtol=1e-4, atol=2e-5 * float(whole.abs().max())
        )


WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
PARALLEL = ctypes.CFUNCTYPE(None, WORK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


def one_alone(work, data, threads, flags):
    work(data)


def one_comes_late(work, data, threads, flags):
    def late():
        time.sleep(0.005)
        work(data)

    other = threading.Thread(target=late)
    other.start()
    work(data)
    other.join()


def one_comes_after_it(work, data, threads, flags):
    work(data)
    other = threading.Thread(target=work, args=(data,))
    other.start()
    other.join()


# Seconds after which others are tried again, although they were late.
AGAIN = 0.06


class Threads:
    """Another OpenMP, whose threads come when the given function calls them; see how often."""

    def __init__(self, parallel, threads, monkeypatch):
        self.calls = 0

        def counted(work, data, threads, flags):
            self.calls += 1
            parallel(work, data, threads, flags)

        self.functions = PARALLEL(counted), ctypes.CFUNCTYPE(ctypes.c_int)(lambda: threads)
        places = [ctypes.cast(f, ctypes.c_void_p).value for f in self.functions]
        for module in (arguments, library, stream):
            monkeypatch.setattr(module, "openmp", lambda: places)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("rows", [1, 5, 6, 13, 20])
@pytest.mark.parametrize("name", ["lstm", "gru", "normed"])
def test_who_works_on_a_call_does_not_decide_a_bit_of_it(name, rows, ragged, monkeypatch):
    # Whether both threads come, or one does everything, or the second comes so late that they
    # part for the rest of the call, or when nothing is left to do: as on a machine that others
    # use, too.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    large = rows == 20 and not ragged  # weights that no core's own cache has room for
    hidden, steps = (640, 5) if large else (40, 400 // rows)
    torch.manual_seed(0)
    cell = normed_lstm if name == "normed" else name
    net = cw.Recurrent(cell, 33, hidden, backend="cpu")
    x = torch.randn(rows, steps, 33, requires_grad=True)
    lengths = [steps * (n + 1) // rows for n in range(rows)] if ragged else None

    def run():
        time.sleep(AGAIN)
        y, _ = net(x, lengths=lengths)
        time.sleep(AGAIN)
        return [y.detach(), *torch.autograd.grad(y.pow(2).sum(), [x, *net.parameters()])]

    expected = run()
    ways = [(one_alone, 1), (one_comes_late, 2)]
    if rows >= 8:  # enough for rows of their own, without a meeting at every step
        ways.append((one_comes_after_it, 2))
    for parallel, threads in ways:
        team = Threads(parallel, threads, monkeypatch)
        for one, other in zip(run(), expected, strict=True):
            assert torch.equal(one, other), parallel.__name__
        assert team.calls >= 2  # forth and back, and not torch's own threads


@pytest.mark.parametrize("kind", ["batch", "stream"])
def test_one_thread_does_what_is_soon_done_while_others_keep_it_waiting(kind, monkeypatch):
    def late(work, data, threads, flags):
        work(data)
        time.sleep(0.02)  # what was left to do for the other has long been done
        work(data)

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    team = Threads(late, 2, monkeypatch)
    net = cw.Recurrent("lstm", 128, 256, backend="cpu")
    x = torch.randn(16, 4, 128)
    one_by_one = net.stream(1)

    @torch.inference_mode()
    def shares():
        before = team.calls
        net(x) if kind == "batch" else one_by_one.step(x[:1, 0])
        return team.calls > before

    time.sleep(AGAIN)
    first = [shares() for _ in range(60)]
    assert 1 <= sum(first) < 30
    # After a while it tries again; not every time, if somebody else keeps it from its core. The
    # other threads look out for a step only if one was just before.
    assert any(time.sleep(AGAIN) or shares() or shares() for _ in range(5))


def test_products_of_bfloat16_are_made_of_bfloat16():
    # One unit, no gate in the way: h = W x + U h. The second step multiplies a state that
    # bfloat16 cannot hold, and must round it where the processor multiplies in bfloat16.
    @cw.cell(state="h")
    def linear(x, h):
        h = cw.affine("h", x, h, bias=None)
        return h

    net = cw.Recurrent(linear, 1, 1, backend="cpu", dtype=torch.bfloat16)
    kernel = compile(net.graph, {"input": 1, "hidden": 1}, **WHERE, dtype=torch.bfloat16)
    wide = compile(net.graph, {"input": 1, "hidden": 1}, **WHERE, dtype=torch.float32)
    layout = (("h_x",), ("h_h",))
    engine = kernel.prepare(layout, (), (), torch.bfloat16)[1]
    assert engine.spec.narrow
    assert engine.dtype == torch.float32
    assert not wide.prepare(layout, (), (), torch.float32)[1].spec.narrow

    state = 1 + 2**-10  # rounds to 1 in bfloat16
    weights = [torch.ones(1, 1), torch.ones(1, 1)]
    run = engine.run([torch.zeros(1, 1, 1), torch.full((1, 1), state), *weights], None, None, False)
    found = float(engine.forward(run, False)[0][0])
    rounds = "avx512_bf16" in compiler().features
    assert found == (1.0 if rounds else state)


@cw.cell(state="h")
def share(x, h):
    """All units are divided by one number."""
    return cw.affine("a", x, bias=None) / cw.max_units(cw.affine("b", x, bias=None)) + 0 * h


@pytest.mark.parametrize(
    ("number", "divisor"),
    [(1e-40, 1e-40), (3e38, 2e38), (-3e-39, 4e-42), (2.0, -3.0), (1.0, 0.0), (0.0, 0.0)],
)
def test_units_are_divided_by_one_number_however_large_or_small(number, divisor):
    net = cw.Recurrent(share, 2, [35], backend="cpu")
    net.load_state_dict(
        {"layer0.a_x": torch.eye(2)[:1].repeat(35, 1), "layer0.b_x": torch.eye(2)[1:].repeat(35, 1)}
    )
    x = torch.tensor([[[number, divisor]]])
    found, _ = net(x)
    close(found, (x[..., :1] / x[..., 1:]).expand(1, 1, 35), equal_nan=True, rtol=1e-6, atol=0)
