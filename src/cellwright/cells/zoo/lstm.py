"""Long short-term memory."""

from collections.abc import Iterable, Mapping

from cellwright.arguments import as_whole
from cellwright.cells.decorator import cell
from cellwright.cells.language import (
    affine,
    bias,
    exp,
    layer_norm,
    maximum,
    mean_units,
    scale,
    sigmoid,
    softplus,
    sqrt,
    tanh,
    where,
)
from cellwright.errors import CellError


@cell(state=("h", "c"))
def lstm(x, h, c):
    """LSTM with a forget gate: a memory that gates write, keep and read.

    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); the
    forget gate by Gers, Schmidhuber and Cummins, "Learning to forget", Neural Computation 12
    (2000), its bias started at 1 as they advise (Jozefowicz et al. 2015 measured it).
    """
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h, bias=1.0))
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = sigmoid(affine("o", x, h))
    h = o * tanh(c)
    return h, c


@cell(state=("h", "c"))
def lstm_1997(x, h, c):
    """The first LSTM: nothing is ever forgotten, the carousel turns at exactly 1.

    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), with
    its squashing functions of range (-2, 2) and (-1, 1).
    """
    i = sigmoid(affine("i", x, h))
    g = 4 * sigmoid(affine("g", x, h)) - 2
    c = c + i * g
    o = sigmoid(affine("o", x, h))
    h = o * (2 * sigmoid(c) - 1)
    return h, c


@cell(state=("h", "c"))
def projected_lstm(x, h, c):
    """LSTM whose output is a smaller, linear projection of its memory.

    Sak, Senior and Beaufays, "Long short-term memory recurrent neural network architectures
    for large scale acoustic modeling", Interspeech (2014), without the peepholes and the
    optional projection that does not recur. Bind its size with sizes={"proj": …}.
    """
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h, bias=1.0))
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = sigmoid(affine("o", x, h))
    m = o * tanh(c)
    h = affine("r", m, bias=None, size="proj")
    return h, c


@cell(state=("h", "c"))
def peephole_lstm(x, h, c, *, peepholes="ifo"):
    """LSTM with peepholes: the gates see the memory itself.

    Gers and Schmidhuber, "Recurrent nets that time and count", IJCNN (2000): input and
    forget gate look at the memory before the step, the output gate at the memory after it.
    The option names the gates that look.
    """
    if isinstance(peepholes, Mapping) or not isinstance(peepholes, Iterable):
        raise CellError(f"peepholes names the gates that look, as 'ifo' does, not {peepholes!r}")
    for gate in peepholes:
        if gate not in ("i", "f", "o"):
            raise CellError(f"a peephole for {gate!r}: the gates of this cell are i, f and o")

    def sees(gate, memory):
        return scale(f"{gate}_peep", memory, init=0.0) if gate in peepholes else 0.0

    i = sigmoid(affine("i", x, h) + sees("i", c))
    f = sigmoid(affine("f", x, h, bias=1.0) + sees("f", c))
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = sigmoid(affine("o", x, h) + sees("o", c))
    h = o * tanh(c)
    return h, c


@cell(state=("h", "c"))
def coupled_lstm(x, h, c):
    """LSTM whose input and forget gate are one: what is forgotten makes room for the new.

    Greff et al., "LSTM: a search space odyssey", IEEE Transactions on Neural Networks and
    Learning Systems 28 (2017), where it carries peepholes too (`cifg_lstm`).
    """
    f = sigmoid(affine("f", x, h, bias=1.0))
    g = tanh(affine("g", x, h))
    c = f * c + (1 - f) * g
    o = sigmoid(affine("o", x, h))
    h = o * tanh(c)
    return h, c


def _side_by_side(**sums):
    """Normalise several values as if they were one; a learned gain each."""

    def mean(values):
        first, *others = map(mean_units, values)
        return sum(others, first) / len(sums)

    middle = mean(sums.values())
    centred = {name: value - middle for name, value in sums.items()}
    spread = sqrt(mean(value**2 for value in centred.values()) + 1e-5)
    return [scale(f"{name}_gain", value / spread) for name, value in centred.items()]


