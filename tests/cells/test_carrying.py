"""The straight way of a state through a step."""

import pytest
import torch
from evaluation import evaluate

import cellwright as cw
from cellwright.cells.carrying import coefficient, straight_only
from cellwright.ir import node, to_text, verify_cell


@cw.cell(state="s")
def odd(x, s, t):
    """Every way of weighing, adding and choosing."""
    a = cw.affine("a", x)
    kept = -(a - 2 * s) / 4 - s * cw.sigmoid(a)
    s = cw.where(t < 3, kept + a * a, a) + cw.tanh(s) * s
    return s


def test_the_forget_gate_is_what_a_memory_is_multiplied_with():
    graph = cw.cells.lstm.graph
    signals = dict(graph.signals)
    assert coefficient(graph, "c") is signals["f"]
    assert coefficient(graph, "h") is None


def test_the_weight_in_a_mix_of_old_and_new():
    graph = cw.cells.gru.graph
    signals = dict(graph.signals)
    assert coefficient(graph, "h") is signals["z"]


def test_a_memory_that_is_only_added_to_is_kept_as_it_is():
    kept = coefficient(cw.cells.nfg_lstm.graph, "c")
    assert kept is node("constant", value=1.0)


def test_what_meets_a_squashing_function_or_itself_goes_no_straight_way():
    assert coefficient(cw.cells.elman.graph, "h") is None

    @cw.cell(state="s")
    def square(x, s):
        """A square is no weighing."""
        s = s * s + cw.affine("a", x)
        return s

    assert coefficient(square.graph, "s") is None


@pytest.mark.parametrize("step", [0.0, 5.0])
def test_the_coefficient_and_what_is_added_make_up_the_step(step):
    graph = odd.graph
    numbers = torch.Generator().manual_seed(0)
    known = {
        value: torch.randn(6, 4, generator=numbers, dtype=torch.float64)
        for value in graph.nodes
        if value.op in ("input", "state", "matrix", "vector", "matmul")
    }
    known |= {v: torch.tensor([step]).double() for v in graph.leaves("step")}
    state = graph.states[0]
    slope, after = evaluate([coefficient(graph, "s"), graph.after["s"]], known, {})
    a = known[graph.leaves("matmul")[0]] + known[graph.weights["a_bias"]]
    expected = 0.5 - torch.sigmoid(a) if step < 3 else torch.zeros_like(a)
    torch.testing.assert_close(slope, expected + torch.tanh(known[state]))
    (rest,) = evaluate(
        [straight_only(graph, "s", {"s": node("input", name="old", size="hidden")}).outputs[0]],
        {v: n for v, n in known.items() if v is not state}
        | {state: torch.zeros(6, 4).double()}
        | {node("input", name="old", size="hidden"): known[state]},
        {},
    )
    torch.testing.assert_close(slope * known[state] + rest, after)


def test_all_other_ways_are_cut():
    graph = cw.cells.peephole_lstm.graph
    before = {name: node("input", name=f"old_{name}", size="hidden") for name in ("h", "c")}
    cut = verify_cell(straight_only(graph, "c", before))
    memory, output = cut.after["c"], cut.after["h"]
    assert memory.inputs[0].inputs[1] is graph.states[1]
    assert "old_c" in to_text(cut)

    def leaves(value):
        return {value} if not value.inputs else set().union(*map(leaves, value.inputs))

    assert not leaves(output) & set(graph.states)
    assert graph.states[0] not in leaves(memory)
