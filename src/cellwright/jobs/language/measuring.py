"""How well a network foresees text: over windows in training, over whole texts in a test."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.data.token_streams import StreamBatch
from cellwright.nn.states import State, detach

__all__ = ["NextToken", "RowNats", "perplexity_of", "windows"]

# What is computed in one go when texts are scored: steps, and numbers of all scores.
_STEPS, _SCORES = 512, 2**24


class NextToken:
    """Mean nats of the tokens that come next; states go from window to window."""

    def __init__(self) -> None:
        self._state: State | None = None

    def __call__(self, network: Any, batch: StreamBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean, and the sum over the batch."""
        output, state = network(batch.tokens, None if batch.first else self._state)
        self._state = detach(state)
        nats: Tensor = network.nats(output, batch.targets)
        return nats.mean(), {"loss": nats.detach().sum()}

    def state_dict(self) -> dict[str, Tensor]:
        """The states after the last window."""
        layers = enumerate(self._state or ())
        return {f"{layer}.{name}": v for layer, state in layers for name, v in state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from these states."""
        found: dict[int, dict[str, Tensor]] = {}
        for place, tensor in state.items():
            layer, _, name = place.partition(".")
            found.setdefault(int(layer), {})[name] = tensor
        self._state = [found[layer] for layer in sorted(found)]


class RowNats:
    """Nats of each row in a window; states go from window to window."""

    def __init__(self) -> None:
        self._state: State | None = None

    def __call__(self, network: Any, batch: StreamBatch) -> npt.NDArray[np.float64]:
        """Nats of each row, (row,)."""
        output, self._state = network(batch.tokens, None if batch.first else self._state)
        nats = network.nats(output, batch.targets.clamp(min=0)).double()
        return np.asarray(nats.masked_fill(batch.targets < 0, 0).sum(1).cpu().numpy())


def perplexity_of(nats: float) -> float:
    """Of so many nats a token; behind e^700 the numbers of Python come to their end."""
    return math.exp(min(nats, 700.0))


def windows(rows: Sequence[npt.NDArray[np.int32]], vocabulary: int) -> Iterator[StreamBatch]:
    """All of some texts, the longest first, side by side; behind the end of one are targets -1."""
    longest = len(rows[0])
    steps = max(1, min(_STEPS, _SCORES // (len(rows) * vocabulary)))
    for start in range(0, longest - 1, steps):
        width = min(steps, longest - 1 - start) + 1
        found = np.full((len(rows), width), -1, dtype=np.int64)
        for number, row in enumerate(rows):
            part = row[start : start + width]
            found[number, : len(part)] = part
        tokens = torch.from_numpy(found)
        yield StreamBatch(
            tokens[:, :-1].clamp(min=0), tokens[:, 1:], np.arange(len(rows)), not start
        )
