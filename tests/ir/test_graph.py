"""Whole graphs: the verifier's rules, simplifying, JSON, writing."""

import json
import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cellwright as cw
from cellwright import cells
from cellwright.errors import GraphError
from cellwright.ir import (
    Graph,
    from_json,
    node,
    simpler,
    simplify,
    to_dot,
    to_json,
    to_latex,
    to_text,
    verify,
    verify_cell,
)

X = node("input", name="x", size="input")
H = node("state", name="h", size="hidden")
C = node("state", name="c", size="hidden")

MATRIX = node("matrix", name="W", size="hidden", columns="hidden", mask=None)


def constant(value):
    return node("constant", value=value)


def one_state(value, signals=()):
    return Graph("test", (X,), (H,), (value,), tuple(signals))


def vector(**changes):
    return node("vector", **{"name": "v", "size": "hidden", "role": "bias", "init": 0.0} | changes)


def gradient(name="h", size="hidden", origin="later"):
    return node("gradient", name=name, size=size, origin=origin)


def test_a_sound_graph_is_returned():
    graph = one_state(node("tanh", H))
    assert verify(graph) is graph
    assert verify_cell(graph) is graph


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (Graph("test", (X,), (), ()), "no state"),
        (Graph("test", (X,), (H,), ()), "1 states, 0 outputs"),
        (Graph("test", (), (H,), (H,)), "first input must be x"),
        (Graph("test", (node("input", name="x", size=3),), (H,), (H,)), "first input must be x"),
        (Graph("test", (X, H), (H,), (H,)), "no input stands among"),
        (Graph("test", (X,), (X,), (X,)), "no state stands among"),
        (Graph("test", (X,), (H, H), (H, X)), "two states have the same name"),
        (Graph("test", (X, X), (H,), (H,)), "two inputs have the same name"),
        (one_state(node("less", H, H)), "becomes a truth"),
        (one_state(MATRIX), "becomes a weight"),
        (one_state(node("state", name="p", size="proj")), "has size hidden but becomes proj"),
        (one_state(C), "'c' is used but not declared"),
        (one_state(node("input", name="gap", size=1)), "'gap' is used but not declared"),
        (one_state(node("below", name="c", size="hidden")), "no state of this cell"),
        (one_state(H, [("a", MATRIX)]), "is a matrix"),
        (one_state(H, [("a", H), ("a", C)]), "'c' is used"),
        (one_state(H, [("a", H), ("a", X)]), "two signals have the same name"),
        (
            one_state(node("add", vector(), vector(init=1.0))),
            "two different weights are named 'v'",
        ),
        (
            Graph("test", (X, node("input", name="h", size="hidden")), (H,), (H,)),
            "two different leafs are named 'h'",
        ),
    ],
)
def test_every_rule_is_kept(graph, words):
    with pytest.raises(GraphError, match=words):
        verify_cell(graph)


def test_a_step_backward_is_a_step_but_no_cell():
    later, outside = gradient(), gradient(origin="outside")
    below = node("below", name="h", size="hidden")
    total = node("add", node("add", later, outside), node("mul", H, below))
    graph = Graph("test", (X, H, below, outside), (later,), (total,))
    assert verify(graph) is graph
    for other, words in (
        (graph, "no input stands among"),
        (replace(graph, inputs=(X,)), "no state stands among"),
        (replace(graph, inputs=(X,), states=(H,)), "gradient of 'h' stands in its equations"),
    ):
        with pytest.raises(GraphError, match=words):
            verify_cell(other)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (Graph("test", (), (gradient(),), (H,)), "state 'h' is used but not declared"),
        (Graph("test", (), (H,), (gradient(),)), "gradient 'h' is used but not declared"),
        (Graph("test", (constant(1.0),), (H,), (H,)), "no input stands among"),
        (Graph("test", (), (X,), (X,)), "no state stands among"),
        (
            Graph("test", (gradient(), gradient(size="proj")), (H,), (H,)),
            "two inputs have the same name",
        ),
        (
            Graph("test", (gradient(size=1),), (gradient(),), (gradient(),)),
            "two different leafs are named 'h'",
        ),
        (Graph("test", (), (gradient(),), ()), "1 states, 0 outputs"),
    ],
)
def test_every_rule_of_any_step_is_kept(graph, words):
    with pytest.raises(GraphError, match=words):
        verify(graph)


def test_a_learned_vector_is_a_value():
    @cw.cell(state="h")
    def example(x, h):
        """Learned numbers alone."""
        gain = cw.scale("gain", 1.0)
        h = gain
        return h

    y, _ = cw.Recurrent(example, 2, 3)(torch.zeros(1, 2, 2))
    assert y.tolist() == [[[1.0], [1.0]]]  # one number, so one unit


