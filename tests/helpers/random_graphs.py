"""Random cells from the whole op set, and numbers to run a cell on."""

import torch
from hypothesis import strategies as st

from cellwright.backends import Call
from cellwright.ir import OPS, Graph, node, verify_cell

SIZES = {"input": 3, "hidden": 4}
X = node("input", name="x", size="input")
STATES = tuple(node("state", name=name, size="hidden") for name in ("h", "c"))
POINTWISE = sorted(op.name for op in OPS.values() if op.kind == "pointwise" and op.name != "where")
TRUTH = sorted(op.name for op in OPS.values() if op.kind == "truth")
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e30])
MASKS = st.sampled_from([None, ("block_diagonal", 2), ("block_lower", 3), ("block_upper", 4)])


@st.composite
def graphs(draw):
    """A graph of two states; each new value is built from those before it."""
    values = [
        *STATES,
        node("below", name="c", size="hidden"),
        node("step"),
        node("constant", value=draw(NUMBERS)),
        node("per_unit", values=(1.0, 2.0), size="hidden"),
        node("count", of="input"),
        node("bernoulli", name="d", probability=0.5, per="step", size="hidden"),
        node("vector", name="v", size="hidden", role="scale", init=1.0),
        node("vector", name="w", size=1, role="bias", init=0.0),
        product("Wx", X, None),
    ]
    for number in range(draw(st.integers(4, 14))):
        values.append(draw(values_from(values, number)))
    picked = [draw(st.sampled_from(values)) for _ in STATES]
    # A bare vector or a number is no state; adding it to one is.
    outputs = [
        node("add", node("tanh", value), state) for value, state in zip(picked, STATES, strict=True)
    ]
    if draw(st.booleans()):
        outputs[1] = node("sum", outputs[1])  # a state that becomes one number for all units
    signals = tuple((f"s{n}", value) for n, value in enumerate(values))
    return verify_cell(Graph("random", (X,), STATES, tuple(outputs), signals))


def product(name, value, mask):
    matrix = node("matrix", name=name, size="hidden", columns=value.size, mask=mask)
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
    # Simplifying looks for certain operations on certain numbers and signs: they must be met often.
    special = st.tuples(
        st.sampled_from(["add", "sub", "mul", "div"]), wide, st.sampled_from([0.0, -0.0, 1.0])
    ).map(lambda t: node(t[0], t[1], node("constant", value=t[2])))
    signed = st.tuples(st.sampled_from(["add", "sub", "mul", "div"]), one, one).flatmap(
        lambda t: st.sampled_from(
            [
                node(t[0], node("neg", t[1]), t[2]),
                node(t[0], t[1], node("neg", t[2])),
                node(t[0], node("neg", t[1]), node("neg", t[2])),
            ]
        )
    )
    multiplied = st.tuples(wide, MASKS).map(lambda t: product(f"W{number}", *t))
    return st.one_of(special, signed, pointwise, chosen, reduced, multiplied)


def clock(periods):
    """Whether a unit ticks: at every step that its period divides."""
    step, period = node("step"), node("per_unit", values=periods, size="hidden")
    past = node("mul", period, node("floor", node("div", step, period)))
    return node("equal", node("sub", step, past), node("constant", value=0.0))


# The state that an sLSTM's memory is divided by is a sum of positive numbers.
POSITIVE = {("slstm", "n")}


