"""Random cells from the whole op set: every way of keeping and lowering a graph is the same.

What is drawn here: any tree of ops over the input, the states, the step, constants, vectors
and matrices. What is compared: the graph as it was drawn, after the pipeline's stages, and
after a journey through JSON; bit for bit, because none of the three may change a number.
"""

import json

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.backends import Call
from cellwright.backends.reference import ReferenceBackend
from cellwright.ir import OPS, Graph, from_json, node, to_json, to_latex, to_text, verify
from cellwright.pipeline import lower

SIZES = {"input": 3, "hidden": 4}
X = node("input", name="x", size="input")
STATES = tuple(node("state", name=name, size="hidden") for name in ("h", "c"))
POINTWISE = sorted(op.name for op in OPS.values() if op.kind == "pointwise" and op.name != "where")
TRUTH = sorted(op.name for op in OPS.values() if op.kind == "truth")
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e30])


@st.composite
def graphs(draw):
    """A graph of two states; each new value is built from those before it."""
    values = [
        *STATES,
        node("step"),
        node("constant", value=draw(NUMBERS)),
        node("per_unit", values=(1.0, 2.0), size="hidden"),
        node("count", of="input"),
        node("vector", name="v", size="hidden", role="scale", init=1.0),
        product("Wx", X),
    ]
    for number in range(draw(st.integers(4, 14))):
        values.append(draw(values_from(values, number)))
    picked = [draw(st.sampled_from(values)) for _ in STATES]
    # A bare vector or a number is no state; adding it to one is.
    outputs = tuple(
        node("add", node("tanh", value), state) for value, state in zip(picked, STATES, strict=True)
    )
    signals = tuple((f"s{n}", value) for n, value in enumerate(values) if value.op != "matrix")
    return verify(Graph("random", (X,), STATES, outputs, signals))


def product(name, value):
    matrix = node("matrix", name=name, size="hidden", columns=value.size, mask=None)
    return node("matmul", matrix, value)


def values_from(values, number):
    one = st.sampled_from(values)
    wide = st.sampled_from([value for value in values if value.size == "hidden"])
    pointwise = st.sampled_from(POINTWISE).flatmap(
        lambda op: st.tuples(*[one] * OPS[op].arity).map(lambda inputs: node(op, *inputs))
    )
    truth = st.tuples(st.sampled_from(TRUTH), one, one).map(lambda t: node(t[0], t[1], t[2]))
    chosen = st.tuples(truth, one, one).map(lambda inputs: node("where", *inputs))
    reduced = st.tuples(st.sampled_from(["sum", "max"]), wide).map(lambda t: node(*t))
    # Simplifying looks for certain operations on certain numbers: they must be met often.
    special = st.tuples(
        st.sampled_from(["add", "sub", "mul", "div"]), wide, st.sampled_from([0.0, 1.0])
    ).map(lambda t: node(t[0], t[1], node("constant", value=t[2])))
    return st.one_of(
        special, pointwise, chosen, reduced, wide.map(lambda v: product(f"W{number}", v))
    )


def run(graph):
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, weight in sorted(graph.weights.items()):
        shape = [SIZES[weight.size]]
        if weight.op == "matrix":
            shape.append(SIZES[weight.attributes["columns"]])
        weights[name] = torch.randn(shape, generator=generator, dtype=torch.float64)
    call = Call(
        inputs={"x": torch.randn(3, 2, 3, generator=generator, dtype=torch.float64)},
        states={s.name: torch.randn(2, 4, generator=generator).double() for s in STATES},
        weights=weights,
        active=torch.tensor([[1, 1], [1, 0], [1, 0]], dtype=torch.bool),
        record=tuple(graph.observable),
    )
    result = ReferenceBackend().build(graph, SIZES)(call)
    return result.states | result.signals


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_no_stage_changes_a_number(graph):
    expected = run(graph)
    for other in (lower(graph), from_json(json.loads(json.dumps(to_json(graph))))):
        found = run(other)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=0, equal_nan=True)


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_every_graph_can_be_written(graph):
    for text in (to_text(graph), to_latex(graph)):
        assert len(text.splitlines()) >= 2
        assert len(text) < 200 * len(graph.nodes) + 1_000
    assert to_latex(graph).count("{") == to_latex(graph).count("}")
