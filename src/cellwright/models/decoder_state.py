"""Where a decoder stands, and what it gives: plain values between `Decoder` and its users.

Shapes: B batch, T steps of the target, P positions of the memory, W beams of a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from cellwright.errors import ShapeError
from cellwright.nn.attention import Attended, AttentionKind, Memory
from cellwright.nn.states import State

__all__ = [
    "Decoded",
    "DecoderAttention",
    "DecoderState",
    "DecoderStep",
    "Feeding",
    "given_memory",
    "joined_signals",
]

DecoderAttention: TypeAlias = AttentionKind | Literal["none"]
Feeding: TypeAlias = Literal["none", "output", "context"]


@dataclass(frozen=True)
class DecoderState:
    """Where a decoder stands after a step.

    Attributes
    ----------
    recurrent
        States of the layers, as `Recurrent` returns them.
    fed
        The hidden vector of the step before, (rows, hidden); only with feeding "output".
    """

    recurrent: State
    fed: Tensor | None = None

    def take(self, rows: Tensor) -> DecoderState:
        """The states of these rows."""
        recurrent = [{name: value[rows] for name, value in s.items()} for s in self.recurrent]
        return DecoderState(recurrent, None if self.fed is None else self.fed[rows])


class Decoded(NamedTuple):
    """What a decoder makes of a batch of targets.

    Attributes
    ----------
    hidden
        What the readout sees, (B, T, hidden).
    attended
        Context, weights (B, T, P) and scores of the attention; None without attention.
    state
        After the last step; rows that are shorter have gone on over their padding.
    signals
        Layer, direction, name -> recorded signal, (T, B, n); empty if none were asked for.
    """

    hidden: Tensor
    attended: Attended | None
    state: DecoderState
    signals: list[list[dict[str, Tensor]]]


class DecoderStep(NamedTuple):
    """One step of a search: scores (B, W, V), the state, weights (B, W, P) of the attention."""

    scores: Tensor
    state: DecoderState
    weights: Tensor | None


def joined_signals(steps: list[list[list[dict[str, Tensor]]]]) -> list[list[dict[str, Tensor]]]:
    """Signals of single steps as one, (T, B, n)."""
    return [
        [
            {name: torch.cat([s[layer][side][name] for s in steps]) for name in signals}
            for side, signals in enumerate(sides)
        ]
        for layer, sides in enumerate(steps[0])
    ]


def given_memory(memory: Memory | None) -> Memory:
    """The memory, which must be there where a decoder attends."""
    if memory is None:
        raise ShapeError("the decoder attends, so it needs a memory: give what remember returns")
    return memory
