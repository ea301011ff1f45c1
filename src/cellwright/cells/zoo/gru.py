"""Gated recurrent units."""

from cellwright.cells.decorator import cell
from cellwright.cells.language import affine, sigmoid, tanh


@cell(state="h")
def gru(x, h):
    """GRU, reset after the matrix product: the form of cuDNN, torch and Keras.

    Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP (2014),
    in the form of its first preprint, which computes all matrix products at once.
    """
    r = sigmoid(affine("r", x, h))
    z = sigmoid(affine("z", x, h))
    m = affine("m", h)
    n = tanh(affine("n", x) + r * m)
    h = (1 - z) * n + z * h
    return h


@cell(state="h")
def gru_reset_before(x, h):
    """GRU, reset before the matrix product: the form of the published paper.

    Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP (2014),
    with z keeping the old state, as there.
    """
    r = sigmoid(affine("r", x, h))
    z = sigmoid(affine("z", x, h))
    rh = r * h
    n = tanh(affine("n", x, rh))
    h = (1 - z) * n + z * h
    return h
