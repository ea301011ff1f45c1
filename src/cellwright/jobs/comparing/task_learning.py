"""Comparing cells by how well they learn a long-lag task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from cellwright.cells.cell import Cell
from cellwright.data import tasks
from cellwright.data.tasks import TASKS, Task
from cellwright.errors import RunError, SettingError, did_you_mean
from cellwright.jobs.comparing.trials import Trial, allowed
from cellwright.jobs.options import NetworkOptions, TrainingOptions, option_types
from cellwright.jobs.runs.cell_texts import cell_text, named_options, read_value
from cellwright.jobs.runs.folder import RunFolder
from cellwright.jobs.tasks.learning import TaskResult, build_network, learn, task_options
from cellwright.jobs.training.reporting import Reporter
from cellwright.nn.counting import count_learned

__all__ = ["LearnTask", "task_names"]

_SIZES = ("epoch_size", "validation_size", "test_size")
# Options of the classifier's training that say something about its data.
_NOT_HERE = ("scaling", "validation_fraction")


def task_names() -> list[str]:
    """Names of all tasks, those that take options and those that are complete."""
    makers = [name for name in tasks.__all__ if inspect.isfunction(getattr(tasks, name))]
    return [*TASKS, *(name for name in makers if name not in (*TASKS, "get"))]


class LearnTask:
    """A task of `cellwright.data.tasks`: its main measure on a test draw all runs share.

    Parameters
    ----------
    text
        The task's name, with its options: ``adding:steps=600``.
    given
        Options of `learn`, ``samples`` for its sequences, ``data`` for a task's file.
    seconds
        Budget of one training, which `learn` keeps to itself.
    """

    def __init__(self, text: str, given: Mapping[str, Any], seconds: float | None) -> None:
        maker, options = _maker(text)
        known = [*option_types(NetworkOptions), *option_types(TrainingOptions), *_SIZES]
        known = [name for name in known if name not in _NOT_HERE]
        wants_file = "path" in inspect.signature(maker).parameters
        chosen = allowed(given, [*known, *(["data"] if wants_file else [])], text)
        if wants_file and "path" not in options:
            if "data" not in chosen:
                raise SettingError(f"{text} wants its file: give data")
            options["path"] = str(Path(chosen["data"]).absolute())
        self.name = text
        self._task = _made(maker, options, text)
        self._seconds = seconds
        chosen |= {"data": options["path"]} if wants_file else {}
        if isinstance(chosen.get("layers"), tuple):
            chosen["layers"] = list(chosen["layers"])
        self.settings = chosen
        self._checked("lstm", self._own_layers())

    @property
    def subject(self) -> str:
        """The task itself."""
        return self.name

    def layers(self) -> tuple[int, ...]:
        """Those that are asked for, else those of the task's recipe."""
        return tuple(self._checked("lstm", self._own_layers())["layers"])

    def parameters(self, cell: Cell, layers: tuple[int, ...]) -> int:
        """Weights of the whole network that can learn, readout included."""
        with torch.device("meta"):
            network = build_network(self._task, self._checked(cell, list(layers)))
        return count_learned(network)

    def samples_in(self, seconds: float, trial: Trial) -> int | None:
        """`learn` keeps to a budget of time itself; a short training compiles what it needs.

        Else the first run of a cell would spend its budget on the compiler.
        """
        options = {name: self.settings[name] for name in self.settings if name in _free_options()}
        few: dict[str, Any] = dict.fromkeys(_SIZES, 8)
        learn(self._task, cell=trial.cell, layers=list(trial.layers), epochs=1, **few, **options)
        return None

    def run(self, trial: Trial, folder: RunFolder, reporter: Reporter) -> None:
        """One training with its test, each epoch of it kept."""
        self._begin(trial, folder)
        if folder.read_result() is not None:
            return
        given = {name: self.settings[name] for name in self.settings if name in _names_of_learn()}
        result = learn(
            self._task,
            cell=trial.cell,
            layers=list(trial.layers),
            seed=trial.seed,
            sequences=self.settings.get("samples"),
            seconds=self._seconds,
            checkpoint=folder.checkpoint,
            resume=True,
            reporter=reporter,
            on_epoch=folder.write_metrics,
            **given,
        )
        folder.write_metrics(result.history)
        folder.write_result(self._result(result))

    def _begin(self, trial: Trial, folder: RunFolder) -> None:
        config = {
            "job": self.name,
            "cell": cell_text(trial.cell),
            "layers": list(trial.layers),
            "seed": trial.seed,
            "seconds": self._seconds,
            "options": self.settings,
        }
        if folder.config_file.exists():
            if yaml.safe_load(folder.config_file.read_text(encoding="utf-8")) != config:
                raise RunError(f"{folder.path}: the run was started with other options")
            folder.remove_leftovers()
        else:
            folder.create()
            folder.write_config(config)

    def _result(self, result: TaskResult) -> dict[str, Any]:
        return {
            "job": self.name,
            "test": result.measures,
            "main": result.main,
            "lower_is_better": result.lower_is_better,
            "solved": result.solved,
            "parameters": result.parameters,
            "epochs": len(result.history),
            "samples": result.sequences,
            "seconds": round(result.seconds, 3),
            "processor_seconds": round(result.processor_seconds, 3),
        }

    def _own_layers(self) -> Any:
        return self.settings.get("layers")

    def _checked(self, cell: Cell | str, layers: Any) -> dict[str, Any]:
        """Every option of network and training for a cell, validated."""
        options = {name: self.settings[name] for name in self.settings if name in _free_options()}
        return task_options(
            self._task,
            cell,
            layers,
            epochs=self.settings.get("epochs"),
            sequences=self.settings.get("samples"),
            options=options,
        )


def _names_of_learn() -> list[str]:
    return [*_SIZES, "epochs", *_free_options()]


def _free_options() -> list[str]:
    """Options that `learn` takes as they are, beside those that it names."""
    own = ("cell", "layers", "samples", "epochs", "random_state", *_NOT_HERE)
    known = [*option_types(NetworkOptions), *option_types(TrainingOptions)]
    return [name for name in known if name not in own]


def _maker(text: str) -> tuple[Callable[..., Task], dict[str, Any]]:
    """What makes the task that a text names, and the options that stand in the text."""
    name, texts = named_options(text)
    maker: Callable[..., Task] = getattr(tasks, name, None) or TASKS[name]
    usual = {
        parameter.name: parameter.default
        for parameter in inspect.signature(maker).parameters.values()
    }
    for option in texts:
        if option not in usual:
            raise SettingError(
                f"{name} has no option {option!r}; its options: {', '.join(usual) or 'none'}."
                f"{did_you_mean(option, usual)}"
            )
    return maker, {option: read_value(value, usual[option]) for option, value in texts.items()}


def _made(maker: Callable[..., Task], options: Mapping[str, Any], text: str) -> Task:
    try:
        return maker(**options)
    except TypeError as error:
        raise SettingError(f"{text}: {error}") from error
