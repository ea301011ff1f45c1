"""From `torch.nn` to `Recurrent`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from cellwright.cells.cell import Cell
from cellwright.errors import ArgumentError, SettingError
from cellwright.exchange.activations import RELU, TANH
from cellwright.exchange.assembly import Side, assemble, biases, blocks, check_shape
from cellwright.exchange.equations import elman_cell, gru_cell, lstm_cell
from cellwright.nn import GRU, LSTM, RNN, Recurrent

__all__ = ["from_torch"]

_LAYERS = (nn.LSTM, nn.GRU, nn.RNN)
_CELLS = (nn.LSTMCell, nn.GRUCell, nn.RNNCell)


def from_torch(module: nn.Module) -> Recurrent:
    """Take over a recurrent module of `torch.nn`.

    The gates of torch's packed matrices become weights of their own, under the names of the
    cell's equations. Its two biases become their sum; only a GRU's ``n`` keeps both, because
    the reset gate stands between them (``n_bias`` and ``m_bias``).

    Parameters
    ----------
    module
        An ``LSTM`` (with `proj_size` or not), ``GRU`` or ``RNN`` with any of its options, also
        a drop-in of cellwright's, or an ``LSTMCell``, ``GRUCell`` or ``RNNCell``, which becomes
        a layer for sequences.

    Returns
    -------
    Recurrent
        A copy with the same outputs and last states, of the same dtype and device, in the
        same mode, and batch first if the module was. States have names here:
        ``state[layer]["h"]`` is (batch, units), or (batch, 2, units) if bidirectional.

    Raises
    ------
    ArgumentError
        It is something else.
    SettingError
        Its class overrides what torch's computes.
    ShapeError
        A weight was replaced by one of another shape.

    Examples
    --------
    >>> import cellwright as cw, torch
    >>> theirs = torch.nn.GRU(3, 5, num_layers=2, bidirectional=True, batch_first=True)
    >>> ours = cw.from_torch(theirs)
    >>> x = torch.randn(4, 7, 3)
    >>> torch.testing.assert_close(ours(x)[0], theirs(x)[0])
    >>> ours.layer0.r_x.shape
    torch.Size([5, 3])
    """
    _check_module(module)
    if isinstance(module, _CELLS):
        side = _side(module, type(module).__name__, "", False, _biased(module))
        return assemble([[side]]).train(module.training)
    assert isinstance(module, nn.RNNBase)
    suffixes = ("", "_reverse") if module.bidirectional else ("",)
    layers = [
        [
            _side(module, type(module).__name__, f"_l{number}{suffix}", suffix != "", module.bias)
            for suffix in suffixes
        ]
        for number in range(module.num_layers)
    ]
    network = assemble(
        layers,
        batch_first=module.batch_first,
        dropout=module.dropout if module.num_layers > 1 else 0.0,
    )
    return network.train(module.training)


def _biased(module: nn.Module) -> bool:
    return getattr(module, "bias_ih", None) is not None


def _check_module(module: object) -> None:
    known = ", ".join(kind.__name__ for kind in (*_LAYERS, *_CELLS))
    if not isinstance(module, (*_LAYERS, *_CELLS)):
        hint = _inside(module) if isinstance(module, nn.Module) else ""
        if isinstance(module, Mapping):
            hint = "; a state_dict does not say which options it belongs to: load it first"
        raise ArgumentError(
            f"from_torch takes one of torch.nn's {known}, not a {type(module).__name__}{hint}"
        )
    own = next(kind for kind in (*_LAYERS, *_CELLS) if isinstance(module, kind))
    if type(module).forward not in (own.forward, LSTM.forward, GRU.forward, RNN.forward):
        raise SettingError(
            f"{type(module).__name__} overrides the forward of torch.nn.{own.__name__}, so that "
            f"its weights alone do not say what it computes"
        )


def _inside(module: nn.Module) -> str:
    held = [name for name, part in module.named_modules() if isinstance(part, (*_LAYERS, *_CELLS))]
    return f"; it holds {', '.join(held)}: give that" if held else ""


def _side(module: Any, name: str, suffix: str, reverse: bool, bias: bool) -> Side:
    """One layer in one direction; `getattr`, because a weight may be parametrised."""

    def weight(kind: str) -> Tensor:
        found: Tensor = getattr(module, f"{kind}{suffix}")
        return found.detach()

    of_input, of_state = weight("weight_ih"), weight("weight_hh")
    cell, gates = _cell(module, bias)
    hidden, units = int(module.hidden_size), of_state.shape[1]
    of_all = {"gates·hidden": len(gates) * hidden}
    check_shape(name, f"weight_ih{suffix}", of_input, **of_all, input=of_input.shape[1])
    check_shape(name, f"weight_hh{suffix}", of_state, **of_all, units=units)
    weights = blocks(of_input, [f"{gate}_x" for gate, _ in gates])
    weights |= blocks(of_state, [f"{state}_h" for _, state in gates])
    sizes = {}
    if getattr(module, "proj_size", 0):
        weights["r_m"] = weight("weight_hr")
        sizes["proj"] = units
    if bias:
        both = weight("bias_ih"), weight("bias_hh")
        for kind, value in zip(("bias_ih", "bias_hh"), both, strict=True):
            check_shape(name, f"{kind}{suffix}", value, **of_all)
        weights |= biases(*both, gates)
    return Side(f"{name}{suffix}", cell, weights, hidden, reverse=reverse, sizes=sizes)


def _cell(module: Any, bias: bool) -> tuple[Cell, tuple[tuple[str, str], ...]]:
    """The cell, and for each block of torch's matrices the affine maps of input and state."""
    if isinstance(module, (nn.LSTM, nn.LSTMCell)):
        projected = getattr(module, "proj_size", 0) > 0
        return lstm_cell(projected=projected, bias=bias), tuple((gate, gate) for gate in "ifgo")
    if isinstance(module, (nn.GRU, nn.GRUCell)):
        return gru_cell(bias=bias), (("r", "r"), ("z", "z"), ("n", "m"))
    activation = {"tanh": TANH, "relu": RELU}[str(module.nonlinearity)]
    return elman_cell(activation, bias=bias), (("h", "h"),)
