"""Simple recurrent networks, before gates."""

from cellwright.cells.decorator import cell
from cellwright.cells.language import affine, relu, tanh


@cell(state="h")
def elman(x, h):
    """Elman network with tanh units: the hidden layer sees its own last value.

    Elman, "Finding structure in time", Cognitive Science 14 (1990).
    """
    h = tanh(affine("h", x, h))
    return h


@cell(state="h")
def elman_relu(x, h):
    """Elman network with rectified units: gradients that do not saturate.

    Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified
    linear units", arXiv:1504.00941 (2015); start it with recurrent="identity" for their IRNN.
    """
    h = relu(affine("h", x, h))
    return h
