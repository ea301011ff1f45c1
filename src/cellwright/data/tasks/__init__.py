"""Tasks of the literature that ask for a long memory, as data that can be drawn at will.

>>> from cellwright.data import tasks
>>> task = tasks.adding(steps=50)
>>> data = task.draw(3, seed=0)
>>> data.x.values.shape, data.targets.shape
((3, 50, 2), (3, 1))
>>> measures = task.score([[1.0]] * 3, data)
>>> task.solved(measures)
False
"""

from __future__ import annotations

from collections.abc import Callable

from cellwright.data.tasks.adding import adding, adding_1997
from cellwright.data.tasks.copy_memory import copy_memory
from cellwright.data.tasks.delayed_recall import delayed_recall
from cellwright.data.tasks.jsb_chorales import jsb_chorales
from cellwright.data.tasks.multiplication import multiplication
from cellwright.data.tasks.parity import parity
from cellwright.data.tasks.reber import embedded_reber
from cellwright.data.tasks.task import Criterion, Parts, Task, TaskData
from cellwright.data.tasks.temporal_order import temporal_order
from cellwright.errors import SettingError, did_you_mean

__all__ = [
    "TASKS",
    "Criterion",
    "Parts",
    "Task",
    "TaskData",
    "adding",
    "adding_1997",
    "copy_memory",
    "delayed_recall",
    "embedded_reber",
    "get",
    "jsb_chorales",
    "multiplication",
    "parity",
    "temporal_order",
]

TASKS: dict[str, Callable[[], Task]] = {
    "adding": adding,
    "adding_1997": adding_1997,
    "multiplication": multiplication,
    "temporal_order_6a": lambda: temporal_order(2),
    "temporal_order_6b": lambda: temporal_order(3),
    "copy_memory": copy_memory,
    "embedded_reber": embedded_reber,
    "parity": parity,
    "delayed_recall": delayed_recall,
}
"""Name -> the task with its usual options. `jsb_chorales` is not among them: it wants a file."""


def get(task: str | Task) -> Task:
    """The task of that name with its usual options; a task is returned as it is.

    Raises
    ------
    SettingError
        There is no such task; the message names the closest.
    """
    if isinstance(task, Task):
        return task
    if not isinstance(task, str) or task not in TASKS:
        raise SettingError(
            f"there is no task {task!r}.{did_you_mean(str(task), TASKS)} There are "
            f"{', '.join(TASKS)}; and jsb_chorales(path), which wants its file"
        )
    return TASKS[task]()