def draw_call(graph, sizes, *, steps=3, batch=2, dtype=torch.float64, **more):
    """The same numbers every time, whatever the dtype, for all that a cell reads."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        units = [sizes.get(size, size) for size in shape]
        return torch.randn(units, generator=generator, dtype=torch.float64).to(dtype)

    weights = {
        name: normal(*[weight.attributes[a] for a in ("size", "columns") if a in weight.attributes])
        for name, weight in sorted(graph.weights.items())
    }
    draws = {
        d.name: (normal(*[steps] * (d.attributes["per"] == "step"), batch, d.size) > 0).to(dtype)
        for d in graph.leaves("bernoulli")
    }
    states = {name: normal(batch, size) for name, size in graph.state_sizes.items()}
    for name, value in states.items():
        if (graph.name, name) in POSITIVE:
            states[name] = value.abs() + 1
    return Call(
        inputs={leaf.name: normal(steps, batch, leaf.size) for leaf in graph.inputs},
        states=states,
        below={leaf.name: normal(steps, batch, leaf.size) for leaf in graph.leaves("below")},
        weights=weights,
        draws=draws,
        **more,
    )


WILD_STATES = (*STATES, node("state", name="k", size=1), node("state", name="q", size="input"))
FAMILIES = ("hidden", "hidden", "input", 1)


@st.composite
def wild_graphs(draw):
    """A graph that no author would write: whatever the rules of a cell allow.

    Its states differ in size, become constants, vectors, each other's last values or one number
    a row; matrices multiply anything, twice, and turned.
    """
    values = [
        X,
        *WILD_STATES,
        *(node("below", name=state.name, size=state.size) for state in WILD_STATES[1:3]),
        node("step"),
        node("constant", value=draw(NUMBERS)),
        node("per_unit", values=(1.0, 2.0), size="hidden"),
        node("per_unit", values=(0.5,), size=1),
        node("count", of="hidden"),
        node("bernoulli", name="d", probability=0.5, per="step", size="hidden"),
        node("bernoulli", name="e", probability=0.5, per="sequence", size="input"),
        node("vector", name="v", size="hidden", role="scale", init=1.0),
        node("vector", name="w", size=1, role="bias", init=0.0),
        node("vector", name="u", size="input", role="bias", init=0.0),
    ]
    for number in range(draw(st.integers(4, 16))):
        values.append(draw(wild_values_from(values, number)))
    outputs = []
    for state in WILD_STATES:
        fitting = [v for v in values if v.size in (state.size, 1)]
        outputs.append(draw(st.sampled_from(fitting[-8:] if draw(st.booleans()) else fitting)))
    signals = tuple((f"s{n}", v) for n, v in enumerate(values) if draw(st.booleans()))
    return verify_cell(Graph("wild", (X,), WILD_STATES, tuple(outputs), signals))


@st.composite
def wild_values_from(draw, values, number):
    kind = draw(st.sampled_from(["pointwise", "pointwise", "where", "reduction", "product", "sum"]))
    if kind == "reduction":
        return node(draw(st.sampled_from(["sum", "max"])), draw(st.sampled_from(values)))
    if kind == "product":
        return draw(wild_product(values, number))
    family = draw(st.sampled_from(FAMILIES))
    one = st.sampled_from([v for v in values if v.size in (family, 1)])
    if kind == "sum":  # of products, as cells have them
        terms = [v for v in values if v.kind == "product" and v.size == family] or [draw(one)]
        return node("add", draw(st.sampled_from(terms)), draw(one))
    if kind == "where":
        truth = node(draw(st.sampled_from(TRUTH)), draw(one), draw(one))
        return node("where", truth, draw(one), draw(one))
    op = draw(st.sampled_from(POINTWISE))
    return node(op, *(draw(one) for _ in range(OPS[op].arity)))


@st.composite
def wild_product(draw, values, number):
    known = [v.inputs[0] for v in values if v.kind == "product"]
    value = draw(st.sampled_from(values))
    fitting = [(m, m.attributes["columns"] == value.size) for m in known]
    fitting = [(m, straight) for m, straight in fitting if straight or m.size == value.size]
    if fitting and draw(st.booleans()):
        matrix, straight = draw(st.sampled_from(fitting))
        return node("matmul" if straight else "matmul_transposed", matrix, value)
    size = draw(st.sampled_from(FAMILIES))
    mask = draw(MASKS) if {size, value.size} == {"hidden"} else None
    return node(
        "matmul",
        node("matrix", name=f"W{number}", size=size, columns=value.size, mask=mask),
        value,
    )
