"""What every backend is given and gives back, and how it says what it can do.

Shapes: T time, B batch, I input; n stands for the size of the value in question.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from cellwright.errors import CellwrightWarning, ShapeError
from cellwright.ir import Graph

__all__ = [
    "Answer",
    "Backend",
    "Call",
    "Kernel",
    "Result",
    "Weights",
    "announce",
    "announced",
    "are_autocast",
    "are_batched",
    "check_weights",
]

# What has been announced in this process; each thing is said once.
announced: set[str] = set()


def are_batched(gradients: Sequence[Tensor | None]) -> bool:
    """Whether many gradients come in at once, in the form of autograd's ``is_grads_batched``.

    They have no memory of their own that a kernel could read.
    """
    batched = torch._C._functorch.is_legacy_batchedtensor
    return any(g is not None and batched(g) for g in gradients)


def are_autocast(device: torch.device) -> bool:
    """Whether torch computes products on that device in another precision now."""
    # Where nothing is computed torch knows of no autocast, and asking for it is an error.
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def announce(message: str) -> None:
    """Warn, once in a process, that something else is done than was asked for."""
    if message not in announced:
        announced.add(message)
        warnings.warn(message, CellwrightWarning, stacklevel=3)


class Weights(Mapping[str, Tensor]):
    """The weights of a cell by name, given in blocks of one or several, one below the other.

    torch.nn keeps the matrices of all gates in one tensor; a backend that can work on the
    whole tensor need not cut it up.

    Parameters
    ----------
    blocks
        Names -> tensor: the weights of these names, equally many rows each.
    """

    def __init__(self, blocks: Mapping[tuple[str, ...], Tensor]) -> None:
        self.layout = tuple(blocks)
        self.blocks: Sequence[Tensor] = tuple(blocks.values())

    @staticmethod
    def laid_out(layout: tuple[tuple[str, ...], ...], blocks: Sequence[Tensor]) -> Weights:
        """The same, where the names are known beforehand."""
        weights = Weights({})
        weights.layout, weights.blocks = layout, blocks
        return weights

    @staticmethod
    def of(weights: Mapping[str, Tensor]) -> Weights:
        """Weights that lie in a tensor each."""
        if isinstance(weights, Weights):
            return weights
        return Weights({(name,): tensor for name, tensor in weights.items()})

    def __getitem__(self, name: str) -> Tensor:
        for names, block in zip(self.layout, self.blocks, strict=True):
            if name in names:
                return block.chunk(len(names))[names.index(name)] if len(names) > 1 else block
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for names in self.layout for name in names)

    def __len__(self) -> int:
        return sum(map(len, self.layout))


def check_weights(
    weights: Weights,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Raise `ShapeError` unless weights have the shapes of a layer and lie where its input does.

    Parameters
    ----------
    weights
        What is checked.
    shapes
        What `weight_shapes` of the cell says; more than the weights that are given may be there.
    dtype, device
        Those of the layer's input.
    """
    on_cpu = device.type == "cpu"
    for names, block in zip(weights.layout, weights.blocks, strict=True):
        rows = sum(shapes[name][0] for name in names)
        shape = (rows, *shapes[names[0]][1:])
        there = block.is_cpu if on_cpu else block.device == device
        if tuple(block.shape) != shape or block.dtype != dtype or not there:
            raise ShapeError(
                f"weight {', '.join(names)}: expected {shape} of {dtype} on {device}, got "
                f"{tuple(block.shape)} of {block.dtype} on {block.device}"
            )


@dataclass(frozen=True)
class Answer:
    """Whether a backend can run a cell, and if not, why.

    Attributes
    ----------
    possible
        Whether it can.
    reason
        If not, why.
    meant
        Whether a user would expect it to: if so, it is announced that it cannot. A backend
        for another device is passed over without a word.
    """

    possible: bool
    reason: str = ""
    meant: bool = True


@dataclass(frozen=True)
class Call:
    """One run of a cell over a batch of sequences, in one direction.

    Attributes
    ----------
    inputs
        Name -> values at every step, (T, B, n): ``x`` and the cell's extra inputs.
    states
        Name -> state before the first step, (B, n).
    weights
        Name -> (rows, columns) for a matrix, (n,) for a vector; `Weights`, if in blocks.
    active
        Which steps exist, (T, B); None if all do. Where a step does not exist the states
        stay what they are, and outputs and signals are zero.
    reverse
        Start at the end of the sequences.
    below
        State name -> that state of the layer below after every step, (T, B, n).
    draws
        Name -> ones and zeros for a ``bernoulli``, (T, B, n) or, drawn once a sequence,
        (B, n). A draw that is missing takes its expected value.
    start
        How many steps each row has behind it, (B, 1) whole numbers; None for none. This is
        where the step index goes on when a sequence comes in pieces.
    record
        Names of the signals and states to return for every step; gradients flow through
        them as through the output.
    """

    inputs: Mapping[str, Tensor]
    states: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    active: Tensor | None = None
    reverse: bool = False
    below: Mapping[str, Tensor] = field(default_factory=dict)
    draws: Mapping[str, Tensor] = field(default_factory=dict)
    start: Tensor | None = None
    record: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a run gives back.

    Attributes
    ----------
    output
        First state after every step, (T, B, n).
    states
        Name -> state after the last step of each row, (B, n).
    signals
        Recorded name -> (T, B, n).
    call
        What was run.
    """

    output: Tensor
    states: dict[str, Tensor]
    signals: dict[str, Tensor]
    call: Call

    @property
    def count(self) -> Tensor:
        """How many steps each row has behind it now, (B, 1)."""
        x, active, start = self.call.inputs["x"], self.call.active, self.call.start
        if active is not None:
            done = active.sum(0).unsqueeze(1)
        else:
            done = torch.full((x.shape[1], 1), x.shape[0], dtype=torch.int64, device=x.device)
        return done if start is None else start + done


class Kernel(Protocol):
    """A cell made ready to run by a backend."""

    def __call__(self, call: Call) -> Result:
        """Run the cell over a batch of sequences."""


class Backend(Protocol):
    """Something that can run cells."""

    name: str

    def answer(self, graph: Graph, device: torch.device, dtype: torch.dtype) -> Answer:
        """Say whether this backend can run the cell there, and if not, why."""

    def build(
        self, graph: Graph, sizes: Mapping[str, int], otherwise: Kernel | None = None
    ) -> Kernel:
        """Make the cell ready to run.

        Where it turns out only later that this fails, `otherwise` is what runs instead,
        announced; without it, that is an error.
        """
