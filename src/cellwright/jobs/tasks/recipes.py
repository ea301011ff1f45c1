"""How each task is learned: network and training, as plain data.

A recipe is found by the task's name without its options. ``"chrono": True`` asks for a chrono
start that spans the task's longest sequence, where the cell has gates that keep its state.
"""

from __future__ import annotations

from typing import Any

from cellwright.cells.cell import Cell
from cellwright.data.tasks import Task
from cellwright.nn.gates import find_gates

__all__ = ["CHORALES", "COMMON", "RECIPES", "recipe"]

COMMON: dict[str, Any] = {
    "layers": 64,
    "dropout": 0.0,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "weight_decay": 0.0,
    "gradient_clip": 1.0,
    "batch_size": 20,
    "epochs": 100,
    "chrono": True,
}
"""What all tasks have in common."""

RECIPES: dict[str, dict[str, Any]] = {
    "temporal_order_6a": {"layers": 8},
    "temporal_order_6b": {"layers": 16},
    "delayed_recall": {"layers": 16},
    # Short strings: what must be remembered is ten steps or so behind.
    "embedded_reber": {"layers": 16, "chrono": False},
}
"""Name of a task -> what differs from that."""

_SMALL: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "schedule": "cosine",
    "weight_decay": 0.1,
    "gradient_clip": 1.0,
    "batch_size": 4,
    "epochs": 60,
    "patience": 60,  # not to stop, but to keep the weights of the best epoch
    "dropout": 0.0,
}
CHORALES: dict[str, dict[str, Any]] = {
    "tanh 100": _SMALL
    | {"cell": "elman", "layers": 100, "learning_rate": 0.005, "weight_decay": 0.3}
    | {"dropout": 0.05, "zoneout": 0.1},
    "GRU 46": _SMALL | {"cell": "gru", "layers": 46},
    "LSTM 36": _SMALL | {"cell": "lstm", "layers": 36},
    "LSTM 200, dropout 0.5": {
        "cell": "lstm",
        "layers": 200,
        "dropout": 0.5,
        "optimizer": "adam",
        "learning_rate": 0.003,
        "schedule": "constant",
        "weight_decay": 0.0,
        "gradient_clip": 1.0,
        "batch_size": 8,
        "epochs": 100,
        "patience": 10,
    },
}
"""Networks for the chorales, the first three with the sizes of Chung et al. (2014)."""

_CHORALES_OF_CELL = {"elman": "tanh 100", "gru": "GRU 46"}


def recipe(task: Task, cell: Cell) -> dict[str, Any]:
    """Options for learning this task with this cell."""
    name = task.name.partition("(")[0]
    if name == "jsb_chorales":
        chosen = CHORALES[_CHORALES_OF_CELL.get(cell.name, "LSTM 36")]
        return {option: value for option, value in chosen.items() if option != "cell"}
    found = COMMON | RECIPES.get(name, {})
    chrono = found.pop("chrono")
    if chrono and task.steps is not None and find_gates(cell.graph):
        found["initialization"] = {"chrono": task.steps}
    return found
