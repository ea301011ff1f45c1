"""From `torch.nn` to `Recurrent`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from cellwright.cells.cell import Cell
from cellwright.errors import ArgumentError, SettingError
from cellwright.exchange.activations import RELU, TANH
from cellwright.exchange.assembly import Side, assemble, biases, blocks, check_shape, frozen
from cellwright.exchange.equations import elman_cell, gru_cell, lstm_cell
from cellwright.nn import GRU, LSTM, RNN, Recurrent

__all__ = ["from_torch"]

_LAYERS = (nn.LSTM, nn.GRU, nn.RNN)
_CELLS = (nn.LSTMCell, nn.GRUCell, nn.RNNCell)
# Hooks that compute a weight before every call.
_COMPUTING = (BasePruningMethod, SpectralNorm, WeightNorm)


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
        same mode, batch first if the module was, and frozen where it was. Weights that are
        computed (by a parametrisation, pruning, ``weight_norm`` or ``spectral_norm``) are taken
        as they would be at the next call in evaluation mode. States have names here:
        ``state[layer]["h"]`` is (batch, units), or (batch, 2, units) if bidirectional.

    Raises
    ------
    ArgumentError
        It is something else.
    SettingError
        Something else than torch's own computes what it gives: its class, its own attribute
        ``forward``, or a hook. Or its weights have different types or devices.
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
    # With gradients, because a weight that has none is frozen.
    with torch.inference_mode(False), torch.enable_grad():
        layers = _layers(module)
    network = assemble(
        layers,
        batch_first=bool(getattr(module, "batch_first", True)),  # a cell alone has none
        dropout=module.dropout if isinstance(module, nn.RNNBase) and len(layers) > 1 else 0.0,
    )
    return network.train(module.training)


def _layers(module: Any) -> list[list[Side]]:
    name, weight = type(module).__name__, _reader(module)
    if not isinstance(module, nn.RNNBase):
        biased = getattr(module, "bias_ih", None) is not None
        return [[_side(module, weight, name, "", biased)]]
    suffixes = ("", "_reverse") if module.bidirectional else ("",)
    return [
        [_side(module, weight, name, f"_l{number}{suffix}", module.bias) for suffix in suffixes]
        for number in range(module.num_layers)
    ]


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
    forwards = own.forward, LSTM.forward, GRU.forward, RNN.forward
    overridden = type(module).forward not in forwards or "forward" in vars(module)
    if overridden or type(module).__call__ is not nn.Module.__call__:
        raise SettingError(
            f"{type(module).__name__} overrides the forward of torch.nn.{own.__name__}, so that "
            f"its weights alone do not say what it computes"
        )
    before = module._forward_pre_hooks.values()
    strange = [hook for hook in before if not isinstance(hook, _COMPUTING)]
    for hook in (*strange, *module._forward_hooks.values()):
        raise SettingError(
            f"{type(module).__name__} has a hook, {hook!r}, which may change what it computes: "
            f"remove it first"
        )


def _inside(module: nn.Module) -> str:
    held = [name for name, part in module.named_modules() if isinstance(part, (*_LAYERS, *_CELLS))]
    return f"; it holds {', '.join(held)}: give that" if held else ""


def _reader(module: nn.Module) -> Callable[[str], Tensor]:
    """Reads a weight by its name; an attribute, because it may be parametrised."""
    computed: dict[str, Tensor] = {}
    hooks: Any = module._forward_pre_hooks.values()
    for hook in hooks:
        if isinstance(hook, BasePruningMethod):
            computed[hook._tensor_name] = hook.apply_mask(module)  # type: ignore[no-untyped-call]
        elif isinstance(hook, SpectralNorm):
            computed[hook.name] = hook.compute_weight(module, do_power_iteration=False)
        else:
            computed[hook.name] = hook.compute_weight(module)
    return lambda name: computed[name] if name in computed else getattr(module, name)


def _side(module: Any, weight: Callable[[str], Tensor], name: str, suffix: str, bias: bool) -> Side:
    of_input, of_state = weight(f"weight_ih{suffix}"), weight(f"weight_hh{suffix}")
    cell, gates = _cell(module, bias)
    hidden, units = int(module.hidden_size), of_state.shape[-1]
    of_all = {"gates·hidden": len(gates) * hidden}
    check_shape(name, f"weight_ih{suffix}", of_input, **of_all, input=of_input.shape[-1])
    check_shape(name, f"weight_hh{suffix}", of_state, **of_all, units=units)
    weights = blocks(of_input, [f"{gate}_x" for gate, _ in gates])
    weights |= blocks(of_state, [f"{state}_h" for _, state in gates])
    sizes = {}
    if getattr(module, "proj_size", 0):
        weights["r_m"] = weight(f"weight_hr{suffix}")
        sizes["proj"] = units
    if bias:
        both = weight(f"bias_ih{suffix}"), weight(f"bias_hh{suffix}")
        for kind, value in zip(("bias_ih", "bias_hh"), both, strict=True):
            check_shape(name, f"{kind}{suffix}", value, **of_all)
        weights |= biases(*both, gates)
    return Side(
        f"{name}{suffix}",
        cell,
        weights,
        hidden,
        reverse=suffix.endswith("_reverse"),
        sizes=sizes,
        frozen=frozen(weights),
    )


def _cell(module: Any, bias: bool) -> tuple[Cell, tuple[tuple[str, str], ...]]:
    """The cell, and for each block of torch's matrices the affine maps of input and state."""
    if isinstance(module, (nn.LSTM, nn.LSTMCell)):
        projected = getattr(module, "proj_size", 0) > 0
        return lstm_cell(projected=projected, bias=bias), tuple((gate, gate) for gate in "ifgo")
    if isinstance(module, (nn.GRU, nn.GRUCell)):
        return gru_cell(bias=bias), (("r", "r"), ("z", "z"), ("n", "m"))
    known = {"tanh": TANH, "relu": RELU}
    if module.nonlinearity not in known:
        raise SettingError(
            f"{type(module).__name__}: nonlinearity={module.nonlinearity!r} cannot be taken over, "
            f"only {' and '.join(known)}"
        )
    return elman_cell(known[module.nonlinearity], bias=bias), (("h", "h"),)
