"""The custom cells of the benchmark, and how their weights are packed for the peers."""

from __future__ import annotations

import torch
from torch import Tensor

from cellwright import Recurrent, affine, cell, cells, sigmoid, tanh

__all__ = ["CELLS", "pack", "randomize"]


@cell(state=("h", "c"))
def coupled_lstm(x, h, c):
    """LSTM with coupled gates (Greff et al. 2017): what is not kept is written."""
    f = sigmoid(affine("f", x, h, bias=1.0))
    g = tanh(affine("g", x, h))
    c = f * c + (1 - f) * g
    o = sigmoid(affine("o", x, h))
    h = o * tanh(c)
    return h, c


CELLS = {
    "peephole_lstm": cells.get("peephole_lstm"),
    "coupled_lstm": coupled_lstm,
    "gru": cells.get("gru"),
    "gru_reset_before": cells.get("gru_reset_before"),
}

# Packed weight -> the cell's own, below each other.
PACKED = {
    "peephole_lstm": {
        "input": ("i_x", "f_x", "g_x", "o_x"),
        "hidden": ("i_h", "f_h", "g_h", "o_h"),
        "bias": ("i_bias", "f_bias", "g_bias", "o_bias"),
        "peep": ("i_peep", "f_peep", "o_peep"),
    },
    "coupled_lstm": {
        "input": ("f_x", "g_x", "o_x"),
        "hidden": ("f_h", "g_h", "o_h"),
        "bias": ("f_bias", "g_bias", "o_bias"),
    },
    "gru": {
        "input": ("r_x", "z_x", "n_x"),
        "hidden": ("r_h", "z_h", "m_h"),
        "bias": ("r_bias", "z_bias", "n_bias"),
        "m_bias": ("m_bias",),
    },
    "gru_reset_before": {
        "input": ("r_x", "z_x", "n_x"),
        "hidden": ("r_h", "z_h"),
        "candidate": ("n_rh",),
        "bias": ("r_bias", "z_bias", "n_bias"),
    },
}


def pack(name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a layer, or their gradients, as the peers hold them."""
    return {
        packed: torch.cat([weights[own] for own in owns]) for packed, owns in PACKED[name].items()
    }


def randomize(net: Recurrent) -> None:
    """Give every weight a value that matters, peepholes included."""
    bound = net.hidden_sizes[0] ** -0.5
    with torch.no_grad():
        for weight in net.parameters():
            weight.uniform_(-bound, bound)
