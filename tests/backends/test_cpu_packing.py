"""Ragged batches as the kernels have them: every step that exists once, longest rows first."""

import pytest
import torch

from cellwright.backends.cpu.library import RaggedFunctions, _runner
from cellwright.backends.cpu.packing import Packing, active_of


def batches():
    chance = torch.Generator().manual_seed(0)
    for steps, batch in [(1, 1), (1, 7), (6, 1), (5, 3), (17, 40), (100, 64)]:
        lengths = torch.randint(0, steps + 1, (batch,), generator=chance)
        yield torch.arange(steps).unsqueeze(1) < lengths  # padded at the end
        yield torch.rand(steps, batch, generator=chance) < 0.6  # with gaps
        yield (torch.rand(batch, steps, generator=chance) < 0.6).T  # not contiguous
        yield torch.ones(steps, batch, dtype=torch.bool)
        yield torch.zeros(steps, batch, dtype=torch.bool)
    yield torch.zeros(4, 0, dtype=torch.bool)


ACTIVE = list(batches())
IDS = [f"{len(a)}x{a.shape[1]}-{n}" for n, a in enumerate(ACTIVE)]


def functions(dtype=torch.float32):
    return RaggedFunctions(_runner(dtype, False))


def expected(active, reverse):
    """Step and row of each packed row, one by one."""
    steps, batch = active.shape
    order = sorted(range(batch), key=lambda row: -int(active[:, row].sum()))
    inside = reversed if reverse else list
    own = [[t for t in inside(range(steps)) if active[t, row]] for row in order]
    longest = max(map(len, own), default=0)
    return order, [
        (own[n][k], row) for k in range(longest) for n, row in enumerate(order) if k < len(own[n])
    ]


@pytest.mark.parametrize("active", ACTIVE, ids=IDS)
@pytest.mark.parametrize("reverse", [False, True])
def test_steps_stand_in_the_order_in_which_they_are_read(active, reverse):
    packing = Packing.of(active, reverse, functions())
    order, pairs = expected(active, reverse)
    batch = active.shape[1]
    assert packing.order.tolist() == order
    assert packing.lengths.tolist() == [int(active[:, row].sum()) for row in order]
    assert packing.there == len(pairs)
    flat = [step * batch + row for step, row in pairs]
    assert packing.places[: packing.there].tolist() == flat
    assert sorted(packing.places.tolist()) == list(range(active.numel()))
    assert not active.flatten()[packing.places[packing.there :]].any()
    if batch:
        assert torch.equal(active_of(*packing.tensors), active)


@pytest.mark.parametrize("active", ACTIVE, ids=IDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_rows_go_there_and_come_back(active, dtype, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        packing = Packing.of(active, True, functions(dtype))
        padded = [torch.randn(*active.shape, units, dtype=dtype) for units in (1, 13)]
        first, none, second = packing.pack([padded[0], None, padded[1]])
        assert none is None
        there = packing.places[: packing.there]
        for values, packed in zip(padded, (first, second), strict=True):
            assert torch.equal(packed[: packing.there], values.flatten(0, 1)[there])
        back = packing.unpack([second, None, first], len(active))
        assert back[1] is None
        for values, found in zip(padded[::-1], back[::2], strict=True):
            assert torch.equal(found, values * active.unsqueeze(2))
    finally:
        torch.set_num_threads(before)


def test_what_is_not_there_is_zero_whatever_memory_held():
    active = torch.arange(50).unsqueeze(1) < torch.tensor([50, 3, 0, 20] * 40)
    packing = Packing.of(active, False, functions())
    for _ in range(3):  # room for these is used again
        (packed,) = packing.pack([torch.full((50, 160, 40), float("nan"))])
        packed[:] = 1
        (found,) = packing.unpack([packed], 50)
        assert torch.equal(found, active.unsqueeze(2).expand_as(found).float())
        found.fill_(float("nan"))
