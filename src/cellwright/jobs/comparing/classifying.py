"""Comparing cells by how well they classify."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from cellwright.cells.cell import Cell
from cellwright.jobs.classify.estimator import ClassifierFacts, SequenceClassifier
from cellwright.jobs.comparing.trials import DECIDED, Trial, allowed, own_sizes
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.options import option_types, validated
from cellwright.jobs.registry import entry_of, job_of
from cellwright.jobs.runs.cell_texts import cell_text
from cellwright.jobs.runs.config import RunConfig, configure, read_config
from cellwright.jobs.runs.folder import RunFolder
from cellwright.jobs.runs.run import run
from cellwright.jobs.training.reporting import Progress, Reporter
from cellwright.nn.counting import count_learned

__all__ = ["Classify"]


class Classify:
    """Many to one: the share of test sequences whose label is predicted."""

    name = "classify"
    one_budget = True

    def __init__(self, given: Mapping[str, Any], seconds: float | None) -> None:
        self._config = configure(**allowed(given, _names(), self.name))
        self._has_budget = seconds is not None
        settings = self._config.settings
        self.settings = {name: settings[name] for name in settings if name not in DECIDED}

    @property
    def subject(self) -> str:
        """Name of the data."""
        return Path(self._config.data).stem

    @property
    def data_fingerprint(self) -> str:
        """A digest of training and test part."""
        return self._read[1]

    def layers(self) -> tuple[int, ...]:
        """Units of each layer where none are matched."""
        return tuple(self._config.options["layers"])

    def parameters(self, cell: Cell, layers: tuple[int, ...]) -> int:
        """Weights of the whole network that can learn, readout included."""
        options = validated(SequenceClassifier(**self._config.estimator_options))
        options |= {"cell": cell, "layers": layers, "sizes": own_sizes(cell, options["sizes"])}
        with torch.device("meta"):
            network = SequenceClassifier.build_network(options, self._read[0])
        return count_learned(network)

    def check(self, trial: Trial) -> None:
        """Prepare a training up to its first step."""
        config = self._config_of(trial)
        model = SequenceClassifier(**config.estimator_options)
        with suppress(_EnoughError):
            job_of(config.job).fit(model, config.read_data(), Hooks(on_start=_enough))

    def is_run_of(self, trial: Trial, folder: RunFolder) -> bool:
        """Whether ``config.yaml`` says just that."""
        path = folder.config_file
        return not path.exists() or read_config(path) == self._config_of(trial)

    def samples_in(self, seconds: float, trial: Trial) -> int | None:
        """Samples that can be learned from in that time, from a short training."""
        watch = _Stopwatch(min(10.0, max(0.5, seconds / 20)))
        with tempfile.TemporaryDirectory() as folder, suppress(_EnoughError):
            self.run(trial, RunFolder(Path(folder) / "run"), watch)
        return max(1, round(watch.speed * seconds))

    def run(self, trial: Trial, folder: RunFolder, reporter: Reporter) -> None:
        """One training with its test."""
        run(self._config_of(trial), folder, resume=True, reporter=reporter)

    def _config_of(self, trial: Trial) -> RunConfig:
        own: dict[str, Any] = {"cell": cell_text(trial.cell), "layers": list(trial.layers)}
        own["random_state"] = trial.seed
        own["sizes"] = own_sizes(trial.cell, self.settings["sizes"])
        if self._has_budget:
            # The time decides: as many epochs as it takes.
            own |= {"epochs": 2**31 - 1, "samples": trial.samples}
        return configure(**self.settings | own)

    @cached_property
    def _read(self) -> tuple[ClassifierFacts, str]:
        """What is known of the data, which are not kept."""
        data = self._config.read_data()
        model = SequenceClassifier(**self._config.estimator_options)
        return model.facts_of(data.train.x, data.train.y), data.fingerprint


def _names() -> list[str]:
    reading = option_types(entry_of("classify").reading)
    return ["data", "data_dir", *reading, *option_types(SequenceClassifier)]


class _EnoughError(Exception):
    """What was to be found out is known."""


def _enough() -> None:
    raise _EnoughError


class _Stopwatch(Reporter):
    """Measures samples a second once the first steps, which compile, are done."""

    def __init__(self, seconds: float) -> None:
        self.speed = 0.0
        self._seconds = seconds
        self._start: tuple[float, int] | None = None
        self._steps = 0

    def advanced(self, progress: Progress) -> None:
        """Count; stop when the time is up."""
        self._steps += 1
        now = time.perf_counter()
        if self._start is None:
            self.speed = progress.speed
            if self._steps == 2:
                self._start = now, progress.samples
            return
        passed = now - self._start[0]
        self.speed = (progress.samples - self._start[1]) / max(passed, 1e-9)
        if passed >= self._seconds:
            raise _EnoughError
