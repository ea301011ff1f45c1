"""Doing all runs of a comparison that are not done yet."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cellwright.errors import RunError
from cellwright.jobs.comparing.comparison import Comparison
from cellwright.jobs.comparing.contenders import Contender
from cellwright.jobs.comparing.folder import ComparisonConfig, ComparisonFolder
from cellwright.jobs.comparing.outcomes import (
    Outcome,
    read_failure,
    read_outcome,
    write_failure,
)
from cellwright.jobs.comparing.pool import available_cores, run_side_by_side
from cellwright.jobs.comparing.reporting import ComparisonReporter, RunState
from cellwright.jobs.comparing.trials import ComparableJob, Trial
from cellwright.jobs.runs.cell_texts import cell_text
from cellwright.jobs.runs.folder import RunFolder

__all__ = ["Runs"]


class Runs:
    """All runs of a comparison.

    Parameters
    ----------
    job
        What is learned.
    config
        What is compared.
    folder
        Where.
    workers
        How many runs at a time, at most.
    reporter
        Is told of progress.
    """

    def __init__(
        self,
        job: ComparableJob,
        config: ComparisonConfig,
        folder: ComparisonFolder,
        workers: int,
        reporter: ComparisonReporter,
    ) -> None:
        self._job, self._config, self._folder = job, config, folder
        self._reporter = reporter
        self._contenders = config.contenders
        self._outcomes: dict[tuple[str, int], Outcome] = {}
        # All cells with the first seed come first: so each is seen early.
        self._all = [(c, seed) for seed in config.seeds for c in self._contenders]
        self._states = {(c.label, seed): self._earlier(c, seed) for c, seed in self._all}
        self._todo = [
            (c, seed) for c, seed in self._all if self._states[c.label, seed].state == "waiting"
        ]
        self._workers = max(1, min(workers, len(self._todo)))
        self._noted: set[str] = set()

    def result(self) -> Comparison:
        """Do what is not done, and return what came of all; tables and picture are written."""
        self._reporter.started(self._description(), list(self._states.values()))
        if self._todo:
            shared = max(self._config.side_by_side, self._workers)
            self._config = self._config.model_copy(update={"side_by_side": shared})
            self._folder.write_config(self._config)
            self._find_budgets()
            self._train()
        comparison = self._comparison()
        comparison.save(self._folder.path)
        self._reporter.finished(comparison)
        return comparison

    def _description(self) -> dict[str, Any]:
        return {
            "job": self._job.name,
            "data": self._job.subject,
            "cells": {c.label: list(c.layers) for c in self._contenders},
            "seeds": self._config.seeds,
            "runs": len(self._all),
            "to_do": len(self._todo),
            "workers": self._workers,
            "threads": self._threads,
            "run": str(self._folder.path),
        }

    @property
    def _threads(self) -> int:
        return max(1, available_cores() // self._workers)

    def _earlier(self, contender: Contender, seed: int) -> RunState:
        """Where a run stands that an earlier call may have done; it must be of the same words."""
        path = self._folder.run(contender, seed)
        trial = Trial(contender.cell, contender.layers, seed, contender.samples)
        if not self._job.is_run_of(trial, RunFolder(path)):
            raise RunError(
                f"{path}: the run there was started with other equations or options; delete its "
                f"folder, or name another one for the comparison"
            )
        state = self._stored(contender, seed)
        outcome = self._outcomes.get((contender.label, seed))
        learned = None if outcome is None else outcome.data_fingerprint
        if learned not in (None, self._job.data_fingerprint):
            raise RunError(
                f"{path}: the data are no longer those that this run learned from; name another "
                f"folder for the comparison"
            )
        return replace(state, earlier=state.state != "waiting")

    def _stored(self, contender: Contender, seed: int) -> RunState:
        """Where a run stands by what lies in its folder."""
        path = self._folder.run(contender, seed)
        state = RunState(contender.label, seed)
        reason, outcome = read_failure(path), read_outcome(path)
        if reason is None and outcome is not None and not math.isfinite(outcome.value):
            reason = f"its {outcome.measure} on the test part is no finite number"
        if reason is not None:
            return replace(state, state="failed", reason=reason)
        if outcome is None:
            return state
        self._outcomes[contender.label, seed] = outcome
        return _finished(state, outcome)

    def _find_budgets(self) -> None:
        """How many samples each cell learns from in the seconds that it has; compile it, too."""
        if self._config.seconds is None:
            return
        first: dict[str, tuple[Contender, int]] = {}
        for contender, seed in self._todo:
            if contender.samples is None:
                first.setdefault(contender.label, (contender, seed))
        needed = list(first.values())
        if not needed:
            return
        found: dict[str, int | None] = {}
        failed: dict[str, dict[str, Any]] = {}

        def tell(number: int, event: dict[str, Any]) -> None:
            if event["event"] == "note":
                self._note(event["message"])
            if event["event"] == "failed":
                failed[needed[number][0].label] = event
            if event["event"] == "finished":
                found[needed[number][0].label] = event["samples"]

        self._reporter.note(
            f"a short training of each cell first, to prepare for {self._config.seconds:g} s"
        )
        tasks = [self._task(c, seed) | {"kind": "probe"} for c, seed in needed]
        run_side_by_side(tasks, self._workers, self._threads, tell)
        self._contenders = [
            replace(c, samples=found.get(c.label, c.samples)) for c in self._contenders
        ]
        self._config = self._config.with_contenders(self._contenders)
        self._folder.write_config(self._config)
        known = {c.label: c for c in self._contenders}
        for contender, seed in self._todo:
            if event := failed.get(contender.label):
                self._give_up(contender, seed, event)
        self._todo = [(known[c.label], seed) for c, seed in self._todo if c.label not in failed]

    def _give_up(self, contender: Contender, seed: int, event: dict[str, Any]) -> None:
        """Without its short training a run has no budget."""
        reason = f"{event['reason']}, in the short training before"
        if event.get("for_good"):
            write_failure(self._folder.run(contender, seed), reason)
        self._heard(contender, seed, {"event": "failed", "reason": reason})

    def _train(self) -> None:
        tasks = [self._task(contender, seed) for contender, seed in self._todo]

        def tell(number: int, event: dict[str, Any]) -> None:
            contender, seed = self._todo[number]
            self._heard(contender, seed, event)

        run_side_by_side(tasks, self._workers, self._threads, tell)

    def _task(self, contender: Contender, seed: int) -> dict[str, Any]:
        return {
            "kind": "run",
            "job": self._job.name,
            "settings": self._job.settings,
            "seconds": self._config.seconds,
            "cell": cell_text(contender.text),
            "layers": list(contender.layers),
            "samples": contender.samples,
            "seed": seed,
            "folder": str(self._folder.run(contender, seed)),
        }

    def _heard(self, contender: Contender, seed: int, event: dict[str, Any]) -> None:
        """Something happened to a run."""
        state = self._states[contender.label, seed]
        what = event["event"]
        if what == "note":
            self._note(event["message"])
            return
        if what == "started":
            state = replace(state, state="running")
        elif what == "progress":
            state = replace(state, done=event["done"], seconds_left=event["seconds_left"])
        elif what == "failed":
            state = replace(state, state="failed", reason=event["reason"])
        else:
            state = self._stored(contender, seed)
        self._states[contender.label, seed] = state
        self._reporter.changed(state)

    def _note(self, message: str) -> None:
        """Pass on what a run has to say, once for all runs."""
        if message not in self._noted:
            self._noted.add(message)
            self._reporter.note(message)

    def _comparison(self) -> Comparison:
        def chosen(keep: Callable[[Contender, int], Any]) -> dict[str, dict[int, Any]]:
            seeds = self._config.seeds
            return {
                c.label: {seed: found for seed in seeds if (found := keep(c, seed)) is not None}
                for c in self._contenders
            }

        def outcome(contender: Contender, seed: int) -> Outcome | None:
            return self._outcomes.get((contender.label, seed))

        def reason(contender: Contender, seed: int) -> str | None:
            return self._states[contender.label, seed].reason

        data = "" if self._job.subject == self._job.name else f" {self._job.subject}"
        return Comparison(
            job=f"{self._job.name}{data}",
            folder=self._folder.path,
            contenders=self._contenders,
            seeds=self._config.seeds,
            outcomes=chosen(outcome),
            failures=chosen(reason),
            side_by_side=self._config.side_by_side,
        )


def _finished(state: RunState, outcome: Outcome) -> RunState:
    return replace(
        state,
        state="finished",
        done=1.0,
        seconds_left=0.0,
        measure=outcome.measure,
        value=outcome.value,
        seconds=outcome.seconds,
    )
