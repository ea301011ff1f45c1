"""Cells beyond the zoo, each for something that a compiler of cells can get wrong."""

import cellwright as cw
from cellwright.ir import Graph, node, verify_cell


@cw.cell(state=("h", "c"), inputs={"gap": 1})
def everything(x, h, c, t, gap, c_below, h_below):
    """Every word of the language."""
    a = cw.layer_norm("a", cw.affine("a", x, h, bias=None, mask=("block_lower", 3)))
    k = cw.exp(-cw.relu(cw.affine("k", gap, size=1)))
    d = cw.bernoulli("d", 0.5)
    e = cw.bernoulli("e", 0.25, per="sequence")
    s = cw.sign(c) * cw.floor(h * 3) + cw.softplus(a + cw.affine("s", gap))
    m = cw.max_units(cw.sin(a) * k) + cw.mean_units(cw.cos(c_below))
    f = cw.where(t % cw.per_unit([1, 2]) < 1, cw.sigmoid(a), k)
    q = cw.sqrt(1 + h_below * h_below) / cw.maximum(k + 1, cw.minimum(a, 2.0))
    c = f * c + d * m * cw.tanh(s) + e * q
    h = cw.scale("o", cw.tanh(c)) - k * abs(m)
    return h, c


@cw.cell(state="h")
def embedded(x, h):
    """What follows from the input alone, through two layers, is done ahead of the loop."""
    e = cw.tanh(cw.affine("e", x, size=7))
    d = cw.relu(cw.affine("d", e))
    f = cw.sigmoid(cw.affine("f", d, h) + cw.affine("p", e))
    h = f * h + (1 - f) * d * cw.mean_units(e)
    return h


@cw.cell(state=("h", "c"))
def normed_lstm(x, h, c):
    """Sums over all units between the product and what it feeds."""
    i, f, o = (
        cw.sigmoid(cw.layer_norm(k, cw.affine(k, x, h, bias=None, mask=("block_diagonal", 3))))
        for k in "ifo"
    )
    g = cw.tanh(cw.affine("g", x, h, mask=("block_upper", 3)))
    c = f * c + i * g
    h = o * cw.tanh(cw.layer_norm("c", c))
    return h, c


@cw.cell(state=("h", "c"))
def resting(x, h, c, t):
    """Units that rest, behind a product, a reduction and another time; one that is recorded."""
    phase = t % cw.per_unit([3, 1, 2])
    ticks = phase < 1
    a = cw.affine("a", x, h)
    n = cw.where(ticks, cw.tanh(cw.affine("n", x, h, mask=("block_upper", 3))), c)
    c = cw.where(ticks, c + cw.layer_norm("c", a), 0.5 * c)
    h = cw.tanh(c) * n + cw.exp(-phase) * cw.where(t % 2 == 0, cw.sigmoid(a), 0)
    return h, c


@cw.cell(state=("h", "c", "k"))
def looked_at(x, h, c, k, t):
    """What a clock chooses is looked at by somebody else: gradients of vectors and matrices."""
    ticks = t % cw.per_unit([1, 2, 4]) == 0
    inner = cw.where(ticks, cw.affine("i", x, h), 0) + cw.bias("b")
    outer = cw.tanh(cw.where(ticks, cw.affine("o", inner), 0) + cw.bias("e"))
    u = c * k
    root = cw.where(ticks, cw.sqrt(cw.affine("r", x, h) + 50.0) * 0.1, h)
    return outer * root, 0.3 * cw.affine("u", x, u), cw.sigmoid(cw.where(ticks, u, k) * c)


@cw.cell(state=("h", "c"))
def two_clocks(x, h, c, t):
    """Each state has a clock of its own: what rests by the one may not by the other."""
    n = cw.sigmoid(cw.tanh(cw.affine("n", x, c)))
    h = cw.where(t % cw.per_unit([1, 2]) == 0, cw.tanh(cw.affine("a", x, h)), h)
    c = cw.where(t % cw.per_unit([1, 3]) == 0, n, c)
    return h, c