def test_a_state_and_that_state_of_the_layer_below_may_share_a_name():
    verify_cell(one_state(node("add", H, node("below", name="h", size="hidden"))))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (node("mul", constant(1.0), H), H),
        (node("mul", H, constant(1.0)), H),
        (node("div", H, constant(1.0)), H),
        (node("sub", H, constant(0.0)), H),
        (node("neg", node("neg", H)), H),
        (node("add", H, constant(-0.0)), H),
        (node("add", constant(-0.0), H), H),
        (node("add", H, node("neg", C)), node("sub", H, C)),
        (node("add", node("neg", H), C), node("sub", C, H)),
        (node("sub", H, node("neg", C)), node("add", H, C)),
        (node("mul", node("neg", H), node("neg", C)), node("mul", H, C)),
        (node("div", node("neg", H), node("neg", C)), node("div", H, C)),
        (node("mul", H, node("sub", constant(3.0), constant(2.0))), H),
        (node("add", constant(2.0), constant(0.5)), constant(2.5)),
    ],
)
def test_what_can_be_simpler_becomes_so(before, after):
    assert simplify(one_state(before)).outputs == (after,)
    assert simpler(node("neg", node("neg", H))) is H


@pytest.mark.parametrize(
    "value",
    [
        node("mul", H, constant(0.0)),  # NaN and infinity must come through
        node("add", H, constant(0.0)),  # -0.0 + 0.0 is 0.0
        node("sub", H, constant(-0.0)),
        node("add", constant(0.0), H),
        node("sub", node("neg", H), C),  # −H − C as it stands is as short as −(H + C)
        node("neg", node("sub", H, C)),  # C − H is 0.0 where this is -0.0
        node("mul", node("neg", H), C),
        node("mul", H, constant(-1.0)),
        node("maximum", constant(1.0), constant(float("nan"))),
        node("add", constant(1e308), node("mul", constant(1e308), constant(10.0))),
        node("div", constant(1.0), constant(0.0)),
    ],
)
def test_what_would_change_a_number_stays(value):
    assert simplify(one_state(value)).outputs == (value,)


def test_simplifying_keeps_the_names_of_signals():
    doubled = node("neg", node("neg", H))
    assert simplify(one_state(doubled, [("a", doubled)])).signals == (("a", H),)


@pytest.mark.parametrize("name", cells.names())
def test_json_brings_back_an_equal_graph(name):
    graph = cells.get(name).graph
    text = json.dumps(to_json(graph))
    again = from_json(json.loads(text))
    assert again == graph
    assert again.outputs == graph.outputs
    assert again.summary == graph.summary
    assert pickle.loads(pickle.dumps(graph)) == graph


def test_json_without_a_newer_attribute_is_read_as_it_was_meant():
    data = to_json(cells.clockwork.graph)
    (entry,) = [entry for entry in data["nodes"] if "even" in entry]
    assert entry.pop("even") is True
    old = from_json(data)
    assert old != cells.clockwork.graph
    assert old.leaves("per_unit") == (node("per_unit", values=(1, 2, 4, 8), size="hidden"),)
    assert to_json(old) == data


def _references(data):
    for at, entry in enumerate(data["nodes"]):
        yield from ((entry["inputs"], slot, at) for slot in range(len(entry["inputs"])))


def _change(data, pick):
    changes = [
        lambda: data.pop("nodes"),
        lambda: data.update(version=2),
        lambda: data.update(nodes=data["nodes"][:-1]),
        lambda: data.update(outputs=[10**9] * len(data["outputs"])),
        lambda: data.update(outputs=[-1] * len(data["outputs"])),
        lambda: data.update(outputs=[True] * len(data["outputs"])),
        lambda: data.update(states=[]),
        lambda: data.update(inputs=[]),
        lambda: data.update(name=3),
        lambda: data.update(summary=None),
        lambda: data.update(signals=[["a"]]),
        lambda: data.update(signals=[["a", 0], ["a", 1]]),
        lambda: data["nodes"][0].update(op="exec"),
        lambda: data["nodes"][0].update(op=["add"]),
        lambda: data["nodes"][0].update(size={}),
        lambda: data["nodes"][0].update(surplus=1),
        lambda: data["nodes"][0].pop("size"),
        lambda: data["nodes"].insert(0, 7),
        lambda: data.update(nodes="abc"),
        lambda: data["nodes"][-1].update(inputs=[len(data["nodes"]) - 1]),
        lambda: data["nodes"][-1].update(inputs=None),
    ]
    changes[pick % len(changes)]()


@given(st.integers(0, 20), st.sampled_from(["lstm", "gru", "projected_lstm"]))
def test_damaged_json_is_refused(pick, name):
    data = to_json(cells.get(name).graph)
    _change(data, pick)
    with pytest.raises(GraphError):
        from_json(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=7), inner),
        max_leaves=20,
    )
)
def test_anything_else_is_not_a_graph(data):
    with pytest.raises(GraphError):
        from_json(data)