@cell(state=("h", "c"))
def layer_norm_lstm(x, h, c):
    """LSTM with layer normalisation: steady sums, however long the sequence.

    Ba, Kiros and Hinton, "Layer normalization", arXiv:1607.06450 (2016): what the input gives
    to all gates is normalised as one vector, and so is what the last output gives, and the
    memory before it is read.
    """
    i_x, f_x, g_x, o_x = _side_by_side(
        i_x=affine("i", x, bias=None),
        f_x=affine("f", x, bias=None),
        g_x=affine("g", x, bias=None),
        o_x=affine("o", x, bias=None),
    )
    i_h, f_h, g_h, o_h = _side_by_side(
        i_h=affine("i", h, bias=None),
        f_h=affine("f", h, bias=None),
        g_h=affine("g", h, bias=None),
        o_h=affine("o", h, bias=None),
    )
    i = sigmoid(i_x + i_h + bias("i_bias"))
    f = sigmoid(f_x + f_h + bias("f_bias", init=1.0))
    g = tanh(g_x + g_h + bias("g_bias"))
    o = sigmoid(o_x + o_h + bias("o_bias"))
    c = f * c + i * g
    h = o * tanh(layer_norm("c", c))
    return h, c


@cell(state=("h", "c"))
def multiplicative_lstm(x, h, c):
    """LSTM whose recurrent weights depend on the input: each input its own transition.

    Krause, Lu, Murray and Renals, "Multiplicative LSTM for sequence modelling",
    arXiv:1609.07959 (2016).
    """
    m = affine("mx", x, bias=None) * affine("mh", h, bias=None)
    i = sigmoid(affine("i", x, m))
    f = sigmoid(affine("f", x, m, bias=1.0))
    g = tanh(affine("g", x, m))
    c = f * c + i * g
    o = sigmoid(affine("o", x, m))
    h = o * tanh(c)
    return h, c


@cell(state="h")
def janet(x, h, *, beta=1.0):
    """Just another network: an LSTM with nothing but its forget gate.

    van der Westhuizen and Lasenby, "The unreasonable effectiveness of the forget gate",
    arXiv:1804.04849 (2018); with beta above 0 more is let in than is forgotten.
    """
    s = affine("f", x, h, bias=1.0)
    f = sigmoid(s)
    g = tanh(affine("g", x, h))
    h = f * h + (1 - sigmoid(s - beta)) * g
    return h


@cell(state=("h", "c", "n", "m"))
def slstm(x, h, c, n, m, *, heads=1, forget="sigmoid"):
    """LSTM with exponential gates: it can revise what it stored, its sums kept in bounds by m.

    Beck et al., "xLSTM: extended long short-term memory", NeurIPS (2024). With several heads
    units see only those of their own head, and there are equally many in each; the forget gate
    is "sigmoid" or "exponential".
    """
    if forget not in ("sigmoid", "exponential"):
        raise CellError(f"forget is 'sigmoid' or 'exponential', not {forget!r}")
    number = as_whole(heads)
    if number is None or number < 1:
        raise CellError(f"heads must be a whole number from 1 up, not {heads!r}")
    mask = ("block_diagonal", number) if number != 1 else None

    def sees(gate, start=0.0):
        return affine(gate, x, bias=start) + affine(gate, h, bias=None, mask=mask, even=True)

    log_i = sees("i")
    a = sees("f", 1.0)
    log_f = -softplus(-a) if forget == "sigmoid" else a
    z = tanh(sees("z"))
    o = sigmoid(sees("o"))
    # Where n is 0 nothing is stored yet: m starts at log_i, so that a closed gate gives no 0/0.
    kept = where(n == 0, log_i, log_f + m)
    m = maximum(kept, log_i)
    i = exp(log_i - m)
    f = exp(kept - m)
    c = f * c + i * z
    n = f * n + i
    h = o * (c / n)
    return h, c, n, m


@cell(state=("h", "c"))
def depth_gated_lstm(x, h, c, c_below):
    """LSTM with a depth gate: it lets the memory of the layer below straight into its own.

    Yao et al., "Depth-gated recurrent neural networks", arXiv:1508.03790 (2015), with the
    peepholes of their formulas.
    """
    i = sigmoid(affine("i", x, h) + scale("i_peep", c, init=0.0))
    f = sigmoid(affine("f", x, h, bias=1.0) + scale("f_peep", c, init=0.0))
    g = tanh(affine("g", x, h))
    d = sigmoid(affine("d", x) + scale("d_peep", c, init=0.0) + scale("d_below", c_below, init=0.0))
    c = d * c_below + f * c + i * g
    o = sigmoid(affine("o", x, h) + scale("o_peep", c, init=0.0))
    h = o * tanh(c)
    return h, c
