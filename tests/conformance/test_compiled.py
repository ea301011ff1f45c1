"""The compiled backends against the reference, in double precision from the same numbers.

The grid: cell x dtype x direction x kind of lengths x steps x odd sizes x batch x initial
state x step at which it starts x how the work is spread; compared are outputs, states, recorded
values and every gradient. It is walked along a diagonal that meets every value of every axis,
and every pair of many; the slow set walks much further.
"""

import itertools
import random
from dataclasses import dataclass, replace

import pytest
import torch
from comparing import (
    TOLERANCE,
    assert_same,
    by_backend,
    by_reference,
    check,
    lengths_to_active,
    random_call,
    scheduled,
)
from odd_cells import GRAPHS
from some_cells import TYPICAL, typical, units_for

import cellwright as cw
from cellwright.backends import BACKENDS
from cellwright.pipeline import lower

CPU = torch.device("cpu")
SIZES = (1, 3, 17, 31, 33, 100)
BATCHES = (0, 1, 2, 7, 13, 14, 15, 29, 64, 67)
LENGTHS = ("full", "ragged", "gaps", "some empty", "all empty")
STEPS = (0, 1, 2, 3, 6)
SCHEDULES = [
    {"threads": threads, "hoist": hoist, "share_units": share_units, "chunk": chunk}
    for threads, hoist, share_units, chunk in itertools.product(
        (1, 2, 3), (False, True), (False, True), (0, 1, 2, 3)
    )
]
# Where a rounding falls to the other side, one matrix three times in a row makes more of it.
LOOSER = {("tied", torch.bfloat16): 2e-2}


@dataclass(frozen=True)
class Case:
    """One run of a cell."""

    features: int
    units: int
    proj: int
    batch: int
    steps: int
    lengths: str
    reverse: bool
    with_state: bool
    start: bool
    schedule: int

    @property
    def sizes(self):
        own = {"proj": self.proj, "output": self.proj}
        return {"input": self.features, "hidden": self.units, **own}


def walk(number, seed):
    """Cases in which every value of every axis comes up as often as any other."""
    axes = (SIZES, SIZES, SIZES, BATCHES, STEPS, LENGTHS, (False, True), (False, True))
    axes += ((False, True), range(len(SCHEDULES)))
    drawn = random.Random(seed)
    columns = []
    for axis in axes:
        column = [axis[n % len(axis)] for n in range(number)]
        drawn.shuffle(column)
        columns.append(column)
    return [Case(*values) for values in zip(*columns, strict=True)]


def call_of(graph, case, dtype, record=()):
    drawn = random.Random(repr(case))
    longest = case.steps
    lengths = [drawn.randint(1, max(longest, 1)) for _ in range(case.batch)]
    active = lengths_to_active(lengths, longest)
    if case.lengths == "gaps":
        active = torch.tensor([[drawn.random() < 0.6 for _ in lengths] for _ in range(longest)])
        active = active.view(longest, case.batch).bool()
    elif case.lengths == "some empty":
        active = active & torch.tensor([drawn.random() < 0.6 for _ in lengths], dtype=torch.bool)
    elif case.lengths == "all empty":
        active = torch.zeros_like(active)
    starts = torch.tensor([drawn.randint(0, 9) for _ in lengths], dtype=torch.int64).view(-1, 1)
    call = random_call(
        graph,
        case.sizes,
        steps=case.steps,
        batch=case.batch,
        dtype=dtype,
        active=None if case.lengths == "full" else active,
        reverse=case.reverse,
        start=starts if case.start else None,
        record=record,
    )
    if not case.with_state:
        call = replace(call, states={k: torch.zeros_like(v) for k, v in call.states.items()})
    return call


def suited(graph, case):
    """The case with so many units that groups which must be equal are."""
    return replace(case, units=units_for(graph, case.units))


def fits(graph, case):
    """Blocks of a mask and tables need as many units."""
    blocks = [v.attributes["mask"][1] for v in graph.weights.values() if v.attributes.get("mask")]
    blocks += [len(v.attributes["values"]) for v in graph.leaves("per_unit")]
    return max([1, *blocks]) <= min(case.features, case.units)


