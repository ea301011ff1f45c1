"""Which units rest at a step, and what of it a plan makes use of."""

from odd_cells import two_clocks

import cellwright as cw
from cellwright.pipeline import lower
from cellwright.plan import plan


def planned(cell, record=()):
    return plan(lower(cell.graph), record, training=True)


def clocks(program):
    """For each sum of products its clock, and those of its products."""
    groups = [group for sweep in program.sweeps for group in sweep.groups]
    return [(bool(g.clock), [bool(p.clock) for p in g.parts]) for g in groups]


def test_a_clockwork_network_multiplies_for_what_ticks():
    found = planned(cw.cells.clockwork)
    assert clocks(found.forward) == [(True, [False, False])]
    assert clocks(found.backward) == [(False, [True])]
    assert all(outer.clock for outer in found.backward.outers)
    assert [bool(part.clock) for sunk in found.backward.sunk for part in sunk.parts] == [True]
    assert len(found.forward.clocks) == len(found.backward.clocks) == 1


def test_what_nobody_looks_at_is_left_out_of_a_pass_for_units_that_rest():
    found = planned(cw.cells.clockwork)
    (forward,) = found.forward.sweeps
    assert sorted(value.op for value in forward.idle) == ["add", "tanh"]
    first, second = found.backward.sweeps
    assert sorted(value.op for value in first.idle) == ["mul", "where"]
    assert second.clock is None
    assert not second.idle


def test_a_zero_times_what_may_be_infinite_is_computed_but_for_a_gradient():
    @cw.cell(state="h")
    def scaled(x, h, t):
        """What a unit hands on when it rests is zero, or NaN where the scale is infinite."""
        ticks = t % cw.per_unit([1, 2]) == 0
        h = cw.where(ticks, cw.tanh(cw.affine("a", x, h)), 0.0) * cw.exp(cw.affine("s", x))
        return h

    found = planned(scaled)
    assert sorted(v.op for s in found.forward.sweeps for v in s.idle) == ["add", "tanh", "where"]
    assert "mul" in [v.op for s in found.backward.sweeps for v in s.idle]


def test_a_pass_with_several_clocks_has_the_one_by_which_most_rests():
    (sweep,) = planned(two_clocks).forward.sweeps
    assert sorted(value.op for value in sweep.idle) == ["add", "sigmoid", "tanh"]
    assert [group.clock is sweep.clock for group in sweep.groups] == [False, True]
    assert all(group.clock for group in sweep.groups)


def test_what_is_recorded_is_computed_for_every_unit():
    assert clocks(planned(cw.cells.clockwork, ("n",)).forward) == [(False, [False, False])]
    assert clocks(planned(cw.cells.clockwork, ("ticks",)).forward) == [(True, [False, False])]


def test_other_cells_have_no_clock():
    for name in ("lstm", "gru", "elman", "min_gru"):
        found = planned(cw.cells.get(name))
        assert found.forward.clocks == found.backward.clocks == ()


def test_what_somebody_else_looks_at_does_not_rest():
    @cw.cell(state=("h", "c"))
    def first(x, h, c, t):
        """Two ways to one product, only the first of which rests."""
        ticks = t % cw.per_unit([1, 2]) == 0
        a = cw.affine("a", x, h)
        h = cw.where(ticks, cw.tanh(a), h)
        c = c + cw.sigmoid(a)
        return h, c

    @cw.cell(state=("h", "c"))
    def second(x, h, c, t):
        """Two ways to one product, only the second of which rests."""
        ticks = t % cw.per_unit([1, 2]) == 0
        a = cw.affine("a", x, h)
        h = h + cw.sigmoid(a)
        c = cw.where(ticks, cw.tanh(a), c)
        return h, c

    for cell in (first, second):
        found = planned(cell)
        assert clocks(found.forward) == [(False, [False, False])]
        assert clocks(found.backward) == [(False, [False])]


def test_what_is_not_finite_without_its_product_does_not_rest():
    @cw.cell(state="h")
    def logarithmic(x, h, t):
        """The logarithm of zero would make NaN of a gradient of zero."""
        ticks = t % cw.per_unit([1, 2]) == 0
        h = cw.where(ticks, cw.log(cw.affine("a", x, h)), h)
        return h

    assert clocks(planned(logarithmic).forward) == [(False, [False, False])]


def test_a_truth_that_looks_at_values_is_no_clock():
    @cw.cell(state="h")
    def compared(x, h, t):
        """Whether a unit rests depends on its value."""
        h = cw.where(h * t < cw.per_unit([1, 2]), cw.tanh(cw.affine("a", x, h)), h)
        return h

    found = planned(compared)
    assert found.forward.clocks == found.backward.clocks == ()


def test_times_are_neither_saved_nor_written_for_a_later_pass():
    @cw.cell(state="h")
    def normed(x, h, t):
        """A time is asked for behind a reduction."""
        phase = t % cw.per_unit([2, 3])
        a = cw.layer_norm("a", cw.affine("a", x, h, bias=None))
        h = cw.where(phase < 1, cw.tanh(a), h) * cw.exp(-phase)
        return h

    found = planned(normed)
    written = [
        v
        for program in (found.forward, found.backward)
        for s in program.sweeps
        for v, _ in s.stores
    ]
    assert not [v.op for v in written if not _depends_on_more_than_time(v)]


def _depends_on_more_than_time(value):
    if value.op in ("input", "state", "gradient", "vector", "matrix"):
        return True
    return any(map(_depends_on_more_than_time, value.inputs))
