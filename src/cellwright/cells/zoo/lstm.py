"""Long short-term memory."""

from cellwright.cells.decorator import cell
from cellwright.cells.language import affine, scale, sigmoid, tanh


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
def projected_lstm(x, h, c):
    """LSTM whose output is a smaller, linear projection of its memory.

    Sak, Senior and Beaufays, "Long short-term memory recurrent neural network architectures
    for large scale acoustic modeling", Interspeech (2014). Bind its size with
    sizes={"proj": …}.
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
def peephole_lstm(x, h, c):
    """LSTM with peepholes: the gates see the memory itself.

    Gers and Schmidhuber, "Recurrent nets that time and count", IJCNN (2000): input and
    forget gate look at the memory before the step, the output gate at the memory after it.
    """
    i = sigmoid(affine("i", x, h) + scale("i_peep", c, init=0.0))
    f = sigmoid(affine("f", x, h, bias=1.0) + scale("f_peep", c, init=0.0))
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = sigmoid(affine("o", x, h) + scale("o_peep", c, init=0.0))
    h = o * tanh(c)
    return h, c
