"""All that a training remembers, in a file from which it goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cellwright.errors import ModelFileError, RunError
from cellwright.jobs.training.examples import Carrying, Objective
from cellwright.jobs.training.tensor_file import read_tensors, write_tensors

__all__ = ["Checkpoint", "Place"]


@dataclass
class Place:
    """How far an epoch under way has come.

    Attributes
    ----------
    batches, seen, answers
        Steps, samples and known answers so far.
    sums
        Of what was measured.
    rate
        Learning rate of the last step.
    seconds
        Time spent.
    """

    batches: int = 0
    seen: int = 0
    answers: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    seconds: float = 0.0


@dataclass
class Checkpoint:
    """What is remembered beside network, optimizer and objective.

    Attributes
    ----------
    identity
        Of data and network; that of a file must be the same.
    history
        A row of measures for each finished epoch.
    best_loss, epochs_without_better, best
        Least validation loss, how long ago it was, and the weights then.
    stopped
        Whether the training has ended before its last epoch.
    place
        Where it stands within an epoch; None between two.
    random
        What random numbers go on from there, by device.
    """

    identity: str
    history: list[dict[str, Any]] = field(default_factory=list)
    best_loss: float = math.inf
    epochs_without_better: int = 0
    stopped: bool = False
    place: Place | None = None
    best: dict[str, Tensor] = field(default_factory=dict)
    random: dict[str, Tensor] = field(default_factory=dict)

    def write(
        self,
        path: Path,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
    ) -> None:
        """Write everything, whole or not at all."""
        groups = {"network": network.state_dict(), "best": self.best, "random": self.random}
        if isinstance(objective, Carrying):
            groups["objective"] = objective.state_dict()
        for index, state in optimizer.state_dict()["state"].items():
            known = {key: value for key, value in state.items() if value is not None}
            groups[f"optimizer.{index}"] = known
        tensors = {f"{group}.{k}": v for group, part in groups.items() for k, v in part.items()}
        document = {name: value for name, value in vars(self).items() if name not in groups}
        document["place"] = None if self.place is None else vars(self.place)
        write_tensors(path, tensors, document)

    def read(
        self,
        path: Path,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
    ) -> None:
        """Take over everything that `write` wrote.

        Raises
        ------
        RunError
            It was written with other data or options, or does not fit this network.
        ModelFileError
            It is damaged.
        """
        try:
            tensors, document = read_tensors(path)
        except ModelFileError as error:
            raise ModelFileError(f"{error}; delete it, and the training begins anew") from error
        if not isinstance(document, dict) or document.pop("identity", None) != self.identity:
            raise RunError(f"{path} was written with other data or options; it cannot go on")
        try:
            self._take_over(tensors, document, network, optimizer, objective)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())  # torch lists what is missing on several lines
            raise RunError(
                f"{path} does not fit the network, so it is damaged or of another version of "
                f"cellwright; it cannot go on, but a new run can begin: {reason}"
            ) from error

    def _take_over(
        self,
        tensors: Mapping[str, Tensor],
        document: dict[str, Any],
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
    ) -> None:
        place = document.pop("place", None)
        vars(self).update(document, place=None if place is None else Place(**place))

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        network.load_state_dict(part("network."))
        self.best, self.random = part("best."), part("random.")
        if isinstance(objective, Carrying):
            device = next(network.parameters()).device
            carried = {name: tensor.to(device) for name, tensor in part("objective.").items()}
            objective.load_state_dict(carried)
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part("optimizer.").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
