"""What the planner decides: what is hoisted, saved, recomputed, put off, and in which pass."""

import pytest
from odd_cells import GRAPHS

import cellwright as cw
from cellwright.autodiff import differentiate
from cellwright.ir import Graph, node, topological
from cellwright.pipeline import lower
from cellwright.plan import Program, plan
from cellwright.plan.saving import needed_values, values_to_save

X = node("input", name="x", size="input")
H = node("state", name="h", size="hidden")
C = node("state", name="c", size="hidden")


def planned(name, record=(), training=True):
    return plan(lower(GRAPHS[name]), record, training=training)


def passes(program):
    """The size of each pass with the products in it."""
    return [(s.size, {p.matrix.name for g in s.groups for p in g.parts}) for s in program.sweeps]


def saved(found):
    return {array.name.removeprefix("saved ") for array in found.saved}


def parts(program):
    return [part for s in program.sweeps for group in s.groups for part in group.parts]


def test_products_of_the_input_are_hoisted_and_no_others():
    for name in ("lstm", "gru", "peephole_lstm", "gru_reset_before", "jordan"):
        for part in parts(planned(name).forward):
            assert part.hoistable == part.matrix.name.endswith("x"), (name, part.matrix.name)
        assert not any(part.hoistable for part in parts(planned(name).backward))


def test_a_group_keeps_its_hoisted_sum_where_the_whole_chunk_fits():
    (sweep,) = planned("lstm").forward.sweeps
    for group in sweep.groups:
        assert group.hoisted.place == "chunk"
        assert group.hoisted.size == "hidden"
    (m,) = [g for g in planned("gru").forward.sweeps[0].groups if g.parts[0].matrix.name == "m_h"]
    assert m.hoisted is None


def test_a_cell_whose_gates_see_the_input_alone_has_no_product_in_the_loop():
    found = planned("min_lstm")
    assert all(part.hoistable for part in parts(found.forward))
    assert parts(found.backward) == []
    assert len(found.forward.sweeps) == len(found.backward.sweeps) == 1


def test_what_follows_from_the_input_alone_and_meets_a_matrix_is_done_ahead_of_the_loop():
    found = planned("embedded")
    first, second = found.forward.ahead
    assert [p.matrix.name for s in (first, second) for g in s.groups for p in g.parts] == [
        "e_x",
        "d_e",
    ]
    assert {array.place for s in (first, second) for _, array in s.stores} == {"chunk"}
    products = {part.matrix.name: part.hoistable for part in parts(found.forward)}
    assert products == {"f_d": True, "p_e": True, "f_h": False}
    assert found.backward.ahead == ()
    # Nothing in these meets a matrix but what is given, or what the state has a part in.
    for name in ("lstm", "everything", "normed_lstm", "tied"):
        assert planned(name).forward.ahead == ()


def test_an_lstm_is_one_pass_forward_and_two_backward():
    found = planned("lstm")
    gates = {f"{gate}_{source}" for gate in "ifgo" for source in "xh"}
    assert passes(found.forward) == [("hidden", gates)]
    assert passes(found.backward) == [
        ("hidden", set()),
        ("hidden", {"i_h", "f_h", "g_h", "o_h"}),
    ]


def test_a_gru_with_the_reset_before_the_product_has_two_passes():
    assert passes(planned("gru").forward) == [
        ("hidden", {"r_x", "r_h", "z_x", "z_h", "m_h", "n_x"})
    ]
    assert passes(planned("gru_reset_before").forward) == [
        ("hidden", {"r_x", "r_h", "z_x", "z_h"}),
        ("hidden", {"n_x", "n_rh"}),
    ]


def test_a_projection_and_a_jordan_output_are_passes_of_their_own_size():
    gates = {f"{gate}_{source}" for gate in "ifgo" for source in "xh"}
    assert passes(planned("projected_lstm").forward) == [("hidden", gates), ("proj", {"r_m"})]
    assert passes(planned("jordan").forward) == [("hidden", {"h_x", "h_y"}), ("output", {"y_h"})]


def test_the_bias_is_added_to_the_products():
    for name in ("lstm", "gru"):
        (sweep,) = planned(name).forward.sweeps
        for group in sweep.groups:
            added = {v.name for v in group.others if v.op == "vector"}
            gate = group.parts[0].matrix.name[0]
            assert f"{gate}_bias" in added, (name, gate)


