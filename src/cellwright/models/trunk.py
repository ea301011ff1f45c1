"""What every network that reads a sequence has in common: from scaling to readout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

from cellwright.cells.cell import Cell
from cellwright.models.image_encoder import FrameEncoder
from cellwright.nn.ragged import active_steps
from cellwright.nn.recurrent import Recurrent

__all__ = ["Pooling", "ScaledNetwork", "SequenceNetwork", "last_output"]

Pooling: TypeAlias = Literal["last", "mean", "max"]


class ScaledNetwork(nn.Module):
    """A network that remembers by what its features are brought to mean 0 and spread 1.

    Parameters
    ----------
    features
        Features of the input at each step.
    """

    shift: Tensor
    spread: Tensor
    _scaling: ClassVar[tuple[str, ...]] = ("shift", "spread")

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(features, dtype=torch.float64))

    def standardized(self, x: Tensor) -> Tensor:
        """Features, (…, features), at mean 0 and spread 1, in their own precision.

        A small change of a large number, such as a time in seconds since 1970, would be lost if
        it were rounded first. Whole numbers are taken in double precision.
        """
        x = x if x.is_floating_point() else x.double()
        shift = self.shift.to(x.dtype).to(x.device)
        spread = self.spread.to(x.dtype).to(x.device)
        return (x - shift) / spread

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ScaledNetwork:
        # What scales stays in double precision, on the CPU: a GPU of Apple has none.
        kept = [getattr(self, name) for name in self._scaling]

        def moved(tensor: Tensor) -> Tensor:
            return tensor if any(tensor is one for one in kept) else fn(tensor)

        super()._apply(moved, recurse)  # type: ignore[no-untyped-call]
        return self


class SequenceNetwork(ScaledNetwork):
    r"""Scaling, an optional linear projection, recurrent layers, pooling, a linear readout.

    $$z = W\,\mathrm{pool}(\mathrm{layers}(P (x - \mu) / \sigma)) + b$$

    Parameters
    ----------
    features
        Features of the input at each step; with `vocabulary`, of what stands for a word.
    outputs
        Numbers that come out.
    cell, layers, bidirectional, recurrent_dropout, zoneout, weight_drop, connections, \
    learn_initial_state, sizes, initialization, backend
        As for `Recurrent`.
    projection
        Units of the linear map between input and first layer; None for no such map.
    picture_size, picture_filters
        With the size, (rows, columns), each step is a picture, its pixels in a row with its
        colours innermost; a `FrameEncoder` with these filters looks at it before the projection.
    dropout
        Chance that a unit is dropped between layers and before the readout.
    pooling
        What the readout sees: the output after the last step ("last"), or its mean or
        maximum over the steps.
    vocabulary
        With it, steps are numbers of words below it instead of features: `x` is (batch, time)
        or (batch, time, 1), a learned vector stands for each word, and nothing is scaled.
    word_dropout
        Chance that a word is left out in training, all features of its vector at once.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        cell: Cell | str,
        layers: Sequence[int],
        projection: int | None = None,
        dropout: float = 0.0,
        pooling: Pooling = "last",
        vocabulary: int | None = None,
        word_dropout: float = 0.0,
        picture_size: tuple[int, int] | None = None,
        picture_filters: Sequence[int] = (),
        **recurrent: Any,
    ) -> None:
        super().__init__(features)
        if vocabulary is not None:
            self.embedding = nn.Embedding(vocabulary, features)
            # A rare word is updated a few times only: what it learns must not drown in noise.
            nn.init.normal_(self.embedding.weight, std=0.1)
        self.reads_words, self.word_dropout = vocabulary is not None, word_dropout
        frames = picture_size and FrameEncoder(features, picture_size, picture_filters)
        width = frames.features if frames else features
        projected = nn.Linear(width, projection) if projection else nn.Identity()
        self.projection = nn.Sequential(frames, projected) if frames else projected
        self.recurrent = Recurrent(cell, projection or width, layers, dropout=dropout, **recurrent)
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(self.recurrent.output_size, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What the readout makes of each sequence.

        Parameters
        ----------
        x
            (batch, time, features), or numbers of words.
        lengths
            Steps of each row, (batch,).

        Returns
        -------
        Tensor
            (batch, outputs).
        """
        output, state = self.recurrent(self.seen(x), lengths=lengths)
        return self.answer(self._pool(output, state, lengths))

    def seen(self, x: Tensor) -> Tensor:
        """What the first layer reads, (batch, time, units)."""
        found: Tensor = self.projection(self._words(x) if self.reads_words else self.scaled(x))
        return found

    def answer(self, output: Tensor) -> Tensor:
        """What the readout makes of outputs, (…, units)."""
        scores: Tensor = self.readout(self.dropout(output))
        return scores.to(self.readout.weight.dtype)

    def last(
        self, output: Tensor, state: list[dict[str, Tensor]], lengths: Tensor | None = None
    ) -> Tensor:
        """What the readout sees behind the last step, (batch, units)."""
        if self.recurrent.connections == "residual":
            # The state is what the last layer made; what goes past it stands in the output.
            return last_output(output, lengths, self.recurrent.bidirectional)
        return state[-1][self.recurrent.cell.states[0]].flatten(1)

    def scaled(self, x: Tensor) -> Tensor:
        """What the projection or the first layer sees, in the precision of the weights."""
        return self.standardized(x).to(self.readout.weight.dtype)

    def _words(self, x: Tensor) -> Tensor:
        words = x.flatten(2).squeeze(2) if x.ndim == 3 else x
        vectors: Tensor = self.embedding(words.long())
        if self.training and self.word_dropout:
            kept = torch.rand(words.shape, device=x.device) >= self.word_dropout
            vectors = vectors * (kept / (1 - self.word_dropout)).unsqueeze(-1).to(vectors.dtype)
        dropped: Tensor = self.dropout(vectors)
        return dropped

    def _pool(
        self, output: Tensor, state: list[dict[str, Tensor]], lengths: Tensor | None
    ) -> Tensor:
        batch, steps = output.shape[:2]
        if self.pooling == "last":
            return self.last(output, state, lengths)
        active = active_steps(batch, steps, output.device, lengths)
        if self.pooling == "mean":
            count = steps if active is None else active.sum(0).clamp(min=1).unsqueeze(1)
            return output.sum(1) / count
        if active is None:
            return output.amax(1)
        exists = active.T.unsqueeze(2)
        greatest = output.masked_fill(~exists, -torch.inf).amax(1)
        return greatest.masked_fill(~exists.any(1), 0)  # a row without steps


def last_output(output: Tensor, lengths: Tensor | None, bidirectional: bool) -> Tensor:
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
