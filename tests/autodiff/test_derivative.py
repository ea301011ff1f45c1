"""Whole steps, taken backward through a sequence, against torch's gradient of the reference."""

import pytest
import torch
from evaluation import evaluate
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_graphs import SIZES, draw_call, graphs

import cellwright as cw
from cellwright.autodiff import differentiate
from cellwright.backends.reference import MEANING, ReferenceKernel
from cellwright.errors import GraphError
from cellwright.ir import Graph, block_of_units, node, simplify, topological
from cellwright.look.conformance_runs import FLAT

X = node("input", name="x", size="input")
H = node("state", name="h", size="hidden")
C = node("state", name="c", size="hidden")
WIDE = node("input", name="x", size="hidden")
ONE = node("constant", value=1.0)


def one_state(value, *signals):
    return Graph("test", (X,), (H,), (value,), signals)


def incoming(graph, record, sizes, steps=3, batch=2):
    """Random gradients of what a call returns: by name for every step, and of the last states."""
    generator = torch.Generator().manual_seed(7)

    def normal(name, *shape):
        units = graph.state_sizes.get(name, graph.observable[name].size)
        units = sizes.get(units, units)
        return torch.randn(*shape, units, generator=generator, dtype=torch.float64)

    names = dict.fromkeys((graph.states[0].name, *record))
    outside = {name: normal(name, steps, batch) for name in names}
    return outside, {name: normal(name, batch) for name in graph.state_sizes}


def by_torch(graph, record, sizes, dtype=torch.float64):
    """Every gradient as torch finds it by going back through the reference backend."""
    call = draw_call(graph, sizes, record=tuple(record), dtype=dtype)
    groups = {
        "input": call.inputs,
        "below": call.below,
        "state": call.states,
        "weight": call.weights,
    }
    wanted = {(kind, name): t for kind, group in groups.items() for name, t in group.items()}
    for tensor in wanted.values():
        tensor.requires_grad_()
    result = ReferenceKernel(graph, sizes, MEANING | FLAT)(call)
    outside, last = incoming(graph, record, sizes)
    returned = {graph.states[0].name: result.output} | result.signals
    pairs = [(returned[name], g) for name, g in outside.items()]
    pairs += [(result.states[name], g) for name, g in last.items()]
    pairs = [(value, g.to(dtype)) for value, g in pairs if value.requires_grad]
    values, gradients = zip(*pairs, strict=True)
    found = torch.autograd.grad(values, list(wanted.values()), gradients, allow_unused=True)
    return {
        key: torch.zeros_like(tensor) if gradient is None else gradient
        for (key, tensor), gradient in zip(wanted.items(), found, strict=True)
    }


class Backward:
    """A sequence taken step by step, forward and then backward, as a `Derivative` says."""

    def __init__(self, graph, record, sizes):
        self.derivative = differentiate(graph, record)
        self.graph, self.sizes = graph, sizes
        self.call = draw_call(graph, sizes)
        self.outside, self.carried = incoming(graph, record, sizes)
        self.steps, self.batch = self.call.inputs["x"].shape[:2]
        self.masks = {w: mask(w, sizes) for w in graph.weights.values() if w.op == "matrix"}
        groups = {"input": self.call.inputs, "below": self.call.below}
        groups |= {"state": self.call.states, "weight": self.call.weights}
        self.total = {
            (kind, name): torch.zeros_like(tensor)
            for kind, group in groups.items()
            for name, tensor in group.items()
        }

    def run(self):
        befores = [dict(self.call.states)]
        for step in range(self.steps):
            known = self.known(step, befores[-1])
            after = evaluate(self.graph.outputs, known, self.sizes)
            befores.append(dict(zip(self.graph.state_sizes, after, strict=True)))
            befores[-1] = {
                name: value.expand_as(self.call.states[name]) for name, value in befores[-1].items()
            }
        for step in reversed(range(self.steps)):
            self.back(step, self.known(step, befores[step]))
        self.total |= {("state", name): value for name, value in self.carried.items()}
        return self.total

    def known(self, step, before):
        """The leaves of one step."""
        known = {}
        for value in self.graph.nodes:
            match value.op:
                case "input":
                    known[value] = self.call.inputs[value.name][step]
                case "below":
                    known[value] = self.call.below[value.name][step]
                case "bernoulli":
                    known[value] = self.call.draws[value.name][step]
                case "state":
                    known[value] = before[value.name]
                case "step":
                    known[value] = torch.full((self.batch, 1), step, dtype=torch.float64)
                case "vector":
                    known[value] = self.call.weights[value.name]
                case "matrix":
                    known[value] = self.call.weights[value.name].where(self.masks[value], 0)
        return known

    def back(self, step, known):
        """Take one step backward: carry the states' gradients on, add up the weights'."""
        d = self.derivative
        known |= {leaf: self.outside[name][step] for name, leaf in d.outside.items()}
        known |= {leaf: self.carried[name] for name, leaf in d.later.items()}
        wanted = {("state", name): g for name, g in d.states.items()}
        wanted |= {(leaf.op, leaf.name): g for leaf, g in d.inputs.items()}
        wanted |= {("weight", name): g for name, g in d.vectors.items()}
        values = dict(zip(wanted, evaluate(list(wanted.values()), known, self.sizes), strict=True))
        for (kind, name), value in values.items():
            total = self.total[kind, name]
            if kind == "weight":
                total += value.expand(self.batch, -1).sum(0)
            elif kind == "state":
                self.carried[name] = value.expand_as(total)
            else:
                total[step] = value
        for weight, kept in self.masks.items():
            for pair in d.matrices.get(weight.name, ()):
                gradient, source = evaluate(pair, known, self.sizes)
                rows, columns = (v.expand(self.batch, -1) for v in (gradient, source))
                self.total["weight", weight.name] += (rows.T @ columns).where(kept, 0)