def test_a_reduction_ends_a_pass():
    @cw.cell(state="h")
    def normed(x, h):
        h = cw.layer_norm("n", cw.affine("a", x, h, bias=None))
        return h

    program = plan(lower(normed.graph)).forward
    mean, variance, spread, use = program.sweeps
    assert [len(s.reductions) for s in program.sweeps] == [1, 1, 0, 0]
    # A root takes long: once a row, not once a unit.
    assert [v.op for v in spread.nodes] == ["sqrt"]
    assert [s.size for s in program.sweeps] == ["hidden", "hidden", 1, "hidden"]
    # The mean is a number a row: every later pass reads it, none computes it.
    (first,), (second,) = mean.reductions, variance.reductions
    assert program.loads[first.value] is first.result
    assert first.result.place == second.result.place == "reduced"
    assert use.stores[-1][1].name == "seen h"


def test_the_gradient_of_normalised_units_needs_one_pass_for_all_its_sums():
    @cw.cell(state="h")
    def normed(x, h):
        h = cw.layer_norm("n", cw.affine("a", x, h, bias=None))
        return h

    backward = plan(lower(normed.graph), training=True).backward
    wide = [s for s in backward.sweeps if s.size == "hidden"]
    # The mean's sum does not wait for the variance's; then the gradient, then its product.
    assert [len(s.reductions) for s in wide] == [2, 0, 0]
    assert passes(backward)[-1] == ("hidden", {"a_h"})
    # What is divided by the root again is not written down for the next pass.
    assert not [a for s in wide for _, a in s.stores if a.place == "scratch"]


def test_gradients_of_inputs_are_sunk_behind_the_loop():
    for name in ("lstm", "gru", "jordan"):
        (sunk,) = planned(name).backward.sunk
        assert sunk.target.name == "gradient of input x"
        assert {p.source.place for p in sunk.parts} == {"chunk"}
        assert not sunk.adds
        assert all(p.transposed for p in sunk.parts)


def test_what_is_not_a_product_is_left_for_the_sunk_ones_to_be_added_to():
    wide = node("input", name="y", size="hidden")
    matrix = node("matrix", name="W", size="hidden", columns="hidden", mask=None)
    value = node("add", node("tanh", node("matmul", matrix, wide)), node("mul", wide, H))
    program = plan(Graph("test", (X, wide), (H,), (value,)), training=True).backward
    (sunk,) = program.sunk
    assert sunk.adds
    targets = [array for s in program.sweeps for _, array in s.stores]
    assert sunk.target in targets


def test_gradients_of_matrices_are_products_over_all_steps():
    program = planned("lstm").backward
    found = {(o.matrix.name, o.right.name) for o in program.outers}
    assert found == {(f"{g}_h", "before h") for g in "ifgo"} | {
        (f"{g}_x", "input x") for g in "ifgo"
    }
    # Those that share a right side stand together, so that it is packed once.
    rights = [o.right.name for o in program.outers]
    assert rights == sorted(rights)
    assert [s.vector.name for s in program.sums] == ["i_bias", "f_bias", "g_bias", "o_bias"]
    # A bias is summed from what the matrices of its gate are multiplied from anyway.
    assert {s.array for s in program.sums} == {o.left for o in program.outers}


@pytest.mark.parametrize("name", GRAPHS)
def test_what_is_read_behind_the_loop_lies_there_for_all_steps(name):
    for record in ((), tuple(GRAPHS[name].observable)):
        program = planned(name, record).backward
        for outer in program.outers:
            assert outer.left.place == "chunk"
            assert outer.right.place in ("chunk", "step", "previous")
            assert not outer.right.optional
        for part in (part for sunk in program.sunk for part in sunk.parts):
            assert part.source.place in ("chunk", "step")
            assert not part.source.optional


def test_gates_are_saved_and_what_follows_from_them_is_computed_again():
    assert saved(planned("elman")) == set()  # its output is kept anyway
    assert saved(planned("lstm")) == {"c", "i", "f", "g", "o"}  # tanh(c) follows from c
    assert saved(planned("gru")) == {"r", "z", "n", "m"}
    assert saved(planned("gru_reset_before")) == {"r", "z", "n"}  # r * h follows
    assert saved(planned("jordan")) == {"h"}


