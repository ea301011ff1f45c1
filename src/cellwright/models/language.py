"""Many to many over tokens: at every step, how likely each token is to come next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, linear

from cellwright.cells.cell import Cell
from cellwright.errors import SettingError
from cellwright.models.streaming import for_streaming
from cellwright.nn.connections import Connections
from cellwright.nn.initialization import Scheme
from cellwright.nn.recurrent import Recurrent
from cellwright.nn.states import State

__all__ = ["LanguageNetwork", "LanguageStream"]


class LanguageNetwork(nn.Module):
    r"""An embedding, recurrent layers, and a readout that can be the embedding again.

    $$v_t = \sqrt{n}\,E_{w_t}, \quad h_t = \mathrm{layers}(v_1 \dots v_t), \quad
      p(w_{t+1} \mid w_1 \dots w_t) = \mathrm{softmax}(E' P h_t + b)$$

    with $E' = E$ for tied weights and $P$ a projection where the layers' units are not as many
    as the embedding's numbers n (none otherwise).

    Parameters
    ----------
    vocabulary
        How many tokens there are.
    embedding
        Numbers that stand for a token; None for as many as the last layer has units.
    tied
        Whether the readout's matrix is that of the embedding (Press and Wolf 2017).
    adaptive_softmax
        The first token of each cluster of rarer ones, tokens being sorted by frequency; its
        readout costs less for large vocabularies (Grave et al. 2017). None for a plain softmax.
    input_dropout
        Chance that a number of an embedding is dropped.
    dropout
        Chance that a unit is dropped between layers and before the readout.
    variational
        Drop the same units at all steps of a window, others in each row (Gal and Ghahramani
        2016), and not other ones at each step.
    cell, layers, recurrent_dropout, zoneout, weight_drop, connections, learn_initial_state, \
    sizes, initialization, backend
        As for `Recurrent`.

    Raises
    ------
    SettingError
        Options contradict each other.

    References
    ----------
    Merity, Keskar and Socher, "Regularizing and optimizing LSTM language models", ICLR (2018).
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        cell: Cell | str,
        layers: Sequence[int],
        embedding: int | None = None,
        tied: bool = True,
        adaptive_softmax: Sequence[int] | None = None,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        variational: bool = True,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_drop: float = 0.0,
        connections: Connections = "none",
        learn_initial_state: bool = False,
        sizes: Mapping[str, int] | None = None,
        initialization: Scheme = "standard",
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.vocabulary, self.variational = vocabulary, variational
        self.input_dropout, self.dropout = input_dropout, dropout
        width = embedding or layers[-1]
        self.embedding = nn.Embedding(vocabulary, width)
        # Its numbers are small enough for a readout, and are scaled up where they are read.
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.recurrent = Recurrent(
            cell,
            width,
            layers,
            dropout=dropout,
            dropout_per="sequence" if variational else "step",
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_drop=weight_drop,
            connections=connections,
            learn_initial_state=learn_initial_state,
            sizes=sizes,
            initialization=initialization,
            backend=backend,
        )
        units = self.recurrent.output_size
        needed = tied and units != width
        self.projection = nn.Linear(units, width, bias=False) if needed else nn.Identity()
        self.readout: nn.Linear | None = None
        self.adaptive: nn.AdaptiveLogSoftmaxWithLoss | None = None
        if adaptive_softmax is not None:
            _check_clusters(adaptive_softmax, vocabulary, units, tied)
            self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(units, vocabulary, [*adaptive_softmax])
        elif tied:
            self.bias = nn.Parameter(torch.zeros(vocabulary))
        else:
            self.readout = nn.Linear(units, vocabulary)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """What the readout reads, at every step.

        Parameters
        ----------
        tokens
            (batch, time).
        state
            As it was returned for the tokens before; None at the start.

        Returns
        -------
        Tensor
            (batch, time, units), for `nats` or `scores`.
        State
            After the last step.
        """
        vectors = self._dropped(self.vectors()[tokens], self.input_dropout)
        output, state = self.recurrent(vectors, state)
        projected: Tensor = self.projection(self._dropped(output, self.dropout))
        return projected, state

    def vectors(self) -> Tensor:
        """What stands for each token, (vocabulary, numbers)."""
        return self.embedding.weight * math.sqrt(self.embedding.embedding_dim)

    def nats(self, output: Tensor, targets: Tensor) -> Tensor:
        """Minus the natural logarithm of the chance of each token that really came next.

        Parameters
        ----------
        output
            What the network gave, (…, units).
        targets
            Tokens, (…).

        Returns
        -------
        Tensor
            (…), single precision at least.
        """
        flat, wanted = output.flatten(0, -2), targets.flatten()
        if self.adaptive is not None:
            # It puts its clusters together in one precision, that of its weights.
            with torch.autocast(flat.device.type, enabled=False):
                chances: Tensor = self.adaptive(flat.to(self._dtype), wanted).output
            return -chances.view_as(targets)
        return cross_entropy(self.scores(flat), wanted, reduction="none").view_as(targets)

    def scores(self, output: Tensor) -> Tensor:
        """Scores whose softmax are the chances of every token, (…, vocabulary)."""
        if self.adaptive is not None:
            with torch.autocast(output.device.type, enabled=False):
                flat: Tensor = self.adaptive.log_prob(output.flatten(0, -2).to(self._dtype))
            return flat.view(*output.shape[:-1], self.vocabulary)
        if self.readout is not None:
            scores = self.readout(output)
        else:
            scores = linear(output, self.embedding.weight, self.bias)
        return torch.as_tensor(scores.to(self._dtype))

    def stream(self, batch_size: int = 1) -> LanguageStream:
        """Open a stream: one token in, the scores of the next one out, in microseconds."""
        return LanguageStream(self, batch_size)

    @property
    def _dtype(self) -> torch.dtype:
        return self.embedding.weight.dtype

    def _dropped(self, x: Tensor, rate: float) -> Tensor:
        if not (self.training and rate):
            return x
        if not self.variational:
            return dropout(x, rate)
        return x * dropout(x.new_ones(len(x), 1, x.shape[2]), rate)


class LanguageStream:
    """A language network on the CPU, fed one token at a time.

    Made by `LanguageNetwork.stream`; it has the weights that the network had then.

    Attributes
    ----------
    state
        A copy of the states of the layers; setting it goes on from there.
    """

    @torch.no_grad()
    def __init__(self, network: LanguageNetwork, batch_size: int) -> None:
        self._network = network = for_streaming(network)
        self._vectors = network.vectors().detach().contiguous()
        self._stream = network.recurrent.stream(batch_size)
        self._readout = None if network.adaptive is not None else _merged(network)

    @torch.inference_mode()
    def step(self, tokens: Sequence[int]) -> npt.NDArray[Any]:
        """Read a token a row; return the scores of what may come next, (batch, vocabulary)."""
        if len(tokens) == 1:
            given = self._vectors[tokens[0]].unsqueeze(0)
        else:
            given = self._vectors[torch.as_tensor(tokens)]
        output = self._stream.step(given)
        if self._readout is None:
            scores = self._network.scores(self._network.projection(output))
        else:
            weight, bias = self._readout
            scores = torch.addmm(bias, output, weight)
        return np.asarray(scores.numpy())

    @property
    def state(self) -> Any:
        """The states of all layers after the last token."""
        return self._stream.state

    @state.setter
    def state(self, state: Any) -> None:
        self._stream.state = state

    def take(self, rows: Sequence[int]) -> None:
        """Go on with the states of these rows, of which there may be several of one."""
        chosen = torch.as_tensor(rows)
        self.state = [{n: value[chosen] for n, value in layer.items()} for layer in self.state]


def _merged(network: LanguageNetwork) -> tuple[Tensor, Tensor]:
    """Projection and readout as one matrix, (units, vocabulary), and its bias."""
    if network.readout is not None:
        return network.readout.weight.T.contiguous(), network.readout.bias
    weight = network.embedding.weight
    if isinstance(network.projection, nn.Linear):
        weight = weight @ network.projection.weight
    return weight.T.contiguous(), network.bias


def _check_clusters(clusters: Sequence[int], vocabulary: int, units: int, tied: bool) -> None:
    """Raise `SettingError` unless tokens can be divided so."""
    if tied:
        raise SettingError(
            "adaptive_softmax has matrices of its own for rare tokens; give tied=False with it"
        )
    rising = list(clusters) == sorted(set(clusters))
    if not clusters or not rising or not 0 < clusters[0] <= clusters[-1] < vocabulary:
        raise SettingError(
            f"adaptive_softmax={list(clusters)}: give rising numbers of tokens between 1 and "
            f"{vocabulary - 1}, such as {max(1, vocabulary // 5)}"
        )
    # Each cluster is read from a quarter of the units of the one before.
    if units < 4 ** len(clusters):
        raise SettingError(
            f"adaptive_softmax={list(clusters)}: so many clusters want {4 ** len(clusters)} units "
            f"in the last layer, which has {units}"
        )
