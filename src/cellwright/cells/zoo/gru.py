"""Gated recurrent units and their kin."""

from cellwright.cells.decorator import cell
from cellwright.cells.language import affine, bias, layer_norm, relu, scale, sigmoid, tanh


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


@cell(state="h")
def layer_norm_gru(x, h):
    """GRU with layer normalisation of what the input and what the last state give each gate.

    Ba, Kiros and Hinton, "Layer normalization", arXiv:1607.06450 (2016); gate by gate here,
    and z keeps the old state where theirs lets in the new.
    """
    r = sigmoid(
        layer_norm("r_x_norm", affine("r", x, bias=None))
        + layer_norm("r_h_norm", affine("r", h, bias=None))
    )
    z = sigmoid(
        layer_norm("z_x_norm", affine("z", x, bias=None))
        + layer_norm("z_h_norm", affine("z", h, bias=None))
    )
    m = layer_norm("m_norm", affine("m", h, bias=None))
    n = tanh(layer_norm("n_norm", affine("n", x, bias=None)) + r * m)
    h = (1 - z) * n + z * h
    return h


@cell(state="h")
def mgu(x, h):
    """Minimal gated unit: one gate forgets, resets and lets in.

    Zhou, Wu, Zhang and Zhou, "Minimal gated unit for recurrent neural networks",
    International Journal of Automation and Computing 13 (2016).
    """
    f = sigmoid(affine("f", x, h))
    fh = f * h
    n = tanh(affine("n", x, fh))
    h = (1 - f) * h + f * n
    return h


@cell(state="h")
def light_gru(x, h):
    """Light GRU: no reset gate, and rectified units.

    Ravanelli, Brakel, Omologo and Bengio, "Light gated recurrent units for speech
    recognition", IEEE Transactions on Emerging Topics in Computational Intelligence 2 (2018),
    without the batch normalisation of its input.
    """
    z = sigmoid(affine("z", x, h))
    n = relu(affine("n", x, h))
    h = z * h + (1 - z) * n
    return h


@cell(state="h")
def ugrnn(x, h):
    """Update-gate network: an Elman network with a gate that keeps.

    Collins, Sohl-Dickstein and Sussillo, "Capacity and trainability in recurrent neural
    networks", ICLR (2017).
    """
    g = sigmoid(affine("g", x, h, bias=1.0))
    n = tanh(affine("n", x, h))
    h = g * h + (1 - g) * n
    return h


@cell(state=("y", "h"))
def intersection_rnn(x, y, h):
    """Intersection network: one gate over time and one over depth; its output is like its input.

    Collins, Sohl-Dickstein and Sussillo, "Capacity and trainability in recurrent neural
    networks", ICLR (2017), there +RNN. The output has as many units as the input.
    """
    u = relu(affine("u", x, h, size="input"))
    n = tanh(affine("n", x, h))
    g_y = sigmoid(affine("gy", x, h, bias=1.0, size="input"))
    g_h = sigmoid(affine("gh", x, h, bias=1.0))
    y = g_y * x + (1 - g_y) * u
    h = g_h * h + (1 - g_h) * n
    return y, h


@cell(state="h")
def mut1(x, h):
    """The first of three cells that an evolutionary search found: its update gate sees no state.

    Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network
    architectures", ICML (2015); where they add the input itself, a matrix fits its size.
    """
    z = sigmoid(affine("z", x))
    r = sigmoid(affine("r", x, h))
    rh = r * h
    n = tanh(affine("n", rh) + tanh(affine("s", x, bias=None)))
    h = z * n + (1 - z) * h
    return h


@cell(state="h")
def mut2(x, h):
    """The second of three cells that an evolutionary search found: close to a GRU.

    Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network
    architectures", ICML (2015); where they add the input itself, a matrix fits its size.
    """
    z = sigmoid(affine("z", x, h))
    r = sigmoid(affine("s", x, bias=None) + affine("r", h))
    rh = r * h
    n = tanh(affine("n", x, rh))
    h = z * n + (1 - z) * h
    return h


@cell(state="h")
def mut3(x, h):
    """The third of three cells that an evolutionary search found: the update gate sees tanh(h).

    Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network
    architectures", ICML (2015).
    """
    squashed = tanh(h)
    z = sigmoid(affine("z", x, squashed))
    r = sigmoid(affine("r", x, h))
    rh = r * h
    n = tanh(affine("n", x, rh))
    h = z * n + (1 - z) * h
    return h


@cell(state=("h", "c"))
def ran(x, h, c):
    """Recurrent additive network: the memory is a weighted sum of inputs and nothing else.

    Lee, Levy and Zettlemoyer, "Recurrent additive networks", arXiv:1705.07393 (2017).
    """
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h, bias=1.0))
    g = affine("g", x, bias=None)
    c = i * g + f * c
    h = tanh(c)
    return h, c


@cell(state="h")
def fastgrnn(x, h):
    """FastGRNN: gate and candidate share their matrices, for the smallest of machines.

    Kusupati et al., "FastGRNN: a fast, accurate, stable and tiny kilobyte sized gated
    recurrent neural network", NeurIPS (2018).
    """
    a = affine("a", x, h, bias=None)
    z = sigmoid(a + bias("z_bias", init=1.0))
    n = tanh(a + bias("n_bias", init=1.0))
    zeta = sigmoid(scale("zeta", 1, init=1.0))
    nu = sigmoid(scale("nu", 1, init=-4.0))
    h = (zeta * (1 - z) + nu) * n + z * h
    return h