DTYPES = (torch.float64, torch.float32, torch.bfloat16)
# Every cell is one more source to compile for single precision, and for what is recorded; and
# the cells of the zoo have much in common.
BOTH_PRECISIONS = {*TYPICAL, "everything", "normed_lstm"}
SPREAD = {
    *BOTH_PRECISIONS,
    "resting",
    "intersection_rnn",
    "embedded",
    "one_number",
    "told",
    "delayed",
    "tied",
    "turned_twice",
}
RECORDED = {
    "resting",
    "told",
    "elman",
    "uneven_clockwork",
    "lstm",
    "projected_lstm",
    "gru_reset_before",
    "everything",
    "delayed",
}


@pytest.mark.parametrize("name", GRAPHS)
def test_it_equals_the_reference(name, backend, record_property):
    grid(name, torch.float64, backend, record_property, walk(24, name))


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("name", typical(GRAPHS, BOTH_PRECISIONS))
def test_it_equals_the_reference_in_less_precision(name, dtype, backend, record_property):
    grid(name, dtype, backend, record_property, walk(24, name))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", GRAPHS)
def test_it_equals_the_reference_all_over(name, dtype, backend, record_property):
    grid(name, dtype, backend, record_property, walk(400, f"{name} again"))


def grid(name, dtype, backend, record_property, cases):
    graph = GRAPHS[name]
    cases = [case for case in (suited(graph, case) for case in cases) if fits(graph, case)]
    record_property("cases", len(cases))
    tolerance = LOOSER.get((name, dtype))
    for case in cases:
        call = call_of(graph, case, dtype)
        with scheduled(**SCHEDULES[case.schedule]):
            check(backend, graph, case.sizes, call, tolerance=tolerance, where=case)


@pytest.mark.parametrize("name", typical(GRAPHS, SPREAD))
def test_however_the_work_is_spread(name, backend, record_property):
    graph = GRAPHS[name]
    case = suited(graph, Case(5, 35, 4, 17, 7, "full", False, True, False, 0))
    kinds = [("full", False), ("full", True), ("ragged", False), ("gaps", True)]
    record_property("cases", len(kinds) * len(SCHEDULES))
    for lengths, reverse in kinds:
        case = replace(case, lengths=lengths, reverse=reverse)
        call = call_of(graph, case, torch.float64)
        expected = by_reference(graph, case.sizes, call)
        for choices in SCHEDULES:
            with scheduled(**choices):
                found = by_backend(backend, graph, case.sizes, call)
            assert_same(found, expected, TOLERANCE[torch.float64], (lengths, reverse, choices))


@pytest.mark.parametrize("name", typical(GRAPHS, RECORDED))
def test_what_is_recorded_and_gradients_through_it(name, backend, record_property):
    graph = GRAPHS[name]
    record = tuple(graph.observable)
    kinds = [("full", False), ("some empty", True), ("gaps", False)]
    shown = ["output", *(f"signal {n}" for n in record), *(f"after {n}" for n in graph.after)]
    # A gradient comes through everything, through nothing but one, through all but one.
    silent = [(), *(set(shown) - {one} for one in shown), *({one} for one in shown)]
    record_property("cases", len(kinds) * len(silent))
    hoist = False
    for lengths, reverse in kinds:
        case = suited(graph, Case(4, 18, 5, 6, 4, lengths, reverse, True, True, 0))
        call = call_of(graph, case, torch.float64, record)
        for names in silent:
            # Of two that follow each other one has its products with inputs before the loop.
            hoist = not hoist
            with scheduled(threads=1, hoist=hoist):
                check(backend, graph, case.sizes, call, names, where=(lengths, hoist, names))


@pytest.mark.parametrize("name", ["everything", "lstm"])
def test_draws_that_are_missing_and_a_start_that_is_given(name, backend):
    graph = GRAPHS[name]
    case = Case(4, 18, 5, 6, 4, "ragged", False, True, True, 0)
    call = replace(call_of(graph, case, torch.float64), draws={})
    check(backend, graph, case.sizes, call)


