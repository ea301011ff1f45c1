"""What a finished run came to, read from its folder."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellwright.errors import RunError
from cellwright.jobs.runs.folder import RunFolder
from cellwright.storage import replace_file

__all__ = ["Outcome", "read_failure", "read_outcome", "write_failure"]

FAILURE = "failure.json"


@dataclass(frozen=True)
class Outcome:
    """What a finished run came to.

    Attributes
    ----------
    measure, lower_is_better
        What cells are compared by, and whether small values are good.
    value
        The measure on the test part; NaN where it was not finite.
    measures
        All measures on the test part.
    solved
        Whether the criterion of a task was met; None where there is no criterion.
    parameters
        Weights of the network that can learn.
    samples
        Sequences that were learned from, over all epochs.
    seconds
        Time of the training.
    speed
        Sequences a second, learned from and validated: the median over the epochs but the
        first, in which kernels may be compiled.
    curve
        (sequences learned from, measure) after each epoch, on the validation part if there
        is one.
    curve_name
        What the curve shows.
    data_fingerprint
        A digest of the data; None where the job draws them itself.
    """

    measure: str
    lower_is_better: bool
    value: float
    measures: dict[str, float]
    solved: bool | None
    parameters: int
    samples: int
    seconds: float
    speed: float
    curve: list[tuple[int, float]]
    curve_name: str
    data_fingerprint: str | None = None


def read_outcome(path: Path) -> Outcome | None:
    """What the run of a folder came to, or None if it is not finished.

    Raises
    ------
    RunError
        The files of the run are damaged.
    """
    try:
        result = RunFolder(path).read_result()
        return None if result is None else _outcome(result, pd.read_csv(path / "metrics.csv"))
    except (RunError, OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: this run cannot be read ({error}); delete its folder, and the same call "
            f"does it again"
        ) from error


def write_failure(path: Path, reason: str) -> None:
    """Keep the reason why a run failed, and would fail again."""
    path.mkdir(parents=True, exist_ok=True)
    replace_file(path / FAILURE, json.dumps({"reason": reason}, indent=2) + "\n")


def read_failure(path: Path) -> str | None:
    """Why the run of a folder failed for good, or None."""
    try:
        return str(json.loads((path / FAILURE).read_text(encoding="utf-8"))["reason"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path / FAILURE} cannot be read: {error}") from error


def _outcome(result: dict[str, Any], history: pd.DataFrame) -> Outcome:
    test = dict(result["test"])
    measure = result.get("main", "accuracy")
    curve_name = _curve_name(list(history.columns), measure)
    samples = [int(number) for number in history["samples"]]
    if len(samples) != result["epochs"]:
        raise ValueError(f"metrics.csv has {len(samples)} of {result['epochs']} epochs")
    return Outcome(
        measure=measure,
        lower_is_better=bool(result.get("lower_is_better", False)),
        value=_number(test[measure]),
        measures={name: _number(value) for name, value in test.items() if name != "samples"},
        solved=result.get("solved"),
        parameters=int(result["parameters"]),
        samples=samples[-1] if samples else 0,
        seconds=float(result["seconds"]),
        speed=_speed(samples, [float(seconds) for seconds in history["seconds"]]),
        curve=list(zip(samples, map(float, history[curve_name]), strict=True)),
        curve_name=curve_name.replace("_", " "),
        data_fingerprint=result.get("data_fingerprint"),
    )


def _number(value: float | None) -> float:
    """A measure as it was; the file has no word for one that is not finite."""
    return math.nan if value is None else float(value)


def _curve_name(columns: list[str], measure: str) -> str:
    wanted = (f"validation_{measure}", f"train_{measure}", "validation_loss", "train_loss")
    found = next((name for name in wanted if name in columns), None)
    if found is None:
        raise ValueError(f"metrics.csv has none of the columns {', '.join(wanted)}")
    return found


def _speed(samples: list[int], seconds: list[float]) -> float:
    if not samples:
        return math.nan
    speeds = np.diff([0, *samples]) / np.maximum(seconds, 1e-9)
    return float(np.median(speeds[1:] if len(speeds) > 1 else speeds))
