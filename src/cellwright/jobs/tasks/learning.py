"""Learning a task of the literature with any cell, and saying whether it is solved."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from cellwright import cells
from cellwright.cells.cell import Cell
from cellwright.data import batches
from cellwright.data.tasks import Task, TaskData, get
from cellwright.errors import SettingError, did_you_mean
from cellwright.ir import to_json
from cellwright.jobs.options import NetworkOptions, TrainingOptions, option_types, validated
from cellwright.jobs.tasks.recipes import recipe
from cellwright.jobs.training.devices import make_fabric, on_device
from cellwright.jobs.training.engine import train
from cellwright.jobs.training.examples import Examples, FreshExamples
from cellwright.jobs.training.objectives import LOSSES, AnswerLoss
from cellwright.jobs.training.reporting import Reporter
from cellwright.jobs.training.threads import cpu_threads
from cellwright.models import ClassifierNetwork, StepwiseNetwork
from cellwright.nn.counting import count_learned

__all__ = ["TaskResult", "build_network", "learn", "task_options"]

# What stands first in the seed of each draw, so that the parts are drawn apart from each other. A
# task of few sequences, such as the 256 of parity(8), draws the same by chance in several parts.
_TRAINING, _VALIDATION, _TEST = 1, 2, 3
# The validation draw must be so much better than the criterion asks, after two epochs in a
# row, or the test draw might well miss what the validation draw met by chance.
_MARGIN, _IN_A_ROW = 0.5, 2
# Options that say something about data, which a task brings along, or that `learn` has itself.
_NOT_HERE = ("scaling", "validation_fraction", "samples", "random_state", "epochs", "cell")


@dataclass(kw_only=True, eq=False, repr=False)
class _Options(NetworkOptions, TrainingOptions):
    """Options of a task's network and training."""


@dataclass(frozen=True, eq=False)
class TaskResult:
    """What became of learning a task once.

    Attributes
    ----------
    task, cell
        Their names.
    measures
        Name -> value on the test draw, such as ``{"loss": …, "wrong": …}``.
    main, lower_is_better
        Which of the measures to compare cells by, and whether a small one is good.
    solved
        Whether the criterion of the task is met on the test draw.
    parameters
        Number of weights that can learn.
    seconds, processor_seconds
        Time of training with validation: by the clock, and of this process on all cores.
    sequences
        Sequences that were learned from.
    history
        A row of measures for each epoch.
    network
        What was trained.
    """

    task: str
    cell: str
    measures: dict[str, float]
    main: str
    lower_is_better: bool
    solved: bool
    parameters: int
    seconds: float
    processor_seconds: float
    sequences: int
    history: list[dict[str, Any]] = field(repr=False)
    network: nn.Module = field(repr=False)


def learn(
    task: Task | str,
    *,
    cell: str | Cell = "lstm",
    layers: int | Sequence[int] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    sequences: int | None = None,
    seconds: float | None = None,
    epoch_size: int = 1000,
    validation_size: int = 2000,
    test_size: int = 2560,
    checkpoint: Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    on_epoch: Callable[[list[dict[str, Any]]], None] | None = None,
    **options: Any,
) -> TaskResult:
    """Learn a task until it is solved or the budget is spent, and test it on a fresh draw.

    Every epoch draws sequences anew, and so do validation and test. Long sequences are then
    all different; short ones repeat by chance, those that were learned from in the test too: of
    ``parity(8)`` there are but 256. A task whose data are given, such as `jsb_chorales`, is
    learned from them instead, and its end is not the criterion but the validation loss, if
    `patience` is set.

    Parameters
    ----------
    task
        A task, or the name of one with its usual options, such as ``"adding"``; see
        `cellwright.data.tasks.TASKS`.
    cell
        A cell, or the name of one in the zoo.
    layers
        Units of each layer; None for those of the task's recipe.
    seed
        Of weights, order, and all that is drawn to learn from and to watch. The test draw is
        the same for every seed.
    epochs, sequences, seconds
        Budgets; whichever is spent first ends the training, seconds at the end of an epoch.
        None for the recipe's.
    epoch_size, validation_size, test_size
        Sequences in an epoch, in the draw that is looked at after each, and in the test.
    checkpoint, resume
        Where the state after each epoch is kept, and whether to go on from there.
    reporter
        Is told of progress.
    on_epoch
        Is given the history after each epoch.
    **options
        Options of `NetworkOptions` and `TrainingOptions` in place of the recipe's, such as
        ``learning_rate``, ``dropout``, ``initialization``.

    Raises
    ------
    SettingError, CellError
        Task, cell or an option cannot be used; the message says which and why.
    TrainingError
        The loss is no longer a number.

    Examples
    --------
    >>> from cellwright.data import tasks
    >>> from cellwright.jobs import learn
    >>> result = learn(tasks.parity(5, every_step=True), cell="gru", layers=8, sequences=4000)
    >>> result.solved, result.measures["wrong"]
    (True, 0.0)
    """
    task = get(task)
    checked = task_options(task, cell, layers, seed, epochs, sequences, options)
    sizes = {"epoch": epoch_size, "validation": validation_size, "test": test_size}
    _check_sizes(sizes, seconds)
    network = build_network(task, checked)
    training, validation, test = _data(task, seed, sizes)
    started = time.process_time()
    history = train(
        network,
        AnswerLoss(LOSSES[task.target]),
        training,
        lambda fabric, network: _measure(fabric, network, task, validation, checked),
        checked,
        checkpoint=checkpoint,
        resume=resume,
        identity=_identity(task, checked, sizes),
        reporter=reporter,
        on_epoch=on_epoch,
        until=lambda history: _reason_to_stop(task, history, seconds),
    )
    spent = time.process_time() - started
    fabric = make_fabric(checked)
    fabric.setup_module(network)  # moves it in place
    with cpu_threads(network, 4 * checked["batch_size"], checked["threads"]):
        measures = _measure(fabric, network, task, test, checked)
    return TaskResult(
        task=task.name,
        cell=cells.get(cell).name,
        measures=measures,
        main=task.main,
        lower_is_better=True,
        solved=task.solved(measures),
        parameters=count_learned(network),
        seconds=sum(row["seconds"] for row in history),
        processor_seconds=spent,
        sequences=history[-1]["samples"],
        history=history,
        network=network,
    )