@pytest.mark.parametrize("name", ["lstm", "gru", "embedded", "min_lstm", "normed_lstm"])
def test_nan_and_infinity_go_where_they_go_in_the_reference(name, backend):
    graph = GRAPHS[name]
    case = Case(5, 35, 4, 17, 7, "full", False, True, False, 0)
    for lengths, value in itertools.product(("full", "ragged"), (torch.nan, torch.inf, -torch.inf)):
        case = replace(case, lengths=lengths)
        for where in ("inputs", "states", "weights"):
            call = call_of(graph, case, torch.float64)
            tensors = {k: v.clone() for k, v in getattr(call, where).items()}
            first = next(iter(tensors.values()))
            first.view(-1)[first.numel() // 2] = value
            call = replace(call, **{where: tensors})
            for choices in ({}, {"threads": 2, "hoist": True}):
                with scheduled(**choices):
                    check(backend, graph, case.sizes, call, where=(lengths, value, where))


@pytest.mark.parametrize("name", ["lstm", "everything", "delayed"])
def test_what_padding_holds_reaches_nothing(name, backend):
    graph = GRAPHS[name]
    case = Case(5, 35, 4, 17, 7, "ragged", False, True, False, 0)
    for lengths, reverse in itertools.product(("ragged", "gaps"), (False, True)):
        case = replace(case, lengths=lengths, reverse=reverse)
        call = call_of(graph, case, torch.float64)
        padded = {
            name: torch.where(call.active.unsqueeze(2), value, torch.nan)
            for name, value in call.inputs.items()
        }
        expected = by_reference(graph, case.sizes, call)
        found = by_backend(backend, graph, case.sizes, replace(call, inputs=padded))
        assert_same(found, expected, TOLERANCE[torch.float64], (lengths, reverse))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_weights_that_change_in_place_are_noticed(dtype, backend):
    # Packed weights are kept from call to call. The patterns leave sums of all numbers, also
    # weighed by their places, what they were.
    graph, sizes = GRAPHS["elman"], {"input": 64, "hidden": 64}
    call = random_call(graph, sizes, steps=3, batch=2, dtype=dtype)
    kernel = BACKENDS[backend].build(lower(graph), sizes)
    reference = BACKENDS["reference"].build(graph, sizes)
    weight = call.weights["h_h"]
    weight.zero_()
    patterns = [(1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1, 0, 1, 1, 0), (0, 1, 1, 0, 1, 0, 0, 1)]
    for pattern in (*patterns, *patterns):
        weight.data[: len(pattern), 0] = torch.tensor(pattern, dtype=dtype)
        found, expected = kernel(call).output, reference(call).output
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        weight.data[:8, 0] = 0


@pytest.mark.parametrize("name", ["told", "everything"])
def test_draws_that_are_left_out_are_what_is_expected_of_them(name, backend):
    graph = GRAPHS[name]
    drawn = {leaf.name for leaf in graph.leaves("bernoulli")}
    sizes = {"input": 3, "hidden": 18}
    call = random_call(graph, sizes, steps=5, batch=3, record=tuple(graph.observable))
    for missing in (drawn, {"d"}):
        draws = {name: value for name, value in call.draws.items() if name not in missing}
        check(backend, graph, sizes, replace(call, draws=draws))


CLOCKED = ("clockwork", "uneven_clockwork", "resting", "looked_at", "two_clocks", "told")


@pytest.mark.parametrize("name", CLOCKED)
def test_units_rest_where_they_are_many(name, backend):
    # Only whole panels rest, and only where all rows have one time.
    graph = GRAPHS[name]
    for units, schedule, reverse in ((100, 0, False), (69, 6, True)):
        case = Case(5, units, 4, 9, 13, "full", reverse, True, False, schedule)
        case = suited(graph, case)
        with scheduled(**SCHEDULES[schedule]):
            check(backend, graph, case.sizes, call_of(graph, case, torch.float64), where=case)


def test_a_clock_is_found_behind_what_is_recorded(backend):
    @cw.cell(state="h")
    def drawn(x, h, t):
        """What rests is known from outside, and lies where it is recorded."""
        d = cw.bernoulli("d", 0.25)
        m = cw.where(t % cw.per_unit([1, 2, 4]) == 0, d, 0)
        h = cw.tanh(cw.affine("a", x, h) + m * h + cw.scale("v", m))
        return h

    sizes = {"input": 3, "hidden": 70}
    call = random_call(drawn.graph, sizes, steps=6, batch=3, record=("m",))
    check(backend, drawn.graph, sizes, call)


def test_periods_need_not_be_whole_numbers(backend):
    @cw.cell(state="h")
    def broken_periods(x, h, t):
        """Whether a time is zero depends on its last digit, which a fused product keeps."""
        period = cw.per_unit([0.1, 0.3, 0.7])
        past = period * cw.floor(t / period)
        h = cw.where(t - past == 0, cw.tanh(cw.affine("a", x, h)), h) + 0.01 * past
        return h

    sizes = {"input": 3, "hidden": 70}
    call = random_call(broken_periods.graph, sizes, steps=30, batch=2)
    check(backend, broken_periods.graph, sizes, call)
