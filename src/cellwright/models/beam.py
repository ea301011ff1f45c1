"""Beam search: the most probable sequences of tokens that a decoder knows, for a whole batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cellwright.errors import SettingError
from cellwright.models.decoder import Decoder, DecoderState
from cellwright.nn.attention import Memory

__all__ = ["Hypothesis", "beam_search", "greedy_search"]


@dataclass(frozen=True)
class Hypothesis:
    """What a search found.

    Attributes
    ----------
    tokens
        Without those for beginning and end.
    score
        Log probability, the end included, divided by the length penalty.
    weights
        Of the attention at each token, (tokens, positions); None without attention.
    complete
        Whether the decoder itself came to an end, and not the search at its limit.
    """

    tokens: list[int]
    score: float
    weights: Tensor | None = None
    complete: bool = True


@dataclass(frozen=True)
class _Beams:
    """The search for the rows that are not finished: R rows, W beams, t tokens so far.

    `rows` (R,) says which rows of the batch these are; `scores` (R, W) are sums of log
    probabilities; `tokens` (R, W, 1 + t); `weights` (R, W, t, P).
    """

    rows: Tensor
    scores: Tensor
    tokens: Tensor
    state: DecoderState
    memory: Memory | None
    weights: Tensor | None = None

    def keep(self, chosen: Tensor) -> _Beams:
        """The rows that are chosen, (R,)."""
        if bool(chosen.all()):
            return self
        at = chosen.nonzero().squeeze(1)
        beams = self.tokens.shape[1]
        flat = (at.unsqueeze(1) * beams + torch.arange(beams, device=at.device)).flatten()
        return _Beams(
            self.rows[at],
            self.scores[at],
            self.tokens[at],
            self.state.take(flat),
            None if self.memory is None else self.memory.take(at),
            None if self.weights is None else self.weights[at],
        )


@torch.no_grad()
def beam_search(
    decoder: Decoder,
    state: DecoderState,
    memory: Memory | None = None,
    *,
    begin: int,
    end: int,
    longest: int,
    width: int = 5,
    length_penalty: float = 1.0,
    forbidden: Sequence[int] = (),
) -> list[Hypothesis]:
    r"""Find the best sequence for each row of a batch.

    Hypotheses $y$ of $n$ tokens, the end included, are compared by

    $$\frac{\log P(y)}{((5 + n) / 6)^\alpha}$$

    (Wu et al. 2016). At each step the best `width` continuations of a row go on, and those of
    them that end are put aside. A row is finished when so many have ended, or none that goes
    on can become better than the best that has. Width 1 is greedy search.

    Parameters
    ----------
    decoder
        In evaluation mode.
    state
        From `Decoder.start`.
    memory
        From `Decoder.remember`.
    begin, end
        The tokens that go in first, and that mean the end.
    longest
        Greatest number of tokens, the end counted; what has not ended by then is cut off.
    width
        Number of beams.
    length_penalty
        $\alpha$: 0 favours short ones, 1 about the mean over the tokens.
    forbidden
        Tokens that are never chosen, such as those for padding and for the beginning.

    Returns
    -------
    list[Hypothesis]
        The best one of each row.

    Raises
    ------
    SettingError
        `width` or `longest` is less than one, or `length_penalty` less than zero.
    """
    for name, value, least in (
        ("width", width, 1),
        ("longest", longest, 1),
        ("length_penalty", length_penalty, 0),
    ):
        if not least <= value < math.inf:
            raise SettingError(f"{name}={value!r}: must be a number from {least}")
    like = next(iter(state.recurrent[0].values()))
    batch, place = len(like), like.device
    beams = _Beams(
        rows=torch.arange(batch, device=place),
        scores=torch.zeros(batch, 1, device=place),
        tokens=torch.full((batch, 1, 1), begin, device=place),
        state=state,
        memory=memory,
    )
    search = _Search(decoder, end, width, longest, length_penalty, tuple(forbidden), batch)
    while len(beams.rows) and beams.tokens.shape[2] <= longest:
        beams = search.advance(beams)
    search.give_up(beams)
    return [found for found in search.best if found is not None]


@torch.no_grad()
def greedy_search(
    decoder: Decoder,
    state: DecoderState,
    memory: Memory | None = None,
    *,
    begin: int,
    end: int,
    longest: int,
    forbidden: Sequence[int] = (),
) -> Iterator[tuple[int, Tensor | None]]:
    """Tell a single row token by token: what `beam_search` of width 1 finds, as it is found.

    Parameters
    ----------
    decoder, state, memory, begin, end, longest, forbidden
        As for `beam_search`, of one row.

    Yields
    ------
    tuple
        A token, and the weights of the attention when it was told, (positions,), or None.
    """
    token = torch.full((1, 1), begin, device=next(iter(state.recurrent[0].values())).device)
    for _ in range(longest):
        step = decoder.step(token, state, memory)
        scores, state = step.scores[0], step.state
        scores[:, list(forbidden)] = -math.inf
        token = scores.argmax(1, keepdim=True)
        if int(token) == end:
            return
        yield int(token), None if step.weights is None else step.weights[0, 0]


class _Search:
    """What has been found so far, and one step at a time more."""

    def __init__(
        self,
        decoder: Decoder,
        end: int,
        width: int,
        longest: int,
        length_penalty: float,
        forbidden: tuple[int, ...],
        batch: int,
    ) -> None:
        self.decoder, self.end, self.width, self.longest = decoder, end, width, longest
        self.length_penalty, self.forbidden = length_penalty, list(forbidden)
        self.best: list[Hypothesis | None] = [None] * batch
        self.ended = [0] * batch

    def penalty(self, tokens: int) -> float:
        """By what the log probability of a hypothesis of so many tokens is divided."""
        return float(((5 + tokens) / 6) ** self.length_penalty)

    def advance(self, beams: _Beams) -> _Beams:
        """One token more for every beam; rows that are finished are left out."""
        step = self.decoder.step(beams.tokens[:, :, -1], beams.state, beams.memory)
        logs = step.scores.float().log_softmax(-1)
        logs[..., self.forbidden] = -math.inf
        sums = (beams.scores.unsqueeze(2) + logs).flatten(1)
        # Twice the width, so that enough are left that go on when others end.
        scores, flat = sums.topk(min(2 * self.width, sums.shape[1]))
        parents, tokens = flat // logs.shape[2], flat % logs.shape[2]
        grown = self._grown(replace(beams, state=step.state), step.weights, parents, tokens)
        ends = (tokens == self.end) & scores.isfinite()
        ends[:, self.width :] = False
        self._put_aside(grown, scores, ends)
        going = scores.masked_fill(tokens == self.end, -math.inf)
        kept, at = going.topk(min(self.width, going.shape[1]))
        beams = self._chosen(grown, kept, parents, at)
        return beams.keep(self._unfinished(beams))

    def _grown(
        self, beams: _Beams, weights: Tensor | None, parents: Tensor, tokens: Tensor
    ) -> _Beams:
        """Candidates (R, C) with their whole past; states are still those of their parents."""
        row = torch.arange(len(parents), device=parents.device).unsqueeze(1)
        past = torch.cat([beams.tokens[row, parents], tokens.unsqueeze(2)], 2)
        if weights is not None:
            new = weights.unsqueeze(2)
            old = new[:, :, :0] if beams.weights is None else beams.weights
            weights = torch.cat([old, new], 2)[row, parents]
        return replace(beams, tokens=past, weights=weights)

    def _put_aside(self, grown: _Beams, scores: Tensor, ends: Tensor) -> None:
        """Keep the best candidate that ends, of each row."""
        value = (scores / self.penalty(grown.tokens.shape[2] - 1)).masked_fill(~ends, -math.inf)
        greatest, at = value.max(1)
        counts = ends.sum(1).tolist()
        for position in ends.any(1).nonzero().squeeze(1).tolist():
            row = int(grown.rows[position])
            self.ended[row] += counts[position]
            found = self.best[row]
            if found is None or float(greatest[position]) > found.score:
                self.best[row] = _hypothesis(grown, position, int(at[position]), greatest, True)

    def _chosen(self, grown: _Beams, scores: Tensor, parents: Tensor, at: Tensor) -> _Beams:
        """The candidates that go on, with their states."""
        row = torch.arange(len(at), device=at.device).unsqueeze(1)
        before = len(next(iter(grown.state.recurrent[0].values()))) // len(at)
        return replace(
            grown,
            scores=scores,
            tokens=grown.tokens[row, at],
            state=grown.state.take((row * before + parents[row, at]).flatten()),
            weights=None if grown.weights is None else grown.weights[row, at],
        )

    def _unfinished(self, beams: _Beams) -> Tensor:
        """Which rows can still find something better, (R,)."""
        hopes = (beams.scores[:, 0] / self.penalty(self.longest)).tolist()
        open_rows = []
        for row, hope in zip(beams.rows.tolist(), hopes, strict=True):
            found = self.best[row]
            better = found is None or (self.ended[row] < self.width and hope > found.score)
            open_rows.append(better)
        return torch.tensor(open_rows, dtype=torch.bool, device=beams.rows.device)

    def give_up(self, beams: _Beams) -> None:
        """At the limit: rows in which nothing has ended get their best beam as it is."""
        value = beams.scores / self.penalty(max(beams.tokens.shape[2] - 1, 1))
        for position, row in enumerate(beams.rows.tolist()):
            if self.best[row] is None:
                self.best[row] = _hypothesis(beams, position, 0, value[:, 0], False)


def _hypothesis(
    beams: _Beams, position: int, at: int, scores: Tensor, complete: bool
) -> Hypothesis:
    tokens = beams.tokens[position, at, 1:].tolist()
    tokens = tokens[:-1] if complete else tokens
    weights = None if beams.weights is None else beams.weights[position, at, : len(tokens)].cpu()
    return Hypothesis(tokens, float(scores[position]), weights, complete)
