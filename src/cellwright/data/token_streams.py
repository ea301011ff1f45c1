"""One long run of tokens, read in several places at once, window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.errors import SettingError

__all__ = ["StreamBatch", "TokenStreams"]


@dataclass(frozen=True)
class StreamBatch:
    """The same window of every stream.

    Attributes
    ----------
    tokens
        (stream, step).
    targets
        What comes next, (stream, step).
    rows
        Which windows these are, (stream,).
    first
        Whether no window came before; otherwise states go on from there.
    """

    tokens: Tensor
    targets: Tensor
    rows: npt.NDArray[np.int64]
    first: bool

    @property
    def answers(self) -> int:
        """How many answers count."""
        return self.targets.numel()


@dataclass(frozen=True, eq=False)
class TokenStreams:
    """Tokens cut into parallel streams, and these into windows that follow each other.

    ```
    tokens   a b c d e f g h i j k l m …       two streams of windows of three steps:
                                               a b c | d e f        g h i | j k l
    ```

    A sample is a window. Batches come in the order of the text, whatever order is asked for.

    Attributes
    ----------
    tokens
        (token,); may be mapped from a file.
    streams
        Places in which the text is read at once.
    steps
        Steps of a window, the last one of an epoch may have fewer.
    seed
        With it, each epoch starts at another place and goes round the end of the text, so that
        the same windows are never cut again; without it at the first token.
    start
        Where this epoch starts.
    part, parts
        Only every so many-th stream from this one on is read: what one of several processes does.
    """

    tokens: npt.NDArray[np.int32]
    streams: int
    steps: int
    seed: int | None = None
    start: int = 0
    part: int = 0
    parts: int = 1

    @classmethod
    def of(
        cls, tokens: npt.NDArray[np.int32], most: int, steps: int, seed: int | None = None
    ) -> TokenStreams:
        """Streams of one window at least, `most` at most."""
        return cls(tokens, max(1, min(most, (len(tokens) - 1) // steps)), steps, seed)

    @property
    def length(self) -> int:
        """Steps of each stream."""
        # Behind the last token comes the first where the text is read in a circle.
        return (len(self.tokens) - (self.seed is None)) // self.streams

    @property
    def windows(self) -> int:
        """Windows of each stream."""
        return -(-self.length // self.steps)

    def __len__(self) -> int:
        return self.streams * self.windows

    def in_epoch(self, number: int) -> TokenStreams:
        """The same tokens, read from where that epoch starts."""
        if self.seed is None:
            return self
        draw = np.random.default_rng(np.random.SeedSequence([self.seed, number, 2]))
        return replace(self, start=int(draw.integers(len(self.tokens))))

    def of_process(self, rank: int, count: int) -> TokenStreams:
        """The streams that one of several processes reads, all windows of them.

        Raises
        ------
        SettingError
            There are fewer streams than processes.
        """
        if self.streams < count:
            raise SettingError(
                f"{len(self.tokens)} tokens are read in {self.streams} streams of {self.steps} "
                f"steps at least, too few for {count} processes; use fewer, or a larger batch_size "
                f"or fewer steps"
            )
        return replace(self, part=rank, parts=count)

    def batches(
        self, size: int, order: npt.NDArray[np.int64] | None = None
    ) -> Iterator[StreamBatch]:
        """A window of every stream at a time; as many as `order` has samples, whatever they are."""
        wanted = self.windows
        if order is not None:
            wanted = max(1, min(wanted, len(order) // self.streams))
        mine = np.arange(self.part, self.streams, self.parts)
        begins = self.start + mine * self.length
        for window in range(wanted):
            first = window * self.steps
            steps = min(self.steps, self.length - first)
            places = begins[:, None] + first + np.arange(steps + 1)
            found = torch.from_numpy(self.tokens[places % len(self.tokens)].astype(np.int64))
            yield StreamBatch(
                tokens=found[:, :-1],
                targets=found[:, 1:],
                rows=mine * self.windows + window,
                first=window == 0,
            )
