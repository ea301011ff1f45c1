"""Random cells, compiled: values and every gradient are the reference's.

Some are what an author might write, some whatever the rules of a cell allow, and in some units
rest. Each costs a compilation, so a handful is drawn, the same every time; the slow set draws
many more.
"""

import random

import pytest
import torch
from comparing import (
    assert_determined,
    by_backend,
    lengths_to_active,
    random_call,
    scheduled,
    sensitivity,
)
from hypothesis import HealthCheck, Phase, given, settings
from random_graphs import CLOCKED_SIZES, SIZES, clocked_graphs, graphs, wild_graphs

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
    "deadline": None,
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


def compare(graph, sizes=SIZES):
    drawn = random.Random(len(graph.nodes))
    record = set(drawn.sample(sorted(graph.observable), drawn.randint(0, 4)))
    call = random_call(
        graph,
        sizes,
        steps=STEPS,
        batch=BATCH,
        active=drawn.choice([None, lengths_to_active([5, 0, 3, 4], STEPS)]),
        reverse=drawn.random() < 0.5,
        # All states are recorded, so that something flows back from every step. Where nothing
        # does, torch knows it and we carry zeros, and a zero at an infinite slope is NaN.
        record=(*graph.state_sizes, *sorted(record - set(graph.state_sizes))),
    )
    exact, spread = sensitivity(graph, sizes, call)
    if any(float(v.abs().nan_to_num(0, 0, 0).max()) > 1e100 for v in exact.values() if v.numel()):
        return  # sums overflow in one order and not in another
    for choices in SCHEDULES:
        with scheduled(**choices):
            found = by_backend("cpu", graph, sizes, call)
        assert_determined(found, exact, spread, choices)


@settings(max_examples=5, **DRAWN)
@given(graphs())
def test_random_cells(graph):
    compare(graph)


@settings(max_examples=6, **DRAWN)
@given(wild_graphs())
def test_wild_cells(graph):
    compare(graph)


@settings(max_examples=4, **DRAWN)
@given(clocked_graphs())
def test_cells_with_clocks(graph):
    compare(graph, CLOCKED_SIZES)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=60, **DRAWN)
@given(clocked_graphs())
def test_many_cells_with_clocks(graph):
    compare(graph, CLOCKED_SIZES)


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
