"""A batch of unequal sequences: time for the steps that exist, and nn.LSTM on a PackedSequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from cellwright import Recurrent
from peers.claims import OURS, Claim, Row, Section, ratio
from peers.sections.vendor import entries
from peers.setting import Setting, Shape
from peers.steps import training_step
from peers.timing import Candidate, check_agreement, measure

__all__ = ["section"]

SHAPE: Shape = (64, 100, 128, 256)
FULL, PACKED = "cellwright, all full", "torch.nn.LSTM, packed"
BEYOND = "time / (time of all full × steps that exist)"
GATES = ("i", "f", "g", "o")
# A gate's own weight -> torch's; its two biases are one here.
WEIGHTS = {"x": ["weight_ih"], "h": ["weight_hh"], "bias": ["bias_ih", "bias_hh"]}


def section(setting: Setting) -> Section:
    """A training step with lengths uniform in 1..T."""
    result = Section("ragged", "Ragged batch, LSTM training step")
    for shape in setting.shapes(SHAPE):
        batch, steps, input, hidden = shape
        chance = torch.Generator().manual_seed(0)
        lengths = torch.randint(1, steps + 1, (batch,), generator=chance)
        part = float(lengths.sum()) / (batch * steps)
        x, grad = setting.random(steps, batch, input), setting.random(steps, batch, hidden)
        exists = torch.arange(steps).unsqueeze(1) < lengths
        x, grad = x * exists.unsqueeze(2), grad * exists.unsqueeze(2)
        ours, theirs = _pair(input, hidden)
        candidates = {
            OURS: _ours(ours, x, grad, lengths),
            PACKED: _packed(theirs, x, grad, lengths),
        }
        check_agreement(f"ragged {shape}", candidates)
        candidates[FULL] = _ours(ours, x, grad, None)
        candidates[FULL].call()
        timed = measure(candidates, setting.budget)
        flops = 6.0 * float(lengths.sum()) * entries(theirs)
        row = Row(
            f"{shape}, {part:.0%} exist", timed.samples, flops=flops, meanwhile=timed.meanwhile
        )
        beyond = timed.samples[OURS].over(timed.samples[FULL]) / part
        row.claims.append(Claim(BEYOND, beyond, at_most=1.25))
        row.claims.append(ratio(row, PACKED, at_least=5.0))
        result.rows.append(row)
    return result


def _pair(input: int, hidden: int) -> tuple[Recurrent, nn.LSTM]:
    torch.manual_seed(0)
    theirs = nn.LSTM(input, hidden)
    ours = Recurrent("lstm", input, hidden, batch_first=False)
    with torch.no_grad():
        for place, gate in enumerate(GATES):
            for own, names in WEIGHTS.items():
                value = sum(getattr(theirs, f"{name}_l0").chunk(4)[place] for name in names)
                getattr(ours.layer0, f"{gate}_{own}").copy_(value)
    return ours, theirs


def _ours(net: Recurrent, x: Tensor, grad: Tensor, lengths: Tensor | None) -> Candidate:
    def joined(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: torch.cat([gradients[f"{gate}_{own}"] for gate in GATES])
            for name, own in (("input", "x"), ("hidden", "h"), ("bias", "bias"))
        }

    weights = dict(net.layer0.named_parameters())
    return training_step(lambda x: net(x, lengths=lengths)[0], x, weights, grad, joined)


def _packed(net: nn.LSTM, x: Tensor, grad: Tensor, lengths: Tensor) -> Candidate:
    """nn.LSTM on what is packed already: packing and unpacking are not timed."""
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    rest, grads = packed[1:], pack_padded_sequence(grad, lengths, enforce_sorted=False).data
    weights = dict(net.named_parameters())

    def forward(data: Tensor) -> Tensor:
        return net(PackedSequence(data, *rest))[0].data

    def padded(data: Tensor) -> Tensor:
        return pad_packed_sequence(PackedSequence(data, *rest), total_length=len(x))[0]

    names = {"weight_ih_l0": "input", "weight_hh_l0": "hidden", "bias_ih_l0": "bias"}
    step = training_step(
        forward, packed.data, weights, grads, lambda g: {names[n]: g[n] for n in names}
    )

    def read(result: Any) -> dict[str, Tensor]:
        named = step.read(result)
        return named | {key: padded(named[key]) for key in ("output", "gradient of x")}

    return Candidate(step.call, read, step.before)
