"""A network that answers for a whole sequence, fed one step at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from cellwright.models.streaming import for_streaming
from cellwright.models.trunk import SequenceNetwork

__all__ = ["PooledStream"]


class PooledStream:
    """After each step the answer to the steps so far, as for a sequence that ends there.

    It runs on the CPU and as in evaluation: nothing is dropped and there are no gradients.

    Parameters
    ----------
    network
        Whose weights it takes, as they are now.
    batch_size
        Sequences that go on side by side.

    Raises
    ------
    SettingError
        The network is bidirectional.

    Examples
    --------
    >>> import torch
    >>> from cellwright.models import ClassifierNetwork
    >>> network = ClassifierNetwork(3, 2, cell="gru", layers=[4], pooling="mean").eval()
    >>> x = torch.randn(1, 5, 3)
    >>> stream = PooledStream(network)
    >>> scores = [stream.step(x[:, t]) for t in range(5)]
    >>> torch.allclose(scores[2], network(x[:, :3]), atol=1e-6)
    True
    """

    def __init__(self, network: SequenceNetwork, batch_size: int = 1) -> None:
        self._network = for_streaming(network)
        self._stream = self._network.recurrent.stream(batch_size)
        self.reset()

    def reset(self) -> None:
        """Begin a new sequence."""
        self._stream.reset()
        self._pooled: Tensor | None = None
        self._steps = 0

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor:
        """Feed a step.

        Parameters
        ----------
        x
            (batch, features), or numbers of words, (batch, 1).

        Returns
        -------
        Tensor
            What the network gives for the steps so far.
        """
        given = self._network.seen(x.cpu()[:, None])[:, 0]
        output = self._stream.step(given.contiguous())
        self._steps += 1
        answer: Tensor = self._network.answer(self._pool(output))
        return answer

    def _pool(self, output: Tensor) -> Tensor:
        network, before = self._network, self._pooled
        if network.pooling == "last":
            return network.last(output[:, None], self._stream.state)
        if before is None:
            self._pooled = output.clone()
        else:
            self._pooled = (
                before + output if network.pooling == "mean" else torch.maximum(before, output)
            )
        return self._pooled / self._steps if network.pooling == "mean" else self._pooled
