"""Custom cells as a good user writes them in torch: a loop over time, time first.

The product of the input with its weights is hoisted out of the loop and all gates are in one
matrix. B batch, T time, I input, H hidden; x is (T, B, I), what comes back (T, B, H). Weights
are packed as `peers.cells` packs them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear

__all__ = ["LOOPS", "Loop"]

Loop = Callable[[Tensor, dict[str, Tensor]], Tensor]


def peephole_lstm(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    hidden = w["hidden"].t()
    i_peep, f_peep, o_peep = w["peep"].chunk(3)
    c = h = x.new_zeros(x.shape[1], hidden.shape[0])
    outputs = []
    for from_x in linear(x, w["input"], w["bias"]).unbind(0):
        i, f, g, o = torch.addmm(from_x, h, hidden).chunk(4, 1)
        i = torch.sigmoid(torch.addcmul(i, i_peep, c))
        f = torch.sigmoid(torch.addcmul(f, f_peep, c))
        c = torch.addcmul(f * c, i, torch.tanh(g))
        h = torch.sigmoid(torch.addcmul(o, o_peep, c)) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs)


def coupled_lstm(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    hidden = w["hidden"].t()
    c = h = x.new_zeros(x.shape[1], hidden.shape[0])
    outputs = []
    for from_x in linear(x, w["input"], w["bias"]).unbind(0):
        f, g, o = torch.addmm(from_x, h, hidden).chunk(3, 1)
        c = torch.lerp(torch.tanh(g), c, torch.sigmoid(f))
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs)


def gru(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    hidden = w["hidden"].t()
    size = hidden.shape[0]
    h = x.new_zeros(x.shape[1], size)
    outputs = []
    for from_x in linear(x, w["input"], w["bias"]).unbind(0):
        from_h = h @ hidden
        r, z = torch.sigmoid(from_x[:, : 2 * size] + from_h[:, : 2 * size]).chunk(2, 1)
        n = torch.tanh(torch.addcmul(from_x[:, 2 * size :], r, from_h[:, 2 * size :] + w["m_bias"]))
        h = torch.lerp(n, h, z)
        outputs.append(h)
    return torch.stack(outputs)


def gru_reset_before(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    hidden, candidate = w["hidden"].t(), w["candidate"].t()
    size = hidden.shape[0]
    h = x.new_zeros(x.shape[1], size)
    outputs = []
    for from_x in linear(x, w["input"], w["bias"]).unbind(0):
        gates, new = from_x.split((2 * size, size), 1)
        r, z = torch.sigmoid(torch.addmm(gates, h, hidden)).chunk(2, 1)
        h = torch.lerp(torch.tanh(torch.addmm(new, r * h, candidate)), h, z)
        outputs.append(h)
    return torch.stack(outputs)


LOOPS: dict[str, Loop] = {
    loop.__name__: loop for loop in (peephole_lstm, coupled_lstm, gru, gru_reset_before)
}