def mask(weight, sizes):
    """Which entries of a matrix count."""
    shape = [sizes.get(n, n) for n in (weight.size, weight.attributes["columns"])]
    kind, blocks = weight.attributes["mask"] or ("all", 1)
    row, column = (torch.tensor(block_of_units(units, blocks)) for units in shape)
    order = row[:, None] - column
    kept = {"all": order == order, "block_diagonal": order == 0}
    return (kept | {"block_lower": order >= 0, "block_upper": order <= 0})[kind]


def assert_same(found, expected, tolerance=1e-12, bounds=None):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        scale = max(float(value.nan_to_num(0, 0, 0).abs().max()), 1.0)
        bound = tolerance * scale + (bounds[key] if bounds else 0.0)
        wanted = row_by_row(value, found[key]) if key[0] == "weight" else value
        torch.testing.assert_close(found[key], wanted, rtol=0, atol=bound, equal_nan=True)


def row_by_row(value, found):
    """What torch finds for a weight, had it not summed over the rows first.

    It does where a value depends on weights alone, and (1 - 2) / 0 is infinite, but
    1 / 0 - 2 / 0 is not a number.
    """
    return value.where(~(value.isinf() & found.isnan()), torch.nan)


@cw.cell(state=("h", "c"), inputs={"gap": 1})
def everything(x, h, c, t, gap, c_below, h_below):
    """Every word of the language that a gradient flows through, or stops at."""
    a = cw.layer_norm("a", cw.affine("a", x, h, bias=None, mask=("block_lower", 2)))
    k = cw.exp(-cw.relu(cw.affine("k", gap, size=1)))
    d = cw.bernoulli("d", 0.5)
    s = cw.sign(c) * cw.floor(h * 3) + cw.softplus(a + cw.affine("s", gap))
    m = cw.max_units(cw.sin(a) * k) + cw.mean_units(cw.cos(c_below))
    f = cw.where(t % cw.per_unit([1, 2]) < 1, cw.sigmoid(a), k)
    q = cw.sqrt(1 + h_below * h_below) / cw.maximum(k + 1, cw.minimum(a, 2.0))
    c = f * c + d * m * cw.tanh(s) + q
    h = cw.scale("o", cw.tanh(c)) - k * abs(m)
    return h, c


CELLS = {name: cw.cells.get(name) for name in cw.cells.names()} | {"everything": everything}


@pytest.mark.parametrize("recorded", ["nothing", "everything"])
@pytest.mark.parametrize("name", CELLS)
def test_cells(name, recorded):
    sizes = {"input": 3, "hidden": 4, "proj": 2, "output": 2}
    for graph in (CELLS[name].graph, simplify(CELLS[name].graph)):
        record = tuple(graph.observable) if recorded == "everything" else ()
        found = Backward(graph, record, sizes).run()
        assert_same(found, by_torch(graph, record, sizes))


@settings(max_examples=200)
@given(graphs(), st.data())
def test_random_cells(graph, data):
    names = st.sets(st.sampled_from(sorted(graph.observable)), max_size=4)
    # All states are recorded, so that something flows back from every step. Where nothing does,
    # torch knows it and we carry zeros, and a zero at an infinite slope is NaN.
    record = (*graph.state_sizes, *sorted(data.draw(names) - set(graph.state_sizes)))
    expected = by_torch(graph, record, SIZES)
    rough = by_torch(graph, record, SIZES, torch.float32)
    # How far single precision is off says how badly a sum cancels.
    bounds = {key: 1e-6 * float((rough[key] - g).abs().max()) for key, g in expected.items()}
    bounds = {key: bound if bound == bound else 0.0 for key, bound in bounds.items()}
    assume(all(float(g.abs().nan_to_num(0, 0).max()) < 1e100 for g in expected.values()))
    assert_same(Backward(graph, record, SIZES).run(), expected, bounds=bounds)


