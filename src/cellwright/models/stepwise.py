"""Many to many: an answer at every step, at once or some steps later."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from cellwright.errors import SettingError
from cellwright.models.classifier import ClassifierNetwork
from cellwright.models.streaming import for_streaming
from cellwright.nn.recurrent import Recurrent

__all__ = ["StepwiseNetwork", "StepwiseStream", "check_delay", "delayed_output"]


class StepwiseNetwork(ClassifierNetwork):
    r"""Scaling, an optional linear projection, recurrent layers, a linear readout at every step.

    $$z_t = W\,\mathrm{layers}(P (x - \mu) / \sigma)_{t + n} + b$$

    A `ClassifierNetwork` that pools nothing: scores are (batch, time, outputs), and what
    stands behind the end of a sequence means nothing.

    Parameters
    ----------
    features
        Features of the input at each step.
    outputs
        Numbers that come out at each step.
    delay
        n above: the answer for a step is given that many steps later, when the network has
        seen what follows. Behind the end of a sequence the layers read n steps of zeros, so
        that every step gets its answer; scores stand at the step that they are for.
    **options
        As for `ClassifierNetwork`, without its pooling.

    Raises
    ------
    SettingError
        The network has a delay and also reads from the end.
    """

    def __init__(self, features: int, outputs: int, *, delay: int = 0, **options: Any) -> None:
        check_delay(delay, options.get("bidirectional", False))
        super().__init__(features, outputs, **options)
        self.delay = delay

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Scores at every step, (batch, time, outputs); arguments as for `ClassifierNetwork`."""
        return self.answer(delayed_output(self.recurrent, self.seen(x), lengths, self.delay))

    def stream(self, batch_size: int = 1) -> StepwiseStream:
        """Open a stream: scores as steps come, the same numbers as those of whole sequences.

        Raises
        ------
        SettingError
            The network is bidirectional.
        """
        return StepwiseStream(self, batch_size)


class StepwiseStream:
    """A network that is fed one step at a time; made by `StepwiseNetwork.stream`.

    It runs on the CPU and as in evaluation: nothing is dropped and there are no gradients.

    Parameters
    ----------
    network
        Whose weights it takes, as they are now.
    batch_size
        Sequences that go on side by side.
    """

    def __init__(self, network: StepwiseNetwork, batch_size: int = 1) -> None:
        self._network = for_streaming(network)
        self._stream = self._network.recurrent.stream(batch_size)
        self._batch_size, self._owed = batch_size, 0

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor | None:
        """Feed a step, (batch, features).

        Returns
        -------
        Tensor or None
            The scores, (batch, outputs), of the step that came `delay` steps ago; None while
            there is no such step.
        """
        network = self._network
        scores = self._answer(network.seen(x.cpu()[:, None])[:, 0])
        if self._owed == network.delay:
            return scores
        self._owed += 1
        return None

    @torch.no_grad()
    def finish(self) -> list[Tensor]:
        """The scores still owed for the last `delay` steps; then the stream starts anew."""
        weight = self._network.readout.weight
        blank = weight.new_zeros(self._batch_size, self._network.recurrent.input_size)
        # A sequence shorter than the delay owes its first answer only after as many blanks.
        early = self._network.delay - self._owed
        scores = [self._answer(blank) for _ in range(self._network.delay)][early:]
        self._stream.reset()
        self._owed = 0
        return scores

    def _answer(self, given: Tensor) -> Tensor:
        scores: Tensor = self._network.readout(self._stream.step(given.contiguous()))
        return scores


def check_delay(delay: int, bidirectional: bool) -> None:
    """Refuse a delay below zero, and one of a network that has seen the whole sequence anyway."""
    if delay < 0:
        raise SettingError(f"delay={delay}: must be a whole number from 0")
    if delay and bidirectional:
        raise SettingError(
            f"delay={delay} lets a network that reads forwards see some steps more; one that also "
            f"reads from the end sees them all: give a delay or bidirectional, not both"
        )


def delayed_output(recurrent: Recurrent, x: Tensor, lengths: Tensor | None, delay: int) -> Tensor:
    """What the layers give at each step, `delay` steps later than they read it.

    Parameters
    ----------
    recurrent
        The layers, batch first.
    x
        (batch, time, input).
    lengths
        Steps of each row, (batch,); None where all rows are full.
    delay
        Steps to wait; behind the end of a row the layers read zeros.

    Returns
    -------
    Tensor
        (batch, time, units); behind the end of a row it means nothing.
    """
    output: Tensor
    if not delay:
        output, _ = recurrent(x, lengths=lengths)
        return output
    steps = x.shape[1]
    if lengths is not None:
        lengths = lengths.to(x.device)
        exists = torch.arange(steps, device=x.device) < lengths[:, None]
        # What pads a row is zero before scaling and projection, but not behind them.
        x, lengths = x.masked_fill(~exists[..., None], 0), lengths + delay
    output, _ = recurrent(pad(x, (0, 0, 0, delay)), lengths=lengths)
    return output[:, delay:]
