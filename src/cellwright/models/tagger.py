"""Many to many over words: an embedding of each word, and a network that reads its letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cellwright.cells.cell import Cell
from cellwright.models.stepwise import check_delay, delayed_output
from cellwright.nn.recurrent import Recurrent

__all__ = ["PADDING", "UNKNOWN", "TaggerNetwork"]

_SHARED = ("sizes", "initialization", "backend")
PADDING, UNKNOWN = 0, 1
"""What stands in place of a word or letter: behind the end, and for one never seen."""


class TaggerNetwork(nn.Module):
    r"""Words and their letters in, scores at every word out (Ling et al. 2015; Plank et al. 2016).

    $$z_t = W\,\mathrm{layers}([E_{w_t};\ \overrightarrow{s}_t;\ \overleftarrow{s}_t])_{t+n} + b$$

    where the two s are the last states of a recurrent layer that reads the letters of the word
    from its start and from its end. Letters are read once for each distinct word of a batch.

    Parameters
    ----------
    words, characters
        Entries of the two vocabularies, padding (0) and unknown (1) among them.
    outputs
        Numbers that come out at each word.
    embedding
        Numbers that stand for a word.
    spelling
        Units of the layer that reads letters, in each direction; None for no such layer.
    character_embedding
        Numbers that stand for a letter.
    word_dropout
        Chance that a word is read as unknown in training, so that its letters must do.
    projection
        Units of a linear map between word and first layer; None for no such map.
    dropout
        Chance that a unit is dropped before the layers, between them, and before the readout.
    delay
        As for `StepwiseNetwork`.
    cell, layers, bidirectional, recurrent_dropout, zoneout, weight_drop, connections, \
    learn_initial_state, sizes, initialization, backend
        As for `Recurrent`; the cell, its sizes and start are those of the letters' layer too.

    Raises
    ------
    SettingError
        The network has a delay and also reads from the end.
    """

    def __init__(
        self,
        words: int,
        characters: int,
        outputs: int,
        *,
        cell: Cell | str,
        layers: Sequence[int],
        embedding: int = 100,
        spelling: int | None = 64,
        character_embedding: int = 32,
        word_dropout: float = 0.0,
        projection: int | None = None,
        dropout: float = 0.0,
        delay: int = 0,
        **recurrent: Any,
    ) -> None:
        check_delay(delay, recurrent.get("bidirectional", False))
        super().__init__()
        self.delay, self.word_dropout = delay, word_dropout
        self.embedding = nn.Embedding(words, embedding, padding_idx=PADDING)
        width = embedding + 2 * (spelling or 0)
        if spelling:
            shared = {name: recurrent[name] for name in _SHARED if name in recurrent}
            self.letters = nn.Embedding(characters, character_embedding, padding_idx=PADDING)
            self.spelling: Recurrent | None = Recurrent(
                cell, character_embedding, spelling, bidirectional=True, **shared
            )
        else:
            self.spelling = None
        self.projection = nn.Linear(width, projection) if projection else nn.Identity()
        self.recurrent = Recurrent(cell, projection or width, layers, dropout=dropout, **recurrent)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(self.recurrent.output_size, outputs)

    def forward(
        self,
        words: Tensor,
        lengths: Tensor,
        letters: Tensor,
        letter_counts: Tensor,
        spelled: Tensor,
    ) -> Tensor:
        """Scores at every word, (batch, time, outputs); behind the end they mean nothing.

        Parameters
        ----------
        words
            Numbers of words, (batch, time).
        lengths
            Words of each row, (batch,).
        letters
            Numbers of letters of each distinct word, (distinct, letters).
        letter_counts
            How many letters each has, (distinct,).
        spelled
            Which of the distinct words stands where, (batch, time).
        """
        if self.training and self.word_dropout:
            dropped = torch.rand(words.shape, device=words.device) < self.word_dropout
            words = words.masked_fill(dropped & (words != PADDING), UNKNOWN)
        parts = [self.embedding(words)]
        if self.spelling is not None:
            _, state = self.spelling(self.letters(letters), lengths=letter_counts)
            ends = state[-1][self.spelling.cell.states[0]].flatten(1)
            parts.append(ends[spelled])
        given = self.projection(self.dropout(torch.cat(parts, -1)))
        output = delayed_output(self.recurrent, given, lengths, self.delay)
        scores: Tensor = self.readout(self.dropout(output))
        return scores.to(self.readout.weight.dtype)
