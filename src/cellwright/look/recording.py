"""Recording every signal of a network while it reads a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cellwright.errors import ArgumentError
from cellwright.nn.stack import StackResult

__all__ = ["LayerTape", "Tape", "evaluating", "record"]


class Recordable(Protocol):
    """A module whose signals can be recorded: `Recurrent` and the drop-ins."""

    batch_first: bool

    def run(self, x: Tensor, state: Any = None, *, record: bool, **options: Any) -> StackResult:
        """Run over a batch and return signals too."""


class LayerTape(Mapping[str, Tensor]):
    """The signals of one layer: name -> (batch, time, units), as the module lays arrays out.

    A bidirectional layer has one more axis before the units, for the direction.
    """

    def __init__(self, signals: Mapping[str, Tensor]) -> None:
        self._signals = dict(signals)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._signals:
            raise KeyError(f"no signal {name!r}; this cell has {', '.join(self._signals)}")
        return self._signals[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._signals)

    def __len__(self) -> int:
        return len(self._signals)

    def __repr__(self) -> str:
        return f"<tape of {', '.join(f'{n} {tuple(t.shape)}' for n, t in self.items())}>"


class Tape(tuple[LayerTape, ...]):
    """The signals of every layer, lowest first."""


@torch.no_grad()
def record(network: Recordable, x: Tensor, state: Any = None, **options: Any) -> Tape:
    """Record every signal of a network: each local variable of the cell's equations.

    Parameters
    ----------
    network
        A `Recurrent`, or one of the drop-ins; it is run in evaluation mode.
    x
        Input, laid out as the network wants it.
    state
        Where it starts.
    **options
        ``lengths=``, ``mask=`` and extra inputs, as for calling the network.

    Returns
    -------
    Tape
        ``tape[layer]["f"]`` is (batch, time, units), or (time, batch, units) where the
        network is not batch first; zero where a step does not exist.

    Raises
    ------
    ArgumentError
        The network is something else.

    Examples
    --------
    >>> import cellwright as cw, torch
    >>> net = cw.Recurrent("lstm", 3, 4)
    >>> tape = cw.record(net, torch.randn(2, 5, 3))
    >>> list(tape[0])
    ['h', 'c', 'i', 'f', 'g', 'o']
    >>> tape[0]["f"].shape
    torch.Size([2, 5, 4])
    """
    if not hasattr(network, "run") or not hasattr(network, "batch_first"):
        inner = next((p for p in ("network_.recurrent", "recurrent") if _has(network, p)), None)
        hint = f"give its .{inner}" if inner else "give the one inside, if there is one"
        raise ArgumentError(
            f"record takes a Recurrent or a drop-in such as cellwright.LSTM, not a "
            f"{type(network).__name__}; {hint}"
        )
    with evaluating(network):
        result = network.run(x, state, record=True, **options)
    return Tape(LayerTape(_joined(layer, network.batch_first)) for layer in result.signals)


@contextmanager
def evaluating(network: object) -> Iterator[None]:
    """Have a network, if it is a module, in evaluation mode, and then as it was before."""
    modules = list(network.modules()) if isinstance(network, nn.Module) else []
    # Each for itself: a part may be frozen while the whole is trained.
    before = [module.training for module in modules]
    for module in modules[:1]:
        module.eval()
    try:
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training


def _has(value: object, path: str) -> bool:
    try:
        attrgetter(path)(value)
    except AttributeError:
        return False
    return True


def _joined(directions: list[dict[str, Tensor]], batch_first: bool) -> dict[str, Tensor]:
    signals = {}
    for name, first in directions[0].items():
        signal = first
        if len(directions) > 1:
            signal = torch.stack([side[name] for side in directions], 2)
        signals[name] = signal.transpose(0, 1) if batch_first else signal
    return signals
