"""What of a stack may be set once it is built, and to what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cellwright.errors import SettingError
from cellwright.nn.arguments import rate, truth
from cellwright.nn.connections import Connections, check_connections, check_residual
from cellwright.nn.initialization import resolve
from cellwright.nn.segments import check_every
from cellwright.nn.stack import check_per
from cellwright.nn.weight_drop import check_weight_drop
from cellwright.pipeline import check_backend

__all__ = ["Options"]

# Equations and shapes of weights follow from these when a stack is built, and never again.
_BUILT_IN = frozenset(
    {
        "bidirectional",
        "cell",
        "features",
        "graph",
        "hidden_size",
        "hidden_sizes",
        "input_size",
        "learn_initial_state",
        "output_size",
        "recurrent_dropout",
        "sizes",
        "zoneout",
    }
)


class Options:
    """A stack whose options are checked whenever they are set, not only when it is built.

    Raises
    ------
    SettingError, BackendError
        A value is not allowed, or the option is built into equations or weights.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _BUILT_IN and _is_built(self):
            raise SettingError(
                f"{name} is built into the network and cannot be set any more; make another "
                f"network with {name}={value!r}"
            )
        check = _CHECKS.get(name)
        super().__setattr__(name, check(self, value) if check else value)


def _is_built(network: object) -> bool:
    return "output_size" in vars(network)


def _connections(network: Any, value: object) -> Connections:
    connections = check_connections(value)
    if _is_built(network) and connections != network.connections:
        if "skip" in (connections, network.connections):
            raise SettingError(
                f"connections={connections!r} instead of {network.connections!r} gives layers "
                f"other inputs than their weights are for; make another network with it"
            )
        check_residual(connections, network.features)
    return connections


def _weight_drop(network: Any, value: object) -> float:
    chance = rate("weight_drop", value)
    check_weight_drop(network.graph, chance)
    return chance


def _backend(_: object, value: object) -> object:
    check_backend(value)
    return value


_CHECKS: Mapping[str, Callable[[Any, Any], object]] = {
    "backend": _backend,
    "batch_first": lambda _, value: truth("batch_first", value),
    "checkpoint_every": lambda _, value: check_every(value),
    "connections": _connections,
    "dropout": lambda _, value: rate("dropout", value),
    "dropout_per": lambda _, value: check_per(value),
    "initialization": lambda _, value: resolve(value),
    "weight_drop": _weight_drop,
}