def task_options(
    task: Task,
    cell: str | Cell = "lstm",
    layers: int | Sequence[int] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    sequences: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Every option of network and training: what is given, else the recipe, else the default.

    Raises
    ------
    SettingError
        An option is unknown, is not one of a task's, or has a value that is not allowed.
    """
    given = dict(options or {})
    known = [name for name in option_types(_Options) if name not in _NOT_HERE]
    for name in given:
        if name not in known:
            raise SettingError(f"a task has no option {name!r}.{did_you_mean(name, known)}")
    own = {"layers": layers, "epochs": epochs, "samples": sequences}
    chosen = recipe(task, cells.get(cell)) | given
    chosen |= {name: value for name, value in own.items() if value is not None}
    checked = validated(_Options(cell=cell, random_state=seed, **chosen))
    if task.predicts_next and checked["bidirectional"]:
        raise SettingError(
            f"bidirectional: {task.name} asks what comes next, and a network that also reads "
            f"from the end has seen it"
        )
    return checked


def build_network(task: Task, options: Mapping[str, Any]) -> ClassifierNetwork:
    """The untrained network for a task that validated options describe."""
    names = [name for name in option_types(NetworkOptions) if name != "scaling"]
    make = StepwiseNetwork if task.target.endswith("a step") else ClassifierNetwork
    with torch.random.fork_rng():
        torch.manual_seed(options["random_state"])
        return make(task.features, task.outputs, **{name: options[name] for name in names})


def _check_sizes(sizes: Mapping[str, int], seconds: float | None) -> None:
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SettingError(f"{name}_size={value!r}: must be a whole number from 1")
    if seconds is not None and not seconds > 0:
        raise SettingError(f"seconds={seconds!r}: must be more than 0")


def _data(
    task: Task, seed: int, sizes: Mapping[str, int]
) -> tuple[Examples | FreshExamples, TaskData, TaskData]:
    if task.parts is not None:
        return _examples(task.parts.training), task.parts.validation, task.parts.test
    size = sizes["epoch"]
    return (
        FreshExamples(size, lambda epoch: _examples(task.draw(size, (_TRAINING, seed, epoch)))),
        task.draw(sizes["validation"], (_VALIDATION, seed)),
        task.draw(sizes["test"], (_TEST,)),
    )


def _examples(data: TaskData) -> Examples:
    counted = None if data.counted is None else torch.from_numpy(data.counted)
    return Examples(data.x, torch.from_numpy(data.targets), counted)


@torch.no_grad()
def _measure(
    fabric: Fabric, network: nn.Module, task: Task, data: TaskData, options: Mapping[str, Any]
) -> dict[str, float]:
    network.eval()
    lead = (len(data),) if data.counted is None else data.counted.shape
    answers = np.zeros((*lead, task.outputs), np.float32)
    for batch in batches(data.x, 4 * options["batch_size"]):
        moved = on_device(fabric, batch)
        with fabric.autocast():
            scores = network(moved.x, moved.lengths).float().cpu().numpy()
        place = batch.rows if data.counted is None else (batch.rows, slice(scores.shape[1]))
        answers[place] = scores
    return task.score(answers, data)


def _reason_to_stop(
    task: Task, history: Sequence[Mapping[str, Any]], seconds: float | None
) -> str | None:
    last = [_validation_of(row) for row in history[-_IN_A_ROW:]]
    met = all(task.criterion.met(found, margin=_MARGIN) for found in last)
    if met and len(last) == _IN_A_ROW and task.parts is None:
        return f"{task.name} is solved on the validation draw"
    if seconds is not None and sum(row["seconds"] for row in history) >= seconds:
        return f"the budget of {seconds:g} seconds is spent"
    return None


def _validation_of(row: Mapping[str, Any]) -> dict[str, float]:
    prefix = "validation_"
    return {name.removeprefix(prefix): row[name] for name in row if name.startswith(prefix)}


def _identity(task: Task, options: Mapping[str, Any], sizes: Mapping[str, int]) -> str:
    """A digest of all that the course of a training depends on."""
    shown = dict(options) | {"cell": to_json(cells.get(options["cell"]).graph)}
    given = "" if task.parts is None else task.parts.training.x.fingerprint
    text = repr((task.name, given, sorted(sizes.items()), sorted(shown.items())))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