@cw.cell(state=("h", "c"), inputs={"gap": 1})
def one_number(x, h, c, gap):
    """One number a row: in sums of many units, and met by matrices, as it is and made of others."""
    s = cw.affine("s", x, size=1)
    a = s + cw.affine("a", x, h, -gap, cw.mean_units(x))
    k = cw.exp(-cw.relu(cw.affine("k", cw.maximum(gap, 0.0))))
    c = k * c + cw.tanh(a)
    h = cw.tanh(cw.affine("o", c, gap * 0.5) + cw.affine("r", c, size=1, bias=None))
    return h, c


@cw.cell(state="h")
def told(x, h, t):
    """Times, tables and draws that meet matrices, reductions and clocks, and are recorded."""
    p = cw.per_unit([0.5, -1.0])
    d = cw.bernoulli("d", 0.25)
    e = cw.bernoulli("e", 0.5, per="sequence")
    m = cw.where(t % cw.per_unit([1, 2, 4]) == 0, d * h, 0)
    a = cw.affine("a", x, h, t * 0.1, d, p) + cw.sum_units(d * e) * 0.1
    h = cw.tanh(a + m + cw.scale("v", m))
    return h


@cw.cell(state=("h", "old", "before_old", "number", "bias"))
def delayed(x, h, old, before_old, number, bias):
    """States that become each other's last values, a number, or a vector."""
    n = cw.sum_units(cw.affine("n", x, size=1) * 0.1)
    v = cw.scale("v", 1.0 + 0 * h)
    h_new = cw.tanh(cw.affine("h", x, h) + old * before_old + number + bias)
    return h_new, h, old, n, v


@cw.cell(state=("h", "c"))
def waiting(x, h, c):
    """A sweep that waits long for one state is opened before those that it needs for the other."""
    s = cw.sum_units(c)
    for _ in range(2):
        s = cw.sum_units(cw.tanh(s))
    a = cw.affine("a", x, cw.tanh(h))
    d = a - cw.mean_units(a)
    return d / cw.sqrt(cw.mean_units(d * d) + 1), 0.5 * c + s


def tied():
    """One matrix applied twice and turned, to values, to constants and to vectors."""
    x = node("input", name="x", size="input")
    h = node("state", name="h", size="hidden")
    inward = node("matrix", name="Wx", size="hidden", columns="input", mask=None)
    matrix = node("matrix", name="W", size="hidden", columns="hidden", mask=("block_lower", 3))
    vector = node("vector", name="v", size="hidden", role="bias", init=0.0)
    table = node("per_unit", values=(0.5, -1.0, 0.25), size="hidden")
    inner = node("tanh", node("add", node("matmul", matrix, h), node("matmul", inward, x)))
    outer = node("add", node("matmul", matrix, inner), node("matmul_transposed", matrix, h))
    given = node("add", node("matmul", matrix, vector), node("matmul_transposed", matrix, table))
    back = node("matmul_transposed", inward, outer)
    forth = node("matmul", inward, node("tanh", back))
    total = node("add", node("add", outer, given), forth)
    signals = (("inner", inner), ("back", back), ("given", given))
    return verify_cell(Graph("tied", (x,), (h,), (node("tanh", total),), signals))


def turned_twice():
    """One matrix turned for two values: both left sides of its gradient have one right side."""
    x = node("input", name="x", size="input")
    h = node("state", name="h", size="hidden")
    inward = node("matrix", name="Wx", size="hidden", columns="input", mask=None)
    matrix = node("matrix", name="W", size="hidden", columns="hidden", mask=None)
    one = node("tanh", node("add", node("matmul", inward, x), h))
    other = node("sigmoid", h)
    both = [node("matmul_transposed", matrix, value) for value in (one, other)]
    return verify_cell(Graph("turned_twice", (x,), (h,), (node("tanh", node("add", *both)),), ()))


def uneven(graph):
    """The same equations, the groups of units cut as equal as can be where they must be equal."""

    def rule(value):
        asks = value.attributes.get("even")
        return node(value.op, **value.attributes | {"even": False}) if asks else value

    return graph.rewrite(rule)


GRAPHS = {name: cw.cells.get(name).graph for name in cw.cells.names()}
ODD = (everything, embedded, normed_lstm, resting, looked_at, two_clocks, one_number, told, delayed)
ODD += (waiting,)
GRAPHS |= {c.graph.name: c.graph for c in ODD}
GRAPHS["tied"] = tied()
GRAPHS["turned_twice"] = turned_twice()
GRAPHS["uneven_clockwork"] = uneven(GRAPHS["clockwork"])