def test_what_is_recorded_is_not_saved_as_well():
    assert saved(planned("lstm", ("i", "f", "c"))) == {"g", "o"}
    assert planned("lstm", training=False).saved == ()
    assert planned("lstm", training=False).backward is None


def test_the_state_before_a_step_is_read_where_the_one_after_was_written():
    found = planned("lstm")
    for program in (found.forward, found.backward):
        before = {a.name: a for a in program.arrays if a.place == "previous"}
        assert before["before h"].other.name == "seen h"
    assert found.forward.states["c"][1].name == "saved c"
    # Without a gradient nobody keeps c for longer than a step.
    before, after = planned("lstm", training=False).forward.states["c"]
    assert (before.place, after.place) == ("carried", "next")


def test_what_only_the_gradient_reads_is_only_written_before():
    found = planned("lstm")
    names = {array.name for array in found.forward.only_written}
    assert names == {"saved i", "saved f", "saved g", "saved o"}  # c and h are read a step later
    assert names < {array.name for array in found.backward.only_read}
    assert {array.name for array in found.forward.only_read} == {"input x"}
    assert planned("elman").forward.only_written == frozenset()


def test_a_state_that_is_the_last_value_of_another_can_be_read_backward():
    value = node("tanh", node("mul", H, C))
    graph = Graph("test", (X,), (H, C), (value, H))
    found = plan(graph, training=True)
    leaves = {v for v in found.backward.loads if v.op == "state"}
    assert leaves == {H, C}


def test_a_comparison_is_not_saved_but_what_is_compared():
    gate = node("sigmoid", node("mul", H, C))
    truth = node("less", gate, node("constant", value=0.5))
    value = node("where", truth, H, node("neg", C))
    found = plan(Graph("test", (X,), (H, C), (value, C)), training=True)
    assert truth not in values_to_save(differentiate(Graph("t", (X,), (H, C), (value, C))), ())
    for program in (found.forward, found.backward):
        stored = [v for s in program.sweeps for v, _ in s.stores]
        assert not any(v.kind == "truth" for v in stored)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_backward_step_computes_no_more_than_what_is_cheap(name):
    graph = lower(GRAPHS[name])
    derivative = differentiate(graph)
    kept = values_to_save(derivative, ())
    after = {graph.after[s.name] for s in graph.states if graph.after[s.name].size == s.size}
    states = {s for s in graph.states if graph.after[s.name] in set(kept) & after}
    for value in needed_values(derivative):
        for reached in topological([value], {*kept, *states}):
            if reached not in kept:
                assert reached.kind not in ("product", "reduction"), reached
                assert reached.op != "state" or reached in states, reached


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_every_value_is_there_when_it_is_read(name, training):
    for record in ((), tuple(GRAPHS[name].observable)):
        found = planned(name, record, training)
        for program in filter(None, (found.forward, found.backward)):
            assert_in_order(program)


def assert_in_order(program: Program):
    """No pass reads what a later one, or another unit of the same one, has to write."""
    written = {a for a in program.arrays if a.place not in ("chunk", "next", "scratch", "reduced")}
    targets = {array for s in program.sweeps for _, array in s.stores}
    written -= {a for a in targets if a.place == "step"}
    written |= {g.hoisted for s in program.sweeps for g in s.groups if g.hoisted}
    for number, sweep in enumerate(program.passes):
        loads = program.ahead_loads if number < len(program.ahead) else program.loads
        for group in sweep.groups:
            for part in group.parts:
                assert part.source in written, part
        groups = {group.value: group for group in sweep.groups}
        wanted = [v for v, _ in sweep.stores]
        wanted += [r.source for r in sweep.reductions] + list(sweep.nodes)
        seen = set()
        while wanted:
            value = wanted.pop()
            if value in seen:
                continue
            seen.add(value)
            if value in groups:
                wanted.extend(groups[value].others)
            elif value in loads and value not in sweep.nodes:
                assert loads[value] in written, value
            else:
                assert value.kind not in ("product", "reduction"), value
                wanted.extend(value.inputs)
        written |= {array for _, array in sweep.stores} | {r.result for r in sweep.reductions}
    assert {after for _, after in program.states.values() if after.place == "next"} <= written