def test_what_comes_in_is_named_after_what_it_is_the_gradient_of():
    value = node("tanh", C)
    graph = Graph("test", (X,), (H, C), (value, node("sum", C)), (("a", value), ("b", C)))
    derivative = differentiate(graph, ["b", "h"])
    assert list(derivative.outside) == ["h", "b"]
    assert list(derivative.later) == ["h", "c"]
    leaves = [*derivative.outside.values(), *derivative.later.values()]
    assert [leaf.attributes["origin"] for leaf in leaves] == ["outside"] * 2 + ["later"] * 2
    assert derivative.later["c"].size == "hidden"  # although it becomes one number
    assert derivative.forward is graph


def test_where_nothing_flows_nothing_is_said():
    matrix = node("matrix", name="W", size="hidden", columns="input", mask=None)
    vector = node("vector", name="v", size="hidden", role="bias", init=0.0)
    unused = node("add", node("matmul", matrix, X), vector)
    graph = one_state(node("floor", H), ("a", unused), ("b", node("floor", unused)))
    derivative = differentiate(graph, ["b"])
    assert derivative.states == {"h": node("constant", value=0.0)}
    assert derivative.inputs == derivative.matrices == derivative.vectors == {}
    derivative = differentiate(graph, ["a"])
    assert derivative.vectors == {"v": derivative.outside["a"]}
    assert derivative.matrices == {"W": ((derivative.outside["a"], X),)}


def test_every_gradient_has_the_size_of_its_value():
    vector = node("vector", name="v", size="hidden", role="bias", init=0.0)
    total = node("add", node("sum", H), node("sum", node("add", vector, WIDE)))
    assert total.size == 1
    derivative = differentiate(Graph("test", (WIDE,), (H,), (total,)))
    assert derivative.states["h"].size == "hidden"
    assert derivative.vectors["v"].size == "hidden"
    assert derivative.inputs[WIDE].size == "hidden"
    every = node("add", derivative.later["h"], derivative.outside["h"])
    ones = node("per_unit", values=(1.0,), size="hidden")
    assert derivative.states["h"] is node("mul", node("sum", every), ones)


def test_the_expression_is_as_one_would_write_it():
    graph = one_state(node("sub", node("mul", H, C), node("sigmoid", C)))
    graph = Graph("test", (X,), (H, C), (*graph.outputs, C))
    derivative = differentiate(graph)
    total = node("add", derivative.later["h"], derivative.outside["h"])
    assert derivative.states["h"] is node("mul", total, C)
    gate = node("sigmoid", C)
    slope = node("mul", node("mul", node("neg", total), node("sub", ONE, gate)), gate)
    expected = node("add", node("add", derivative.later["c"], slope), node("mul", total, H))
    assert derivative.states["c"] is expected


def test_what_is_one_number_for_all_units_is_taken_out_of_their_sum():
    mean, spread = node("sum", C), node("sum", node("abs", C))
    value = node("div", node("add", H, mean), spread)
    derivative = differentiate(Graph("test", (X,), (H, C), (value, C), ()))
    total = node("add", derivative.later["h"], derivative.outside["h"])
    found = set(topological(derivative.results))
    # dL/d mean = sum(g / spread)
    assert node("mul", node("div", ONE, spread), node("sum", total)) in found
    assert node("sum", node("div", total, spread)) not in found


@pytest.mark.parametrize("twice", ["add", "mul"])
def test_what_is_doubled_again_and_again_behind_a_mean_is_looked_at_once(twice):
    value = node("sub", H, node("sum", C))
    for _ in range(2000):
        value = node(twice, value, value)
    derivative = differentiate(Graph("test", (X,), (H, C), (value, C), ()))
    assert len(list(topological(derivative.results))) < 2000 * 12


def test_a_product_that_is_used_twice_has_one_pair():
    graph = cw.cells.gru.graph
    derivative = differentiate(graph)
    assert list(derivative.matrices) == [w for w in graph.weights if not w.endswith("bias")]
    assert all(len(pairs) == 1 for pairs in derivative.matrices.values())


def test_a_matrix_that_multiplies_two_values_has_two_pairs():
    matrix = node("matrix", name="W", size="hidden", columns="hidden", mask=None)
    inner = node("tanh", node("matmul", matrix, H))
    derivative = differentiate(one_state(node("matmul", matrix, inner)))
    assert [source for _, source in derivative.matrices["W"]] == [inner, H]


def test_recording_what_does_not_exist():
    with pytest.raises(GraphError, match=r"'test' has nothing named 'hh' to record\. Did you mean"):
        differentiate(one_state(H), ["hh"])
