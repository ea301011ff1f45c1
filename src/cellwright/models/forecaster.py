"""Many to many, delayed: a window of a series in, the steps behind it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cellwright.models.trunk import last_output
from cellwright.nn.recurrent import Recurrent

__all__ = ["ForecasterNetwork", "WindowNetwork", "naive_weights"]

_WIDTH = 32
_START_SPREAD = 0.5


class WindowNetwork(nn.Module):
    r"""An encoder over the window's patches, a head for all steps ahead, a linear map beside it.

    $$s = \mathrm{layers}(x_1 \dots x_{L/p}), \qquad
    \hat z_h = (N_h + A_h) z + W_h [s, z_{\mathrm{season}}, e] + g(s, u_h)$$

    with the scaled window $z$ of $L$ values, of which a step reads $p$, with what is known of
    each; $e$ what never changes; $u_h$ what is known of the step $h$ ahead. The autoregressive
    part is that of LSTNet: $N$ is a seasonal naive forecast and stays as it is, $A$ starts at
    zero and learns, as all the rest does, what that misses; $g$ is the local part of MQ-RNN. A
    recurrent decoder runs over the steps ahead in the place of $W_h$ and $g$.

    Parameters
    ----------
    window, horizon, season
        Steps read, steps ahead, steps of a season.
    patch
        Values that the cell reads in one step; divides `window`.
    outputs
        Numbers that come out for each step ahead.
    start
        What the outputs are at the start, (outputs,): quantiles that do not cross, say.
    anchors
        Which outputs the autoregressive part is added to.
    known, features
        Columns known ahead, and columns known of the window, those among them.
    static
        Numbers that never change within a series, the two of its scale among them.
    categories
        How many there are of each category that never changes.
    decoder
        ``"linear"`` or ``"recurrent"``.
    autoregression
        Whether there are $N$ and $A$.
    naive_seasons
        How many seasons $N$ averages: the shape of each about its own mean, on the level of the
        last one.
    dropout, projection, **options
        As for `SequenceNetwork`.

    References
    ----------
    Lai et al., "Modeling long- and short-term temporal patterns with deep neural networks"
    (2018); Wen et al., "A multi-horizon quantile recurrent forecaster" (2017).
    """

    def __init__(
        self,
        window: int,
        horizon: int,
        season: int,
        *,
        patch: int,
        outputs: int,
        start: Sequence[float],
        anchors: Sequence[int],
        known: int,
        features: int,
        static: int,
        categories: Sequence[int],
        decoder: str,
        autoregression: bool,
        naive_seasons: int,
        dropout: float,
        projection: int | None,
        cell: Any,
        layers: Sequence[int],
        bidirectional: bool,
        **options: Any,
    ) -> None:
        super().__init__()
        self.naive: Tensor
        self.window, self.horizon, self.season = window, horizon, min(season, window)
        self.patch, self.outputs, self.anchors = patch, outputs, list(anchors)
        self.embeddings = nn.ModuleList(
            nn.Embedding(count, min(16, 1 + count // 2)) for count in categories
        )
        self.static = static + sum(each.embedding_dim for each in self.embeddings)  # type: ignore[misc]
        width = patch * (2 + features) + self.static
        self.projection = nn.Linear(width, projection) if projection else nn.Identity()
        self.encoder = Recurrent(
            cell,
            projection or width,
            layers,
            bidirectional=bidirectional,
            dropout=dropout,
            **options,
        )
        self.dropout = nn.Dropout(dropout)
        context = self.encoder.output_size + self.static
        self.decoder: Recurrent | None = None
        if decoder == "recurrent":
            self.squeeze = nn.Linear(context, _WIDTH)
            self.decoder = Recurrent(cell, _WIDTH + 2 + known, layers, dropout=dropout, **options)
            self.readout = nn.Linear(self.decoder.output_size, outputs)
        else:
            self.readout = nn.Linear(context + self.season, horizon * outputs)
            if known:
                self.local = nn.Linear(context + self.season, _WIDTH)
                self.local_known = nn.Linear(known, _WIDTH, bias=False)
                self.local_readout = nn.Linear(_WIDTH, outputs)
        self.autoregressive = nn.Linear(window, horizon) if autoregression else None
        if autoregression:
            seasons = min(naive_seasons, window // self.season)
            self.register_buffer("naive", naive_weights(window, horizon, self.season, seasons))
        self._start(start)

    @torch.no_grad()
    def _start(self, start: Sequence[float]) -> None:
        bias = torch.tensor(list(start), dtype=self.readout.weight.dtype)
        # Of two readouts that are added the first has the start; small weights keep it.
        self.readout.weight.mul_(0.1)
        self.readout.bias.copy_(bias.repeat(len(self.readout.bias) // self.outputs))
        if hasattr(self, "local_readout"):
            self.local_readout.weight.mul_(0.1)
            self.local_readout.bias.zero_()
        if self.autoregressive is not None:
            self.autoregressive.weight.zero_()
            self.autoregressive.bias.zero_()

    def forward(
        self,
        values: Tensor,
        observed: Tensor,
        features: Tensor,
        ahead: Tensor,
        static: Tensor,
        categories: Tensor,
    ) -> Tensor:
        """Numbers for each step ahead, in the units of the scaled window.

        Parameters
        ----------
        values, observed
            The scaled window, and 1 where it was observed, (batch, window).
        features
            What else is known of the window, (batch, window, features).
        ahead
            What is known of the steps ahead, (batch, horizon, known).
        static
            Numbers that never change, (batch, static).
        categories
            Numbers of categories that never change, (batch, categories).

        Returns
        -------
        Tensor
            (batch, horizon, outputs).
        """
        batch = len(values)
        fixed = [each(categories[:, n]) for n, each in enumerate(self.embeddings)]
        constant = torch.cat([static, *fixed], 1)
        steps = torch.cat([values.unsqueeze(2), observed.unsqueeze(2), features], 2)
        steps = steps.reshape(batch, self.window // self.patch, -1)
        everywhere = constant.unsqueeze(1).expand(-1, steps.shape[1], -1)
        output, _ = self.encoder(self.projection(torch.cat([steps, everywhere], 2)))
        last = last_output(output, None, self.encoder.bidirectional)
        context = torch.cat([self.dropout(last), constant], 1)
        result = self._decoded(context, values, ahead)
        if self.autoregressive is None:
            return result
        linear = (self.autoregressive(values) + values @ self.naive.T).unsqueeze(2)
        anchored = torch.zeros(self.outputs, dtype=result.dtype, device=result.device)
        anchored[self.anchors] = 1
        together: Tensor = result + linear * anchored
        return together

    def _decoded(self, context: Tensor, values: Tensor, ahead: Tensor) -> Tensor:
        batch, season = len(values), values[:, -self.season :]
        if self.decoder is not None:
            times = torch.arange(self.horizon, device=values.device)
            naive = season[:, times % self.season].unsqueeze(2)
            place = (times / self.horizon).to(values.dtype).view(1, -1, 1).expand(batch, -1, 1)
            said = torch.tanh(self.squeeze(context)).unsqueeze(1).expand(-1, self.horizon, -1)
            output, _ = self.decoder(torch.cat([said, naive, place, ahead], 2))
            decoded: Tensor = self.readout(self.dropout(output))
            return decoded
        context = torch.cat([context, season], 1)
        result: Tensor = self.readout(context).view(batch, self.horizon, self.outputs)
        if ahead.shape[2]:
            hidden = torch.relu(self.local(context).unsqueeze(1) + self.local_known(ahead))
            result = result + self.local_readout(hidden)
        return result


def naive_weights(window: int, horizon: int, season: int, seasons: int) -> Tensor:
    r"""The weights of a seasonal naive forecast, (horizon, window).

    $$\hat z_h = \bar z_1 + \frac1k \sum_{j=1}^{k} (z_{L + h - jm} - \bar z_j)$$

    with the mean $\bar z_j$ of the season $j$ from the end; of one season its values again.

    Parameters
    ----------
    window, horizon, season
        Steps read, steps ahead, steps of a season, $m$.
    seasons
        How many are averaged, $k$.

    Examples
    --------
    >>> naive_weights(4, 2, 2, 1)
    tensor([[0., 0., 1., 0.],
            [0., 0., 0., 1.]])
    """
    weights, steps = torch.zeros(horizon, window), torch.arange(horizon)
    for back in range(1, seasons + 1):
        begin = window - back * season
        weights[steps, begin + steps % season] += 1 / seasons
        weights[:, begin : begin + season] -= 1 / seasons / season
    weights[:, window - season :] += 1 / season
    return weights


class ForecasterNetwork(nn.Module):
    """Networks side by side, that differ in how their weights start.

    Parameters
    ----------
    members
        How many.
    *arguments, **options
        Of each `WindowNetwork`.
    """

    def __init__(self, members: int, *arguments: Any, **options: Any) -> None:
        super().__init__()
        self.members = nn.ModuleList(WindowNetwork(*arguments, **options) for _ in range(members))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What each member makes of it, (member, batch, horizon, outputs)."""
        return torch.stack([member(**batch) for member in self.members])
