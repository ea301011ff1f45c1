"""Comparing cells by how well they learn a long-lag task."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml

from cellwright.cells.cell import Cell
from cellwright.data import tasks
from cellwright.data.tasks import TASKS, Task
from cellwright.errors import RunError, SettingError, TrainingError, did_you_mean
from cellwright.jobs.comparing.trials import Trial, allowed, own_sizes
from cellwright.jobs.options import NetworkOptions, TrainingOptions, option_types
from cellwright.jobs.runs.cell_texts import cell_text, named_options, read_value
from cellwright.jobs.runs.folder import RunFolder
from cellwright.jobs.tasks.learning import TaskResult, build_network, learn, task_options
from cellwright.jobs.training.reporting import Progress, Reporter
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

    one_budget = False

    def __init__(self, text: str, given: Mapping[str, Any], seconds: float | None) -> None:
        maker, options = _maker(text)
        known = [*option_types(NetworkOptions), *option_types(TrainingOptions), *_SIZES]
        known = [name for name in known if name not in _NOT_HERE]
        wants_file = "path" in inspect.signature(maker).parameters
        chosen = allowed(given, [*known, *(["data"] if wants_file else [])], text)
        if wants_file and "path" not in options:
            if "data" not in chosen:
                raise SettingError(f"{text} wants its file: name it with data, or --data")
            options["path"] = str(Path(chosen["data"]).absolute())
        self.name = text
        self._task = _made(maker, options, text)
        self._seconds = seconds
        chosen |= {"data": options["path"]} if wants_file else {}
        if isinstance(chosen.get("layers"), tuple):
            chosen["layers"] = list(chosen["layers"])
        self.settings = chosen
        self._checked("lstm", self._own_layers())
        self.data_fingerprint = _fingerprint(self._task)

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

    def check(self, trial: Trial) -> None:
        """Take one step, because a training that learns from fresh draws is told no sooner."""
        # A loss that is no number is that cell's, and a failure of its run.
        with suppress(_EnoughError, TrainingError):
            learn(self._task, **self._asked(trial), reporter=_FirstStep())

    def is_run_of(self, trial: Trial, folder: RunFolder) -> bool:
        """Whether ``config.yaml`` says just that."""
        path = folder.config_file
        try:
            text = path.read_text(encoding="utf-8")
            return bool(yaml.safe_load(text) == self._config_of(trial))
        except FileNotFoundError:
            return True
        except (OSError, ValueError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise RunError(f"{path} is not the config.yaml of a run: {reason}") from error

    def samples_in(self, seconds: float, trial: Trial) -> int | None:
        """`learn` keeps to a budget of time itself; a short training compiles what it needs.

        Else the first run of a cell would spend its budget on the compiler.
        """
        options = self._given(_free_options())
        few: dict[str, Any] = dict.fromkeys(_SIZES, 8)
        learn(self._task, **self._network(trial), epochs=1, **few, **options)
        return None

    def run(self, trial: Trial, folder: RunFolder, reporter: Reporter) -> None:
        """One training with its test, each epoch of it kept."""
        with folder.occupied():
            self._begin(trial, folder)
            if folder.read_result() is not None:
                return
            result = learn(
                self._task,
                **self._asked(trial),
                seconds=self._seconds,
                checkpoint=folder.checkpoint,
                resume=True,
                reporter=reporter,
                on_epoch=folder.write_metrics,
            )
            folder.write_metrics(result.history)
            folder.write_result(self._result(result))

    def _begin(self, trial: Trial, folder: RunFolder) -> None:
        if folder.config_file.exists():
            folder.remove_leftovers()
        else:
            folder.clear()
            folder.write_config(self._config_of(trial))

    def _config_of(self, trial: Trial) -> dict[str, Any]:
        return {
            "job": self.name,
            "cell": cell_text(trial.cell),
            "layers": list(trial.layers),
            "seed": trial.seed,
            "seconds": self._seconds,
            "options": self.settings,
        }

    def _network(self, trial: Trial) -> dict[str, Any]:
        sizes = own_sizes(trial.cell, self.settings.get("sizes"))
        return {"cell": trial.cell, "layers": list(trial.layers), "sizes": sizes}

    def _asked(self, trial: Trial) -> dict[str, Any]:
        """What `learn` is asked for, but for the seconds."""
        own = {"seed": trial.seed, "sequences": self.settings.get("samples")}
        return self._given([*_SIZES, "epochs", *_free_options()]) | self._network(trial) | own

    def _given(self, names: Collection[str]) -> dict[str, Any]:
        return {name: self.settings[name] for name in self.settings if name in names}

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
            "data_fingerprint": self.data_fingerprint,
        }

    def _own_layers(self) -> Any:
        return self.settings.get("layers")

    def _checked(self, cell: Cell | str, layers: Any) -> dict[str, Any]:
        """Every option of network and training for a cell, validated."""
        options = self._given([*_free_options(), "sizes"])
        if isinstance(cell, Cell):
            options["sizes"] = own_sizes(cell, options.get("sizes"))
        return task_options(
            self._task,
            cell,
            layers,
            epochs=self.settings.get("epochs"),
            sequences=self.settings.get("samples"),
            options=options,
        )


class _EnoughError(Exception):
    """The first step is taken."""


class _FirstStep(Reporter):
    def advanced(self, progress: Progress) -> None:
        """That is enough."""
        raise _EnoughError


def _fingerprint(task: Task) -> str | None:
    """A digest of all that a task was given; None for one that draws."""
    if task.parts is None:
        return None
    parts = (task.parts.training, task.parts.validation, task.parts.test)
    text = repr([(part.x.fingerprint, part.targets.tolist()) for part in parts])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _free_options() -> list[str]:
    """Options that `learn` takes as they are, beside those of network and budget."""
    own = ("cell", "layers", "sizes", "samples", "epochs", "random_state", *_NOT_HERE)
    known = [*option_types(NetworkOptions), *option_types(TrainingOptions)]
    return [name for name in known if name not in own]


def _maker(text: str) -> tuple[Callable[..., Task], dict[str, Any]]:
    """What makes the task that a text names, and the options that stand in the text."""
    name, texts = named_options(text)
    maker: Callable[..., Task] = getattr(tasks, name, None) or TASKS[name]
    known = list(inspect.signature(maker).parameters)
    for option in texts:
        if option not in known:
            raise SettingError(
                f"{name} has no option {option!r}; its options: {', '.join(known) or 'none'}."
                f"{did_you_mean(option, known)}"
            )
    # Where several numbers are usual, such as the least and greatest length, a task takes one, too.
    return maker, {option: read_value(value, None) for option, value in texts.items()}


def _made(maker: Callable[..., Task], options: Mapping[str, Any], text: str) -> Task:
    try:
        return maker(**options)
    except TypeError as error:
        raise SettingError(f"{text}: {error}") from error
