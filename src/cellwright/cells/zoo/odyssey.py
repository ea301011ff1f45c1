"""The variants of a large comparison: an LSTM with peepholes, one thing changed in each.

Greff et al., "LSTM: a search space odyssey", IEEE Transactions on Neural Networks and Learning
Systems 28 (2017). Their vanilla LSTM (V) is `peephole_lstm`, and without peepholes (NP) `lstm`.
"""

from cellwright.cells.decorator import cell
from cellwright.cells.language import affine, scale, sigmoid, tanh


def _gate(name, x, h, c, bias=0.0):
    return sigmoid(affine(name, x, h, bias=bias) + scale(f"{name}_peep", c, init=0.0))


@cell(state=("h", "c"))
def nig_lstm(x, h, c):
    """LSTM without an input gate (NIG): everything new is written.

    Greff et al., "LSTM: a search space odyssey" (2017).
    """
    f = _gate("f", x, h, c, bias=1.0)
    g = tanh(affine("g", x, h))
    c = f * c + g
    o = _gate("o", x, h, c)
    h = o * tanh(c)
    return h, c


@cell(state=("h", "c"))
def nfg_lstm(x, h, c):
    """LSTM without a forget gate (NFG): everything old is kept.

    Greff et al., "LSTM: a search space odyssey" (2017).
    """
    i = _gate("i", x, h, c)
    g = tanh(affine("g", x, h))
    c = c + i * g
    o = _gate("o", x, h, c)
    h = o * tanh(c)
    return h, c


@cell(state=("h", "c"))
def nog_lstm(x, h, c):
    """LSTM without an output gate (NOG): the memory is always read.

    Greff et al., "LSTM: a search space odyssey" (2017).
    """
    i = _gate("i", x, h, c)
    f = _gate("f", x, h, c, bias=1.0)
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    h = tanh(c)
    return h, c


@cell(state=("h", "c"))
def niaf_lstm(x, h, c):
    """LSTM without an input activation function (NIAF): what is written may be of any size.

    Greff et al., "LSTM: a search space odyssey" (2017).
    """
    i = _gate("i", x, h, c)
    f = _gate("f", x, h, c, bias=1.0)
    g = affine("g", x, h)
    c = f * c + i * g
    o = _gate("o", x, h, c)
    h = o * tanh(c)
    return h, c


@cell(state=("h", "c"))
def noaf_lstm(x, h, c):
    """LSTM without an output activation function (NOAF): the memory is read as it is.

    Greff et al., "LSTM: a search space odyssey" (2017).
    """
    i = _gate("i", x, h, c)
    f = _gate("f", x, h, c, bias=1.0)
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = _gate("o", x, h, c)
    h = o * c
    return h, c


@cell(state=("h", "c"))
def cifg_lstm(x, h, c):
    """LSTM with coupled input and forget gate (CIFG) and peepholes.

    Greff et al., "LSTM: a search space odyssey" (2017).
    """
    i = _gate("i", x, h, c)
    g = tanh(affine("g", x, h))
    c = (1 - i) * c + i * g
    o = _gate("o", x, h, c)
    h = o * tanh(c)
    return h, c


@cell(state=("h", "c", "i", "f", "o"))
def fgr_lstm(x, h, c, i, f, o):
    """LSTM with full gate recurrence (FGR): every gate sees all gates of the last step.

    Greff et al., "LSTM: a search space odyssey" (2017), after the LSTM of 1997.
    """
    a_i = affine("i", x, h, i, f, o)
    a_f = affine("f", x, h, i, f, o, bias=1.0)
    a_o = affine("o", x, h, i, f, o)
    i = sigmoid(a_i + scale("i_peep", c, init=0.0))
    f = sigmoid(a_f + scale("f_peep", c, init=0.0))
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = sigmoid(a_o + scale("o_peep", c, init=0.0))
    h = o * tanh(c)
    return h, c, i, f, o
