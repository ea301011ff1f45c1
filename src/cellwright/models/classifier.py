"""Many to one: a sequence in, a score for each class out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from cellwright.cells.cell import Cell
from cellwright.nn.connections import Connections
from cellwright.nn.initialization import Scheme
from cellwright.nn.ragged import active_steps
from cellwright.nn.recurrent import Recurrent

__all__ = ["ClassifierNetwork", "Pooling"]

Pooling: TypeAlias = Literal["last", "mean", "max"]


class ClassifierNetwork(nn.Module):
    r"""Scaling, an optional linear projection, recurrent layers, pooling, a linear readout.

    $$z = W\,\mathrm{pool}(\mathrm{layers}(P (x - \mu) / \sigma)) + b$$

    Parameters
    ----------
    features
        Features of the input at each step.
    classes
        Number of classes.
    cell, layers, bidirectional, recurrent_dropout, zoneout, weight_drop, connections, \
    learn_initial_state, sizes, initialization, backend
        As for `Recurrent`.
    projection
        Units of the linear map between input and first layer; None for no such map.
    dropout
        Chance that a unit is dropped between layers and before the readout.
    pooling
        What the readout sees: the output after the last step ("last"), or its mean or
        maximum over the steps.
    """

    shift: Tensor
    spread: Tensor

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        cell: Cell | str,
        layers: Sequence[int],
        projection: int | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_drop: float = 0.0,
        connections: Connections = "none",
        learn_initial_state: bool = False,
        pooling: Pooling = "last",
        sizes: Mapping[str, int] | None = None,
        initialization: Scheme = "standard",
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(features, dtype=torch.float64))
        self.projection = nn.Linear(features, projection) if projection else nn.Identity()
        self.recurrent = Recurrent(
            cell,
            projection or features,
            layers,
            bidirectional=bidirectional,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_drop=weight_drop,
            connections=connections,
            learn_initial_state=learn_initial_state,
            sizes=sizes,
            initialization=initialization,
            backend=backend,
        )
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(self.recurrent.output_size, classes)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Scores before the softmax.

        Parameters
        ----------
        x
            (batch, time, features).
        lengths
            Steps of each row, (batch,).

        Returns
        -------
        Tensor
            (batch, classes).
        """
        output, state = self.recurrent(self.projection(self.scaled(x)), lengths=lengths)
        scores: Tensor = self.readout(self.dropout(self._pool(output, state, lengths)))
        return scores.to(self.readout.weight.dtype)

    def scaled(self, x: Tensor) -> Tensor:
        """What the projection or the first layer sees, in the precision of the weights.

        The mean is taken away in the precision of `x`, (batch, time, features): a small
        change of a large number, such as a time in seconds since 1970, would be lost if it
        were rounded first.
        """
        shift = self.shift.to(x.dtype).to(x.device)
        spread = self.spread.to(x.dtype).to(x.device)
        return ((x - shift) / spread).to(self.readout.weight.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ClassifierNetwork:
        # The scaling stays in double precision, on the CPU: a GPU of Apple has none.
        def moved(tensor: Tensor) -> Tensor:
            return tensor if tensor is self.shift or tensor is self.spread else fn(tensor)

        super()._apply(moved, recurse)  # type: ignore[no-untyped-call]
        return self

    def _pool(
        self, output: Tensor, state: list[dict[str, Tensor]], lengths: Tensor | None
    ) -> Tensor:
        batch, steps = output.shape[:2]
        if self.pooling == "last":
            last = state[-1][self.recurrent.cell.states[0]].flatten(1)
            if self.recurrent.connections != "residual":
                return last
            # The state is what the last layer made; what goes past it stands in the output.
            return _last(output, lengths, self.recurrent.bidirectional)
        active = active_steps(batch, steps, output.device, lengths)
        if self.pooling == "mean":
            count = steps if active is None else active.sum(0).clamp(min=1).unsqueeze(1)
            return output.sum(1) / count
        if active is None:
            return output.amax(1)
        exists = active.T.unsqueeze(2)
        greatest = output.masked_fill(~exists, -torch.inf).amax(1)
        return greatest.masked_fill(~exists.any(1), 0)  # a row without steps


def _last(output: Tensor, lengths: Tensor | None, bidirectional: bool) -> Tensor:
    """What each direction hands on after its last step, (batch, units); zero without steps."""
    batch, steps, units = output.shape
    forward = units // 2 if bidirectional else units
    if steps == 0:
        return output.new_zeros(batch, units)
    if lengths is None:
        ends = output[:, -1, :forward]
    else:
        at = (lengths.to(output.device) - 1).clamp(min=0)
        ends = output[torch.arange(batch, device=output.device), at, :forward]
    return torch.cat([ends, output[:, 0, forward:]], -1)