def test_equations_read_as_they_were_written():
    assert to_text(cells.lstm.graph).splitlines() == [
        "iₜ = σ(W_ix xₜ + W_ih hₜ₋₁ + b_i)",
        "fₜ = σ(W_fx xₜ + W_fh hₜ₋₁ + b_f)",
        "gₜ = tanh(W_gx xₜ + W_gh hₜ₋₁ + b_g)",
        "cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ",
        "oₜ = σ(W_ox xₜ + W_oh hₜ₋₁ + b_o)",
        "hₜ = oₜ ⊙ tanh(cₜ)",
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (node("mul", node("add", H, constant(1.0)), H), "(hₜ₋₁ + 1) ⊙ hₜ₋₁"),
        (node("sub", H, node("sub", constant(1.0), H)), "hₜ₋₁ − (1 − hₜ₋₁)"),
        (node("div", H, node("mul", H, constant(2.0))), "hₜ₋₁ / (hₜ₋₁ ⊙ 2)"),
        (node("neg", node("add", H, constant(1.0))), "−(hₜ₋₁ + 1)"),
        (node("matmul", MATRIX, node("mul", H, H)), "W_W (hₜ₋₁ ⊙ hₜ₋₁)"),
        (node("matmul_transposed", MATRIX, node("mul", H, H)), "W_Wᵀ (hₜ₋₁ ⊙ hₜ₋₁)"),
        (node("add", gradient(), gradient(origin="outside")), "δhₜ← + δhₜ"),
        (node("mul", node("matmul", MATRIX, H), H), "W_W hₜ₋₁ ⊙ hₜ₋₁"),
        (
            node("where", node("less_equal", node("step"), constant(3.0)), H, constant(0.0)),
            "(hₜ₋₁ if t ≤ 3 else 0)",
        ),
        (node("mul", node("per_unit", values=(1.0, 2.0), size="hidden"), H), "[1, 2] ⊙ hₜ₋₁"),
        (node("div", H, node("count", of="hidden")), "hₜ₋₁ / |hidden|"),
    ],
)
def test_brackets_stand_where_they_must(value, written):
    assert to_text(one_state(value)) == f"hₜ = {written}"


def test_a_name_is_written_for_one_thing_only():
    squashed = node("tanh", H)
    graph = one_state(
        node("mul", constant(2.0), squashed), [("h", squashed), ("x", node("neg", X))]
    )
    assert to_text(graph).splitlines() == ["h'ₜ = tanh(hₜ₋₁)", "x'ₜ = −xₜ", "hₜ = 2 ⊙ h'ₜ"]


def test_numbers_are_written_as_they_are():
    assert "0.123456789" in to_text(one_state(node("mul", constant(0.123456789), H)))


def test_infinity_travels_as_json():
    graph = one_state(node("add", H, constant(float("-inf"))))
    text = json.dumps(to_json(graph), allow_nan=False)
    assert from_json(json.loads(text)) == graph


def test_shared_values_are_written_once():
    value = node("tanh", H)
    for _ in range(60):
        value = node("add", value, value)
    text = to_text(one_state(value))
    assert len(text) < 2_000
    assert "u1ₜ = tanh(hₜ₋₁)" in text


def test_latex_is_balanced_and_named():
    for name in cells.names():
        latex = to_latex(cells.get(name).graph)
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")
    assert r"c_{t} &= f_{t} \odot c_{t-1} + i_{t} \odot g_{t}" in to_latex(cells.lstm.graph)


def test_gradients_are_written_in_latex_too():
    total = node("add", gradient(), gradient(origin="outside"))
    back = node("matmul_transposed", MATRIX, total)
    assert to_latex(one_state(back)) == (
        r"h_{t} &= W_{W}^{\top}\,\left(\delta h_{t}^{\leftarrow} + \delta h_{t}\right)"
    )


def test_dot_names_signals_and_states():
    dot = to_dot(cells.lstm.graph)
    assert dot.startswith('digraph "lstm"')
    assert "f = sigmoid" in dot
    assert '"c after"' in dot


def test_a_state_name_always_means_the_state():
    other = node("tanh", H)
    graph = one_state(node("neg", H), [("h", other), ("a", other)])
    assert graph.observable == {"h": node("neg", H), "a": other}


def test_sizes_beyond_input_and_hidden_are_found():
    assert cells.projected_lstm.graph.symbols == {"proj"}
    assert cells.lstm.graph.symbols == frozenset()


def test_graphs_differ_by_their_nodes_not_by_what_is_said_about_them():
    graph = cells.lstm.graph
    assert replace(graph, summary="other") == graph
    assert replace(graph, outputs=graph.outputs[::-1]) != graph
