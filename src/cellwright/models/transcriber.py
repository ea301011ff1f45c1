"""Many to many, unaligned: scores over symbols and a blank, at fewer steps than came in."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from cellwright.errors import SettingError
from cellwright.models.streaming import for_streaming
from cellwright.models.trunk import SequenceNetwork

__all__ = ["Subsampling", "TranscriberNetwork", "TranscriberStream", "steps_left"]

_KERNEL = 3

Steps = TypeVar("Steps", int, Tensor)


def steps_left(steps: Steps, stride: int) -> Steps:
    """How many steps are left of these when so many become one, the last padded."""
    return -(-steps // stride)


class Subsampling(nn.Module):
    r"""Puts steps side by side, with an optional convolution and linear map over them.

    $$u_s = [x_{ks}; \dots; x_{ks+k-1}], \quad
    v_s = \max(0, W_{-1} u_{s-1} + W_0 u_s + W_1 u_{s+1} + b)$$

    Steps behind the end of a row count as zero, so that a row gives the same in any batch.

    Parameters
    ----------
    features
        Features at each step.
    stride
        \(k\), the steps that become one.
    convolution
        Filters of the convolution; None for none.
    projection
        Units of a linear map behind it; None for none.
    causal
        Let the convolution see \(u_{s-2}, u_{s-1}, u_s\) instead, so that it can be streamed.
    """

    def __init__(
        self,
        features: int,
        *,
        stride: int = 1,
        convolution: int | None = None,
        projection: int | None = None,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.causal = stride, causal
        width = stride * features
        self.convolution = nn.Conv1d(width, convolution, _KERNEL) if convolution else None
        width = convolution or width
        self.projection = nn.Linear(width, projection) if projection else nn.Identity()
        self.output_size = projection or width

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Fewer, wider steps.

        Parameters
        ----------
        x
            (batch, time, features).
        lengths
            Steps of each row, (batch,).

        Returns
        -------
        Tensor, Tensor or None
            (batch, time / stride rounded up, output_size), and the new lengths.
        """
        batch, steps, features = x.shape
        if lengths is not None:
            active = torch.arange(steps, device=x.device) < lengths.to(x.device)[:, None]
            x = x * active.unsqueeze(2)
            lengths = steps_left(lengths, self.stride)
        x = pad(x, (0, 0, 0, -steps % self.stride))
        x = x.reshape(batch, x.shape[1] // self.stride, self.stride * features)
        if self.convolution is not None:
            before = _KERNEL - 1 if self.causal else _KERNEL // 2
            x = pad(x, (0, 0, before, _KERNEL - 1 - before))
            x = self.convolved(x)
        seen: Tensor = self.projection(x)
        return seen, lengths

    def convolved(self, x: Tensor) -> Tensor:
        """Convolution and rectifier over (batch, time, features), two steps fewer."""
        assert self.convolution is not None
        return torch.relu(self.convolution(x.transpose(1, 2))).transpose(1, 2)


class TranscriberNetwork(SequenceNetwork):
    r"""Scaling, subsampling, recurrent layers, and log-probabilities of symbols and a blank.

    $$\log p_s = \log \mathrm{softmax}(W\,\mathrm{layers}(\mathrm{subsampling}(
    (x - \mu) / \sigma))_s + b)$$

    Parameters
    ----------
    features
        Features of the input at each step.
    outputs
        Symbols, and the blank, which is number 0.
    stride, convolution, projection
        As for `Subsampling`.
    **options
        As for `SequenceNetwork`, without its pooling and words.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        stride: int = 1,
        convolution: int | None = None,
        projection: int | None = None,
        bidirectional: bool = True,
        **options: Any,
    ) -> None:
        width = projection or convolution or stride * features
        # The linear map that this makes is replaced, only its width is used: the layers' input.
        super().__init__(
            features, outputs, projection=width, bidirectional=bidirectional, **options
        )
        self.projection = nn.Identity()
        self.subsampling = Subsampling(
            features,
            stride=stride,
            convolution=convolution,
            projection=projection,
            causal=not bidirectional,
        )

    @property
    def stride(self) -> int:
        """Steps that become one."""
        return self.subsampling.stride

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Log-probabilities, (batch, time / stride rounded up, outputs).

        What stands behind the end of a row means nothing; see `output_lengths`.
        """
        seen, lengths = self.subsampling(self.scaled(x), lengths)
        output, _ = self.recurrent(seen, lengths=lengths)
        return self.answers(output)

    def answers(self, output: Tensor) -> Tensor:
        """Log-probabilities from what the layers gave, (…, units) -> (…, outputs)."""
        scores: Tensor = self.readout(self.dropout(output))
        return (
            scores.float().log_softmax(-1)
            if scores.dtype != torch.double
            else scores.log_softmax(-1)
        )

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Steps that come out for these that go in."""
        return steps_left(lengths, self.stride)

    def stream(self) -> TranscriberStream:
        """Open a stream: log-probabilities as the steps come in.

        Raises
        ------
        SettingError
            The network is bidirectional.
        """
        return TranscriberStream(self)


class TranscriberStream:
    """A transcriber fed one step at a time; made by ``network.stream()``.

    It runs on the CPU and as in evaluation, with the weights that the network had then.
    """

    def __init__(self, network: TranscriberNetwork) -> None:
        if network.recurrent.bidirectional:
            raise SettingError(
                "a bidirectional network cannot be streamed: its second direction starts at the "
                "end; train with bidirectional=False"
            )
        self._network = for_streaming(network)
        self._layers = self._network.recurrent.stream()
        self._waiting: list[Tensor] = []
        self._before: list[Tensor] = []

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor | None:
        """Take one step, (features,), and give log-probabilities, (outputs,), if one is full."""
        self._waiting.append(self._network.scaled(x.cpu()[None, None])[0, 0])
        if len(self._waiting) < self._network.stride:
            return None
        return self._answer()

    @torch.no_grad()
    def finish(self) -> Tensor | None:
        """What the last steps give, if some are waiting; the stream begins anew."""
        last = None
        if self._waiting:
            missing = self._network.stride - len(self._waiting)
            self._waiting += [torch.zeros_like(self._waiting[0])] * missing
            last = self._answer()
        self._before = []
        self._layers.reset()
        return last

    def _answer(self) -> Tensor:
        frontend = self._network.subsampling
        wide = torch.cat(self._waiting)
        self._waiting = []
        if frontend.convolution is not None:
            blank = [torch.zeros_like(wide)] * (_KERNEL - 1)
            self._before = [*(self._before or blank), wide][-_KERNEL:]
            wide = frontend.convolved(torch.stack(self._before)[None])[0, 0]
        seen = frontend.projection(wide)
        return self._network.answers(self._layers.step(seen[None].contiguous())[0])
