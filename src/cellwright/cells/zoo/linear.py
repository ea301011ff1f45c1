"""Cells without a matrix in the recurrence: all products are done before the loop over time."""

from cellwright.cells.decorator import cell
from cellwright.cells.language import affine, scale, sigmoid


@cell(state="h")
def min_lstm(x, h):
    """Minimal LSTM: gates that see the input alone, and always share out a whole.

    Feng et al., "Were RNNs all we needed?", arXiv:2410.01201 (2024).
    """
    f = sigmoid(affine("f", x, bias=1.0))
    i = sigmoid(affine("i", x))
    g = affine("g", x)
    h = f / (f + i) * h + i / (f + i) * g
    return h


@cell(state="h")
def min_gru(x, h):
    """Minimal GRU: one gate that sees the input alone.

    Feng et al., "Were RNNs all we needed?", arXiv:2410.01201 (2024).
    """
    z = sigmoid(affine("z", x))
    n = affine("n", x)
    h = (1 - z) * h + z * n
    return h


@cell(state=("h", "c"))
def sru(x, h, c):
    """Simple recurrent unit: light recurrence, and a highway from input to output.

    Lei et al., "Simple recurrent units for highly parallelizable recurrence", EMNLP (2018);
    a matrix fits the input's size to that of the highway.
    """
    f = sigmoid(affine("f", x, bias=1.0) + scale("f_peep", c, init=0.0))
    r = sigmoid(affine("r", x) + scale("r_peep", c, init=0.0))
    n = affine("n", x, bias=None)
    c = f * c + (1 - f) * n
    h = r * c + (1 - r) * affine("k", x, bias=None)
    return h, c
