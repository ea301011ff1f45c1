"""Many to many, delayed: a text is read to its end, and then told in other words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from cellwright.cells.cell import Cell
from cellwright.models.decoder import Decoder, DecoderAttention, DecoderState, Feeding
from cellwright.nn.attention import Memory
from cellwright.nn.recurrent import Recurrent

__all__ = ["Encoded", "TranslatorNetwork"]


class Encoded(NamedTuple):
    """What the encoder leaves: what the decoder attends to, and the state it starts from."""

    memory: Memory | None
    state: DecoderState


class TranslatorNetwork(nn.Module):
    r"""An encoder over the source, and a `Decoder` that attends to its outputs.

    $$m = \mathrm{encoder}(E x), \quad s_0 = \tanh(W m_{\mathrm{last}} + b), \quad
    z_t = \mathrm{decoder}(y_{t-1}, s_{t-1}, m)$$

    (Sutskever et al. 2014; Bahdanau et al. 2015; Luong et al. 2015.) $m_{\mathrm{last}}$ is what
    each direction of the encoder's last layer hands on after its last step.

    Parameters
    ----------
    source_vocabulary, target_vocabulary
        Numbers of tokens.
    embedding
        Features of a token, on both sides.
    layers
        Units of the decoder's layers.
    encoder_layers
        Units of the encoder's layers in each direction; None for those of the decoder, halved
        if there are two directions.
    bidirectional
        Whether the encoder also reads from the end.
    attention, feeding, tied
        As for `Decoder`.
    dropout
        Chance that a unit is dropped: of embeddings, between layers, before the readout.
    cell, recurrent_dropout, zoneout, weight_drop, connections, sizes, initialization, backend
        As for `Recurrent`, of encoder and decoder.
    """

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        *,
        embedding: int,
        cell: Cell | str,
        layers: Sequence[int],
        encoder_layers: Sequence[int] | None = None,
        bidirectional: bool = True,
        attention: DecoderAttention = "general",
        feeding: Feeding = "none",
        tied: bool = True,
        dropout: float = 0.0,
        **recurrent: Any,
    ) -> None:
        super().__init__()
        if encoder_layers is None:
            encoder_layers = [(n + 1) // 2 for n in layers] if bidirectional else list(layers)
        self.embedding = nn.Embedding(source_vocabulary, embedding)
        self.drop = nn.Dropout(dropout)
        shared: Mapping[str, Any] = {"cell": cell, "dropout": dropout, **recurrent}
        self.encoder = Recurrent(
            input_size=embedding,
            hidden_size=encoder_layers,
            bidirectional=bidirectional,
            **shared,
        )
        self.decoder = Decoder(
            target_vocabulary,
            embedding,
            layers=layers,
            memory_size=self.encoder.output_size,
            summary_size=self.encoder.output_size,
            attention=attention,
            feeding=feeding,
            tied=tied,
            **shared,
        )

    def encode(self, source: Tensor, lengths: Tensor) -> Encoded:
        """Read the source.

        Parameters
        ----------
        source
            Tokens, (B, S).
        lengths
            Tokens of each row, (B,).
        """
        embedded = self.drop(self.embedding(source))
        output, state = self.encoder(embedded, lengths=lengths)
        last = state[-1][self.encoder.cell.states[0]].flatten(1)
        memory = self.decoder.remember(self.drop(output), lengths)
        return Encoded(memory, self.decoder.start(len(source), self.drop(last)))

    def forward(
        self,
        source: Tensor,
        lengths: Tensor,
        tokens: Tensor,
        counted: Tensor | None = None,
        scheduled_sampling: float = 0.0,
    ) -> Tensor:
        """Scores of the target's tokens, given those before them.

        Parameters
        ----------
        source, lengths
            As for `encode`.
        tokens
            What the decoder reads: the target behind a token for the beginning, (B, T).
        counted, scheduled_sampling
            As for `Decoder`.

        Returns
        -------
        Tensor
            (B, T, vocabulary), or (wanted steps, vocabulary).
        """
        memory, state = self.encode(source, lengths)
        scores: Tensor = self.decoder(tokens, state, memory, counted, scheduled_sampling)
        return scores
