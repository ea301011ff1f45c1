"""Random cells that determine every number well: nothing cancels, overflows or is infinite.

So a compiled cell can be held against the reference to the last digits, which the wilder cells of
`random_graphs` do not allow.
"""

import random

from random_graphs import clock

from cellwright.ir import OPS, Graph, node, verify_cell

SIZES = ("hidden", "hidden", "input", "other", 1)
POINTWISE = ("tanh", "sigmoid", "sin", "cos", "abs", "relu", "neg", "mul", "mul", "add", "sub")
POINTWISE += ("maximum", "minimum")
KINDS = ("product", "sum", "sum", "pointwise", "pointwise", "reduction", "normed", "chosen")
PERIODS = ((1.0, 2.0, 4.0), (3.0, 1.0), (4.0, 2.0))
MASKS = (("block_diagonal", 2), ("block_lower", 3), ("block_upper", 3))


def tame_graph(seed):
    """A graph of one to four states of any sizes, all values recorded by name; and its random."""
    drawn = random.Random(seed)
    return _Author(drawn).graph(), drawn


class _Author:
    """Writes a cell, line by line."""

    def __init__(self, drawn):
        self.drawn, self.matrices, self.made = drawn, {}, 0
        chance, size = drawn.random, lambda: drawn.choice(SIZES)
        first = node("state", name="h", size="hidden")
        count = drawn.randint(0, 3)
        self.states = (first, *(node("state", name=n, size=size()) for n in "ckq"[:count]))
        self.inputs = (node("input", name="x", size="input"),)
        if chance() < 0.4:
            self.inputs += (node("input", name="gap", size=size()),)
        self.clocks = [clock(drawn.choice(PERIODS)) for _ in range(2)] if chance() < 0.5 else []
        leaves = [
            *(node("below", name=state.name, size=state.size) for state in self.states[:2]),
            *(node("vector", name=n, size=size(), role="bias", init=0.0) for n in "uvw"),
            node("bernoulli", name="d", probability=0.5, per="step", size=size()),
            node("bernoulli", name="e", probability=0.25, per="sequence", size=size()),
            node("per_unit", values=(1.0, 0.5), size="hidden"),
            node("div", node("count", of="input"), _number(50)),
            node("sin", node("step")),
        ]
        leaves = [leaf for leaf in leaves if chance() < 0.4]
        self.values = [*self.inputs, *self.states, *leaves]

    def graph(self):
        """The whole cell."""
        for _ in range(self.drawn.randint(2, 8)):
            self.values.append(self.line(self.drawn.choice(KINDS)))
        outputs = tuple(self.after(state) for state in self.states)
        signals = tuple((f"s{n}", value) for n, value in enumerate(self.values))
        return verify_cell(Graph("tame", self.inputs, self.states, outputs, signals))

    def after(self, state):
        """What becomes of a state: mostly something new, or another state, or nothing."""
        fitting = [v for v in self.values if v.size in (state.size, 1)]
        value = self.drawn.choice(fitting[-6:])
        ways = [
            node("tanh", value),
            node("tanh", node("add", value, self.product(state, state.size))),
            node("mul", _number(0.5), node("add", node("sin", value), state)),
            self.drawn.choice([s for s in self.states if s.size == state.size]),
        ]
        if self.clocks and state.size == "hidden":
            ways += [node("where", self.drawn.choice(self.clocks), ways[0], state)] * 2
        return self.drawn.choice(ways)

    def line(self, kind):
        """One new value."""
        size = self.drawn.choice(SIZES)
        a, b = self.pick(size), self.pick(size)
        if kind == "product":
            return self.product(a, size)
        if kind == "sum":
            total = self.product(self.pick(), size)
            for other in (self.product(self.pick(), size), b, self.product(self.pick(), 1)):
                if self.drawn.random() < 0.5:
                    total = node(self.drawn.choice(["add", "sub"]), total, other)
            return total if self.drawn.random() < 0.5 else node("tanh", total)
        if kind == "reduction":
            return node("mul", node(self.drawn.choice(["sum", "max"]), self.pick()), _number(0.1))
        if kind == "normed":
            root = node("sqrt", node("add", _number(1), node("mul", b, b)))
            return node("div", a, root) if self.drawn.random() < 0.5 else root
        if kind == "chosen":
            return self.chosen(a, b)
        op = self.drawn.choice(POINTWISE)
        return node(op, *(a, b)[: OPS[op].arity])

    def chosen(self, a, b):
        """A value that is chosen, by others or by a clock."""
        if not self.clocks:
            return node("where", node("less", a, b), a, node("sin", b))
        ticks, a, b = self.drawn.choice(self.clocks), self.pick("hidden"), self.pick("hidden")
        zeroed = node("where", ticks, a, _number(0))
        ways = [node("where", ticks, a, b), zeroed, node("where", ticks, _number(0), a)]
        return self.drawn.choice([*ways, node("add", zeroed, b), node("mul", zeroed, b)])

    def pick(self, size=None):
        """A value of some size, or one number; rather a late one."""
        fitting = [v for v in self.values if size is None or v.size in (size, 1)]
        return self.drawn.choice((fitting or [_number(0.5)])[-10:])

    def product(self, value, size):
        """A matrix times a value: a new one, or one that is there already, straight or turned."""
        key = (size, value.size)
        if key in self.matrices and self.drawn.random() < 0.3:
            return node("matmul", self.matrices[key], value)
        if key[::-1] in self.matrices and self.drawn.random() < 0.5:
            return node("matmul_transposed", self.matrices[key[::-1]], value)
        masked = 1 not in key and self.drawn.random() < 0.3
        mask = self.drawn.choice(MASKS) if masked else None
        self.made += 1
        name = f"W{self.made}"
        self.matrices[key] = node("matrix", name=name, size=size, columns=value.size, mask=mask)
        return node("matmul", self.matrices[key], value)


def _number(value):
    return node("constant", value=float(value))
