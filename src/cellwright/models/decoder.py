"""A recurrent decoder: tokens out, one after another, given what an encoder has left.

Shapes: B batch, T steps of the target, P positions of the memory, W beams of a search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from cellwright.cells.cell import Cell
from cellwright.errors import SettingError, ShapeError, did_you_mean
from cellwright.models.decoder_state import (
    Decoded,
    DecoderAttention,
    DecoderState,
    DecoderStep,
    Feeding,
    given_memory,
    joined_signals,
)
from cellwright.nn.attention import Attended, Attention, Memory
from cellwright.nn.recurrent import Recurrent
from cellwright.nn.stack import StackResult
from cellwright.nn.states import State

__all__ = ["Decoded", "Decoder", "DecoderAttention", "DecoderState", "DecoderStep", "Feeding"]


class Decoder(nn.Module):
    r"""Embedding, recurrent layers, attention over a memory, a readout over the vocabulary.

    $$s_t = \mathrm{layers}(\sqrt{d} E y_{t-1}), \quad c_t = \mathrm{attention}(s_t, m), \quad
    \tilde h_t = \tanh(W [s_t; c_t] + b), \quad z_t = E \tilde h_t + b_z$$

    (Luong et al. 2015.) With `feeding` "none" the layers run over all steps of the targets in
    one call, and then the attention for all steps at once: by far the fastest. What depends on
    the step before makes it go step by step: "output" lets the layers also read
    $\tilde h_{t-1}$ (Luong's input feeding), "context" attends *before* a step, with
    $s_{t-1}$ as the query, and lets the layers read $c_t$ (Bahdanau et al. 2015).

    Parameters
    ----------
    vocabulary
        Number of tokens.
    embedding
        Features of a token.
    memory_size
        Features of the memory at each position; None without attention.
    summary_size
        Features of a vector from which the first states are made, by a learned linear map and
        tanh: the output state and the state ``c`` if the cell has one. None starts from zero.
    attention
        Kind of attention, or "none".
    feeding
        What the layers read beside the token, see above.
    tied
        Whether the readout has the weights of the embedding (Press and Wolf 2017); its hidden
        vector then has as many features as an embedding, $d$, else as the last layer, and
        embeddings are read as they are.
    dropout
        Chance that a unit is dropped: of embeddings, between layers, before the readout.
    padding
        The token that fills up short targets; its embedding stays zero unless tied.
    cell, layers, recurrent_dropout, zoneout, weight_drop, connections, learn_initial_state, \
    sizes, initialization, backend
        As for `Recurrent`.

    Raises
    ------
    SettingError
        Options do not go together.

    Examples
    --------
    Training, with the targets known: tokens that go in are the target behind a token for the
    beginning, tokens that are wanted are the target with one for the end.

    >>> import torch
    >>> from cellwright.models.beam import beam_search
    >>> from cellwright.models.decoder import Decoder
    >>> torch.manual_seed(0) and None
    >>> decoder = Decoder(vocabulary=20, embedding=8, layers=[16], memory_size=6, summary_size=6)
    >>> image = torch.randn(2, 9, 6)                           # (batch, positions, features)
    >>> memory = decoder.remember(image)                       # lengths= for ragged positions
    >>> state = decoder.start(2, summary=image.mean(1))
    >>> decoder(torch.tensor([[1, 5, 7], [1, 9, 0]]), state, memory).shape   # (batch, step, token)
    torch.Size([2, 3, 20])

    To pay for the readout only where a target stands, say where that is:

    >>> counted = torch.tensor([[True, True, True], [True, True, False]])
    >>> decoder(torch.tensor([[1, 5, 7], [1, 9, 0]]), state, memory, counted).shape
    torch.Size([5, 20])

    Then to find targets (evaluation mode; `beam_search` wants what training wants):

    >>> found = beam_search(decoder.eval(), state, memory, begin=1, end=2, longest=10, width=3)
    >>> len(found), found[0].weights.shape == (len(found[0].tokens), 9)
    (2, True)
    """

    batch_first = True

    def __init__(
        self,
        vocabulary: int,
        embedding: int,
        *,
        layers: Sequence[int],
        cell: Cell | str = "lstm",
        memory_size: int | None = None,
        summary_size: int | None = None,
        attention: DecoderAttention = "general",
        feeding: Feeding = "none",
        tied: bool = True,
        dropout: float = 0.0,
        padding: int = 0,
        **recurrent: Any,
    ) -> None:
        super().__init__()
        if memory_size is None:
            attention = "none"
        self._check(attention, feeding, recurrent)
        self.vocabulary, self.feeding, self.tied = vocabulary, feeding, tied
        self.hidden_size = embedding if tied else layers[-1]
        more = {"none": 0, "output": self.hidden_size, "context": memory_size or 0}[feeding]
        self.embedding = nn.Embedding(vocabulary, embedding, None if tied else padding)
        # A tied readout wants scores of about one of a hidden vector of about one, the layers
        # an input of about one: what is tied is small, and grows where it is read (Vaswani et
        # al. 2017). Without that the attention takes many times as long to learn where to look.
        self.scale = embedding**0.5 if tied else 1.0
        nn.init.normal_(self.embedding.weight, std=1 / self.scale)
        if not tied:
            with torch.no_grad():
                self.embedding.weight[padding] = 0
        self.recurrent = Recurrent(cell, embedding + more, layers, dropout=dropout, **recurrent)
        units = self.recurrent.output_size
        self.attention = None
        if attention != "none" and memory_size is not None:
            self.attention = Attention(units, memory_size, attention)
        context = memory_size if self.attention is not None and memory_size is not None else 0
        self.combine = nn.Linear(units + context, self.hidden_size)
        self.drop = nn.Dropout(dropout)
        # A matrix that is tied has one name, so that it is stored once.
        self.readout = None if tied else nn.Linear(self.hidden_size, vocabulary, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.bridge = self._make_bridge(summary_size)

    @staticmethod
    def _check(attention: str, feeding: str, recurrent: Mapping[str, Any]) -> None:
        known = get_args(Feeding)
        if feeding not in known:
            raise SettingError(
                f"there is no feeding {feeding!r}; known: {', '.join(known)}."
                f"{did_you_mean(str(feeding), known)}"
            )
        if feeding == "context" and attention == "none":
            raise SettingError("feeding='context' needs attention, whose context is fed")
        if recurrent.get("bidirectional"):
            raise SettingError("a decoder cannot read from the end; leave bidirectional out")

    def _make_bridge(self, summary_size: int | None) -> nn.ModuleDict | None:
        """From a summary to the first states of each layer."""
        if summary_size is None:
            return None
        maps = {
            f"{layer}_{name}": nn.Linear(summary_size, value.shape[1])
            for layer, state in enumerate(self._first(1))
            for name, value in state.items()
            if name in (self.recurrent.cell.states[0], "c")
        }
        return nn.ModuleDict(maps)

    def _first(self, batch: int) -> State:
        """States of the layers without a summary: zero, or as learned."""
        like = self.embedding.weight.new_zeros(batch, 1, self.recurrent.input_size)
        return [dict(layer[0]) for layer in self.recurrent.prepare(like).states]

    def remember(
        self,
        memory: Tensor,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
    ) -> Memory | None:
        """Prepare a memory (B, P, memory) for the attention, once; None without attention."""
        return None if self.attention is None else self.attention.prepare(memory, lengths, mask)

    def start(self, batch: int, summary: Tensor | None = None) -> DecoderState:
        """The state before the first step.

        Parameters
        ----------
        batch
            Rows.
        summary
            (B, summary), if the decoder was made with a `summary_size`.

        Raises
        ------
        ShapeError
            The summary is missing or not wanted.
        """
        if (summary is None) != (self.bridge is None):
            raise ShapeError(
                "the decoder was made without summary_size and takes no summary"
                if self.bridge is None
                else "the decoder was made with summary_size and needs a summary"
            )
        states, weight = self._first(batch), self.embedding.weight
        if self.bridge is not None:
            for name, bridge in self.bridge.items():
                layer, _, state = name.partition("_")
                states[int(layer)][state] = bridge(summary).tanh().to(weight.dtype)
        fed = weight.new_zeros(batch, self.hidden_size) if self.feeding == "output" else None
        return DecoderState(states, fed)

    def forward(
        self,
        tokens: Tensor,
        state: DecoderState,
        memory: Memory | None = None,
        counted: Tensor | None = None,
        scheduled_sampling: float = 0.0,
    ) -> Tensor:
        """Scores of every token.

        Parameters
        ----------
        tokens, state, memory
            As for `decode`.
        counted
            For which steps scores are wanted, (B, T), so that the readout is paid for there
            alone; None for all.
        scheduled_sampling
            Chance that a token is replaced by the decoder's own, see `mixed`.

        Returns
        -------
        Tensor
            (B, T, V), or (wanted steps, V).
        """
        if scheduled_sampling:
            tokens = self.mixed(tokens, state, memory, scheduled_sampling)
        hidden = self.decode(tokens, state, memory).hidden
        return self.read_out(hidden if counted is None else hidden[counted])

    def read_out(self, hidden: Tensor) -> Tensor:
        """Scores before the softmax, (…, V), of hidden vectors (…, hidden)."""
        weight = self.embedding.weight if self.readout is None else self.readout.weight
        return linear(self.drop(hidden), weight, self.bias)

    def decode(
        self,
        tokens: Tensor,
        state: DecoderState,
        memory: Memory | None = None,
        *,
        record: bool = False,
    ) -> Decoded:
        """Run over tokens that are known.

        Parameters
        ----------
        tokens
            What goes in at each step, (B, T); padded behind with any token.
        state
            From `start`, or where an earlier piece ended.
        memory
            From `remember`.
        record
            Whether to return the signals of the layers and of the attention.
        """
        embedded = self.drop(self.embedding(tokens) * self.scale)
        if self.feeding == "none":
            return self._whole(embedded, state, memory, record)
        return self._stepwise(embedded, state, memory, record)

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory | None) -> DecoderStep:
        """One step of a search.

        Parameters
        ----------
        tokens
            What goes in, (B, W): W beams for each row of the memory, which is not copied.
        state
            Of B · W rows, the beams of a row together.
        memory
            Of B rows.
        """
        batch, beams = tokens.shape
        embedded = self.drop(self.embedding(tokens) * self.scale)
        hidden, attended, state, _ = self._advance(embedded, state, memory, False)
        scores = self.read_out(hidden).view(batch, beams, -1)
        return DecoderStep(scores, state, None if attended is None else attended.weights)

    def mixed(
        self, tokens: Tensor, state: DecoderState, memory: Memory | None, chance: float
    ) -> Tensor:
        """Tokens some of which are replaced by what the decoder itself would have said there.

        Scheduled sampling (Bengio et al. 2015), in parallel (Duckworth et al. 2019): one pass
        over the right tokens, without gradients, draws a token at every step, and each token
        but the first is replaced by the one drawn before it with that chance.
        """
        if chance == 0 or tokens.shape[1] < 2:
            return tokens
        with torch.no_grad():
            scores = self.forward(tokens[:, :-1], state, memory)
            chances = scores.float().softmax(-1).flatten(0, 1)
            drawn = torch.multinomial(chances, 1).view(scores.shape[:2])
        replaced = torch.rand(drawn.shape, device=tokens.device) < chance
        return torch.cat([tokens[:, :1], torch.where(replaced, drawn, tokens[:, 1:])], 1)

    def run(
        self,
        x: Tensor,
        state: DecoderState | None = None,
        *,
        memory: Memory | None = None,
        record: bool = False,
    ) -> StackResult:
        """What `cellwright.record` calls; the attention's signals are the last layer's."""
        state = self.start(len(x)) if state is None else state
        decoded = self.decode(x, state, memory, record=record)
        signals = list(decoded.signals)
        if record and decoded.attended is not None:
            named = decoded.attended._asdict().items()
            signals.append([{name: value.transpose(0, 1) for name, value in named}])
        return StackResult(decoded.hidden.transpose(0, 1), [], signals)

    def _whole(
        self, embedded: Tensor, state: DecoderState, memory: Memory | None, record: bool
    ) -> Decoded:
        """All steps in one call of the layers, then all attention."""
        result = self.recurrent.run(embedded, state.recurrent, record=record)
        output = result.output.transpose(0, 1)
        attended = None
        if self.attention is not None:
            attended = self.attention(output, given_memory(memory))
        after = DecoderState([layer[0] for layer in result.states])
        return Decoded(self._combined(output, attended), attended, after, result.signals)

    def _stepwise(
        self, embedded: Tensor, state: DecoderState, memory: Memory | None, record: bool
    ) -> Decoded:
        """Step after step: what goes in depends on the step before."""
        hidden, attended, signals = [], [], []
        for step in range(embedded.shape[1]):
            made, at, state, signal = self._advance(
                embedded[:, step : step + 1], state, memory, record
            )
            hidden.append(made)
            signals.append(signal)
            if at is not None:
                attended.append(at)
        return Decoded(
            torch.stack(hidden, 1),
            Attended(*(torch.cat(parts, 1) for parts in zip(*attended, strict=True)))
            if attended
            else None,
            state,
            joined_signals(signals) if record else [],
        )

    def _advance(
        self, embedded: Tensor, state: DecoderState, memory: Memory | None, record: bool
    ) -> tuple[Tensor, Attended | None, DecoderState, list[list[dict[str, Tensor]]]]:
        """One step of (B, W, embedding); gives the hidden vectors, (B · W, hidden), and more."""
        batch, beams = embedded.shape[:2]
        x, attended = embedded.flatten(0, 1), None
        if self.feeding == "context":
            before = state.recurrent[-1][self.recurrent.cell.states[0]]
            attended = self._attend(before, memory, batch, beams)
            x = torch.cat([x, attended.context.flatten(0, 1)], -1)
        elif self.feeding == "output":
            assert state.fed is not None
            x = torch.cat([x, state.fed], -1)
        result = self.recurrent.run(x.unsqueeze(1), state.recurrent, record=record)
        output = result.output[0]
        if self.feeding != "context" and self.attention is not None:
            attended = self._attend(output, memory, batch, beams)
        hidden = self._combined(output.view(batch, beams, -1), attended).flatten(0, 1)
        fed = hidden if self.feeding == "output" else None
        after = DecoderState([layer[0] for layer in result.states], fed)
        return hidden, attended, after, result.signals

    def _attend(self, query: Tensor, memory: Memory | None, batch: int, beams: int) -> Attended:
        assert self.attention is not None
        attended: Attended = self.attention(query.view(batch, beams, -1), given_memory(memory))
        return attended

    def _combined(self, output: Tensor, attended: Attended | None) -> Tensor:
        parts = output if attended is None else torch.cat([output, attended.context], -1)
        hidden: Tensor = self.combine(parts).tanh()
        return hidden
