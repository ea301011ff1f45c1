"""Random cells, compiled: values and every gradient are the reference's.

Some are what an author might write, some whatever the rules of a cell allow. Each costs a
compilation, so a handful is drawn, the same every time; the slow set draws many more.
"""

import random
from dataclasses import replace

import pytest
import torch
from comparing import (
    assert_determined,
    assert_same,
    by_backend,
    by_reference,
    lengths_to_active,
    random_call,
    scheduled,
    sensitivity,
)
from hypothesis import HealthCheck, Phase, given, settings
from random_graphs import SIZES, graphs, wild_graphs
from tame_graphs import tame_graph

import cellwright as cw
from cellwright.backends import BACKENDS
from cellwright.settings import settings as read_settings

STEPS, BATCH = 5, 4
SCHEDULES = ({}, {"hoist": True}, {"threads": 2, "chunk": 3})
SCHEDULES += ({"threads": 2, "share_units": True, "hoist": True, "chunk": 2},)
# The same cells every time, so that they are compiled once; a smaller cell that fails would cost
# compilations too.
DRAWN = {
    "derandomize": True,
    "database": None,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


@pytest.fixture(scope="module", autouse=True)
def _compiler():
    """Kernels that are run a few times only need not be fast, but be there soon."""
    cpu, elman = torch.device("cpu"), cw.cells.elman.graph
    answer = BACKENDS["cpu"].answer(elman, cpu, torch.float64)
    if not answer.possible:
        pytest.skip(answer.reason)
    with pytest.MonkeyPatch.context() as patch:
        flags = f"{read_settings().cxxflags} -O1"
        patch.setenv("CELLWRIGHT_CXXFLAGS", flags)
        read_settings.cache_clear()
        yield
    read_settings.cache_clear()


def compare(graph):
    drawn = random.Random(len(graph.nodes))
    record = set(drawn.sample(sorted(graph.observable), drawn.randint(0, 4)))
    call = random_call(
        graph,
        SIZES,
        steps=STEPS,
        batch=BATCH,
        active=drawn.choice([None, lengths_to_active([5, 0, 3, 4], STEPS)]),
        reverse=drawn.random() < 0.5,
        # All states are recorded, so that something flows back from every step. Where nothing
        # does, torch knows it and we carry zeros, and a zero at an infinite slope is NaN.
        record=(*graph.state_sizes, *sorted(record - set(graph.state_sizes))),
    )
    exact, spread = sensitivity(graph, SIZES, call)
    if any(float(v.abs().nan_to_num(0, 0, 0).max()) > 1e100 for v in exact.values() if v.numel()):
        return  # sums overflow in one order and not in another
    for choices in SCHEDULES:
        with scheduled(**choices):
            found = by_backend("cpu", graph, SIZES, call)
        assert_determined(found, exact, spread, choices)


@settings(max_examples=5, **DRAWN)
@given(graphs())
def test_random_cells(graph):
    compare(graph)


@settings(max_examples=6, **DRAWN)
@given(wild_graphs())
def test_wild_cells(graph):
    compare(graph)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=30, **DRAWN)
@given(graphs())
def test_many_random_cells(graph):
    compare(graph)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=60, **DRAWN)
@given(wild_graphs())
def test_many_wild_cells(graph):
    compare(graph)


# Of units on both sides of whole vectors and panels; few for a row, or many.
UNITS = (3, 16, 17, 33, 70, 130)


def compare_closely(seed):
    """Hold a well-determined cell against the reference to nearly the last digit."""
    graph, drawn = tame_graph(seed)
    sizes = {name: drawn.choice(UNITS) for name in ("input", "hidden", "other")}
    steps, batch = drawn.choice([1, 2, 5, 20]), drawn.choice([1, 4, 9, 20])
    lengths = [drawn.randint(0, steps) for _ in range(batch)]
    record = drawn.sample(sorted(graph.observable), drawn.randint(0, 4))
    call = random_call(
        graph,
        sizes,
        steps=steps,
        batch=batch,
        active=drawn.choice([None, lengths_to_active(lengths, steps)]),
        start=drawn.choice([None, None, torch.tensor([[n % 3] for n in range(batch)])]),
        reverse=drawn.random() < 0.5,
        record=tuple(record),
    )
    if drawn.random() < 0.3:
        call = replace(call, draws={})
    expected = by_reference(graph, sizes, call)
    for choices in SCHEDULES:
        with scheduled(**choices):
            found = by_backend("cpu", graph, sizes, call)
        assert_same(found, expected, 1e-10, (sizes, choices, record))


@pytest.mark.parametrize("seed", range(8))
def test_tame_cells(seed):
    compare_closely(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 200))
def test_many_tame_cells(seed):
    compare_closely(seed)
