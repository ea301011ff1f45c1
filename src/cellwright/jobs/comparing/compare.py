"""A comparison from what is asked to the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cellwright.arguments import as_whole
from cellwright.cells.cell import Cell
from cellwright.errors import SettingError
from cellwright.jobs.comparing.catalogue import find_job
from cellwright.jobs.comparing.comparison import Comparison
from cellwright.jobs.comparing.contenders import Contender, contenders
from cellwright.jobs.comparing.folder import ComparisonConfig, ComparisonFolder, folder_for
from cellwright.jobs.comparing.matching import matched_layers
from cellwright.jobs.comparing.pool import available_cores
from cellwright.jobs.comparing.reporting import ComparisonReporter
from cellwright.jobs.comparing.running import Runs
from cellwright.jobs.comparing.trials import ComparableJob, Trial, check_sizes

__all__ = ["compare"]

_RUNS = Path("runs")


def compare(
    job: str = "classify",
    *,
    cells: str | Cell | Sequence[str | Cell] | Mapping[str, str | Cell],
    seeds: int | Sequence[int] = 3,
    match: Literal["parameters"] | None = None,
    parameters: int | None = None,
    seconds: float | None = None,
    workers: int | None = None,
    folder: str | Path | None = None,
    reporter: ComparisonReporter | None = None,
    **options: Any,
) -> Comparison:
    """Train several cells on the same data with the same budget, and say what is noise.

    Each cell is trained once for every seed, in processes side by side. Every run is kept;
    the same call again goes on with what is not finished, and trains nothing twice.

    Parameters
    ----------
    job
        ``"classify"``, or a task of `cellwright.data.tasks` such as ``"adding"``.
    cells
        Names of the zoo, also with options (``"clockwork:periods=[1,2,4,8]"``), cells of
        your own, or label -> either. Steps are timed relative to the first.
    seeds
        How many, from 0, or which. Five say more than three, and one says nothing of noise.
    match
        ``"parameters"`` makes the layers of every cell so wide that the whole network comes
        closest to the parameters of the first cell's; those that masks leave out do not count.
    parameters
        The same, with this number of parameters.
    seconds
        Budget of each training in seconds. A short training of each cell first has it
        compiled and, where the learning rate follows a schedule, finds out how many samples
        that is; there it takes the place of `epochs` and `samples`, options of the job that
        are the budget without it. A task ends with whichever is spent first.
    workers
        Runs at a time; one a core without it. The cores are divided among them.
    folder
        Where every run is kept; ``runs/compare-JOB-NNN`` without it.
    reporter
        Is told of progress.
    **options
        Options of the job, for all cells alike: ``data="sales.csv"``, ``layers=64``,
        ``epochs=10``, …

    Returns
    -------
    Comparison
        A table, what can be said of it, and a picture.

    Raises
    ------
    CellError, SettingError, DataError, ShapeError
        A cell, an option or the data cannot be used; nothing has been started then.
    RunError
        The folder cannot be used: it cannot be made, another process works there, it holds
        something else, or the comparison there was started with other options or data.
    """
    reporter = reporter or ComparisonReporter()
    found = contenders(cells)
    chosen = _seeds(seeds)
    processes = _workers(workers)
    kind = find_job(job, options, seconds)
    _check_budget(kind, options, seconds)
    check_sizes([contender.cell for contender in found], kind.settings.get("sizes"))
    target = _target(kind, found, match, parameters)
    found = [_sized(kind, contender, target) for contender in found]
    config = ComparisonConfig(
        job=kind.name,
        settings=kind.settings,
        seconds=float(seconds) if seconds is not None else None,
        match=target,
        seeds=chosen,
        cells=[],
        data_fingerprint=kind.data_fingerprint,
    ).with_contenders(found)
    place = folder_for(config, kind.subject, _RUNS) if folder is None else Path(folder)
    home = ComparisonFolder(place)
    home.check_free()
    if (stored := home.read_config()) is not None:
        config.check_goes_on(stored)
        config = config.after(stored)
    else:
        kind.check(Trial(found[0].cell, found[0].layers, chosen[0]))
    home.create()
    with home.locked():
        runs = Runs(kind, config, home, processes, reporter)
        home.write_config(config)
        return runs.result()


def _check_budget(job: ComparableJob, options: Mapping[str, Any], seconds: float | None) -> None:
    for name in ("epochs", "samples"):
        if seconds is not None and job.one_budget and options.get(name) is not None:
            raise SettingError(
                f"seconds={seconds:g} and {name}={options[name]} are both budgets of a training; "
                f"give one of them"
            )


def _seeds(given: int | Sequence[int]) -> list[int]:
    listed: Any = given.tolist() if isinstance(given, np.ndarray) else given
    count = as_whole(listed)
    if count is not None:
        if count < 1:
            raise SettingError(f"seeds={given}: give at least one, better five")
        return list(range(count))
    if not isinstance(listed, Sequence) or isinstance(listed, (str, bytes)):
        raise SettingError(f"seeds={given!r}: give how many, or a list of which")
    if not listed:
        raise SettingError("seeds=[]: give at least one, better five")
    seeds = []
    for seed in listed:
        number = as_whole(seed)
        if number is None or not 0 <= number < 2**32:
            raise SettingError(f"seeds: {seed!r} is not a whole number from 0 to 2³² − 1")
        seeds.append(number)
    if len(set(seeds)) != len(seeds):
        raise SettingError(f"seeds={seeds}: a seed stands there twice")
    return seeds


def _workers(given: int | None) -> int:
    if given is None:
        return available_cores()
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise SettingError(f"workers={given!r}: give at least one")
    return given


def _target(
    job: ComparableJob, found: Sequence[Contender], match: str | None, parameters: int | None
) -> int | None:
    """The number of parameters that every network is brought close to, if any."""
    if match not in (None, "parameters"):
        raise SettingError(f"match={match!r}: what can be matched is 'parameters'")
    if parameters is not None:
        if match is not None:
            raise SettingError(
                f"match brings all networks close to the first one's parameters, and parameters="
                f"{parameters!r} to that number; give one of them"
            )
        if isinstance(parameters, bool) or not isinstance(parameters, int) or parameters < 1:
            raise SettingError(f"parameters={parameters!r}: give a number of weights from 1")
        return parameters
    return job.parameters(found[0].cell, job.layers()) if match else None


def _sized(job: ComparableJob, contender: Contender, target: int | None) -> Contender:
    """The cell with its layers; an error here is one before any work starts."""
    layers = job.layers()
    if target is not None:
        layers = matched_layers(lambda units: job.parameters(contender.cell, units), layers, target)
    number = job.parameters(contender.cell, layers)
    return replace(contender, layers=layers, parameters=number)
