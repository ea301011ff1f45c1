"""LSTM, GRU and Elman network with the options that other libraries give them.

Where an option makes no difference to a cell of the zoo, that cell is taken instead.
"""

from __future__ import annotations

from cellwright import cells
from cellwright.cells import transform
from cellwright.cells.cell import Cell
from cellwright.cells.decorator import cell
from cellwright.cells.language import affine, maximum, minimum, scale
from cellwright.cells.value import Value
from cellwright.exchange.activations import RELU, SIGMOID, TANH, Activation

__all__ = ["elman_cell", "gru_cell", "lstm_cell"]


def lstm_cell(
    gates: Activation = SIGMOID,
    candidate: Activation = TANH,
    readout: Activation = TANH,
    *,
    clip: float | None = None,
    peepholes: bool = False,
    coupled: bool = False,
    projected: bool = False,
    bias: bool = True,
) -> Cell:
    """The cell of an LSTM with these options; one with a projection has no others."""
    if projected:
        found = cells.get("projected_lstm")
    elif (gates, candidate, readout, clip, coupled) == (SIGMOID, TANH, TANH, None, False):
        found = cells.get("peephole_lstm" if peepholes else "lstm")
    else:
        found = general_lstm(
            gates=gates,
            candidate=candidate,
            readout=readout,
            clip=clip,
            peepholes=peepholes,
            coupled=coupled,
        )
    return _with_bias(found, bias)


def gru_cell(
    gates: Activation = SIGMOID,
    candidate: Activation = TANH,
    *,
    clip: float | None = None,
    reset_after: bool = True,
    bias: bool = True,
) -> Cell:
    """The cell of a GRU with these options."""
    if (gates, candidate, clip) == (SIGMOID, TANH, None):
        found = cells.get("gru" if reset_after else "gru_reset_before")
    else:
        found = general_gru(gates=gates, candidate=candidate, clip=clip, reset_after=reset_after)
    return _with_bias(found, bias)


def elman_cell(
    activation: Activation = TANH, *, clip: float | None = None, bias: bool = True
) -> Cell:
    """The cell of an Elman network with these options."""
    plain = {TANH: "elman", RELU: "elman_relu"}
    if clip is None and activation in plain:
        found = cells.get(plain[activation])
    else:
        found = general_elman(activation=activation, clip=clip)
    return _with_bias(found, bias)


def _with_bias(found: Cell, bias: bool) -> Cell:
    return found if bias else Cell(transform.without_bias(found.graph))


def _clipped(value: Value, clip: float | None) -> Value:
    return value if clip is None else minimum(maximum(value, -clip), clip)


@cell(state=("h", "c"))
def general_lstm(
    x: Value,
    h: Value,
    c: Value,
    *,
    gates: Activation = SIGMOID,
    candidate: Activation = TANH,
    readout: Activation = TANH,
    clip: float | None = None,
    peepholes: bool = False,
    coupled: bool = False,
) -> tuple[Value, Value]:
    """LSTM with other squashing functions, peepholes, clipping or coupled gates.

    As the operator LSTM of ONNX defines them: `clip` bounds what enters a squashing function,
    and a coupled forget gate is one minus the input gate.
    """

    def gate(name: str, memory: Value, start: float = 0.0) -> Value:
        total = affine(name, x, h, bias=start)
        if peepholes:
            total = total + scale(f"{name}_peep", memory, init=0.0)
        return gates(_clipped(total, clip))

    i = gate("i", c)
    f = 1 - i if coupled else gate("f", c, 1.0)
    g = candidate(_clipped(affine("g", x, h), clip))
    c = f * c + i * g
    o = gate("o", c)
    h = o * readout(_clipped(c, clip))
    return h, c


@cell(state="h")
def general_gru(
    x: Value,
    h: Value,
    *,
    gates: Activation = SIGMOID,
    candidate: Activation = TANH,
    clip: float | None = None,
    reset_after: bool = True,
) -> Value:
    """GRU with other squashing functions or clipping, reset behind or before the product."""
    r = gates(_clipped(affine("r", x, h), clip))
    z = gates(_clipped(affine("z", x, h), clip))
    if reset_after:
        m = affine("m", h)
        n = candidate(_clipped(affine("n", x) + r * m, clip))
    else:
        rh = r * h
        n = candidate(_clipped(affine("n", x, rh), clip))
    h = (1 - z) * n + z * h
    return h


@cell(state="h")
def general_elman(
    x: Value, h: Value, *, activation: Activation = TANH, clip: float | None = None
) -> Value:
    """Elman network with another squashing function or clipping."""
    h = activation(_clipped(affine("h", x, h), clip))
    return h
