"""Where a network computes, and in what precision."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

from cellwright.errors import SettingError
from cellwright.jobs.training.ranks import local_rank

__all__ = ["make_fabric", "on_device", "random_states", "set_random_states"]

Moved = TypeVar("Moved")
# What draws random numbers, by the device that they are drawn on.
_GENERATORS: dict[str, Any] = {"cpu": torch, "cuda": torch.cuda, "mps": torch.mps}


def make_fabric(options: Mapping[str, Any]) -> Fabric:
    """Device and precision, as the options say; a `SettingError` where they are not there."""
    # Its remarks on precision would stand between the lines of a report.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device, precision = options["device"], options["precision"]
    rank = local_rank()
    try:
        # Each of several processes computes by itself; on a GPU, each on one of its own.
        own: Any = [rank] if rank is not None and torch.cuda.is_available() else 1
        devices = own if device in ("auto", "cuda") else 1
        return Fabric(accelerator=device, devices=devices, precision=precision)
    except (RuntimeError, ValueError) as error:
        raise SettingError(f"device={device!r}, precision={precision!r}: {error}") from error


def on_device(fabric: Fabric, batch: Moved) -> Moved:
    """The batch where the network is."""
    if fabric.device.type == "cpu":
        return batch
    found = {}
    for each in fields(batch):  # type: ignore[arg-type]
        value = getattr(batch, each.name)
        if isinstance(value, Tensor) and value.device != fabric.device:
            # A GPU of Apple has no double precision.
            narrow = fabric.device.type == "mps" and value.dtype == torch.float64
            found[each.name] = fabric.to_device(value.float() if narrow else value)
    return replace(batch, **found) if found else batch  # type: ignore[type-var]


def random_states(device: torch.device) -> dict[str, Tensor]:
    """What the random numbers on the CPU, and on this device, go on from."""
    return {kind: _GENERATORS[kind].get_rng_state() for kind in {"cpu", device.type}}


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Let random numbers go on from there, if there is anything to go on from."""
    for kind in states.keys() & {"cpu", device.type}:
        _GENERATORS[kind].set_rng_state(states[kind])
