"""Simple recurrent networks, before gates."""

from collections.abc import Iterable

from cellwright.arguments import as_real
from cellwright.cells.decorator import cell
from cellwright.cells.language import affine, per_unit, relu, scale, tanh, where
from cellwright.errors import CellError


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
    linear units", arXiv:1504.00941 (2015); start it with initialization="identity" for
    their IRNN.
    """
    h = relu(affine("h", x, h))
    return h


@cell(state="y")
def jordan(x, y):
    """Jordan network: what comes back is the output of the last step, of a size of its own.

    Jordan, "Serial order: a parallel distributed processing approach", ICS report 8604,
    University of California, San Diego (1986), where the units that the output comes back to
    also keep a part of what they were, a trace that decays; here they do not. Bind the
    output's size with sizes={"output": …}.
    """
    h = tanh(affine("h", x, y))
    y = tanh(affine("y", h, size="output"))
    return y


@cell(state="h")
def indrnn(x, h):
    """Independently recurrent network: each unit sees of the past only its own value.

    Li et al., "Independently recurrent neural network (IndRNN): building a longer and deeper
    RNN", CVPR (2018).
    """
    h = relu(affine("h", x) + scale("u", h))
    return h


def _growing(periods):
    """The periods as numbers; none at all where one is something else, or too large to be exact."""
    numbers = [0.0]
    for period in periods if isinstance(periods, Iterable) else ():
        number = as_real(period)
        if number is None or number % 1 != 0 or not numbers[-1] < number < 2**53:
            return ()
        numbers.append(number)
    return tuple(numbers[1:])


@cell(state="h")
def clockwork(x, h, t, *, periods=(1, 2, 4, 8)):
    """Clockwork network: groups of units that tick at different periods, the slow ones seldom.

    Koutnik, Greff, Gomez and Schmidhuber, "A clockwork RNN", ICML (2014). The units are cut
    into as many equal groups as there are periods, so their number has to divide that of the
    units; a group sees itself and the slower ones.
    """
    numbers = _growing(periods)
    if not numbers:
        raise CellError(
            f"periods must be whole numbers from 1 up that grow, such as (1, 2, 4, 8), and below "
            f"2**53; not {periods!r}"
        )
    ticks = t % per_unit(numbers, even=True) == 0
    n = tanh(affine("h", x) + affine("h", h, bias=None, mask=("block_upper", len(numbers))))
    h = where(ticks, n, h)
    return h
