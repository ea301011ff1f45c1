"""What counts as an answer at every step: labels, several labels, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cellwright.arguments import as_array
from cellwright.data.labels import as_labels
from cellwright.errors import DataError, ShapeError

__all__ = ["AnswerKind", "StepAnswers", "as_step_answers"]

AnswerKind: TypeAlias = Literal["label", "number"]


@dataclass(frozen=True, eq=False)
class StepAnswers:
    """Checked answers, the steps of all samples behind each other.

    Attributes
    ----------
    columns
        For each thing that is asked at a step, the answers of all steps, (steps,).
    known
        Which of them are known, (steps, columns).
    lengths
        Steps of each sample.
    single
        Whether the answer is one thing, and not a row.
    """

    columns: tuple[npt.NDArray[Any], ...]
    known: npt.NDArray[np.bool_]
    lengths: npt.NDArray[np.int64]
    single: bool

    def place(self, step: int) -> tuple[int, int]:
        """Sample and step within it of a step counted through all samples."""
        ends = self.lengths.cumsum()
        sample = int(np.searchsorted(ends, step, side="right"))
        return sample, int(step - ends[sample] + self.lengths[sample])


def as_step_answers(
    y: Any, lengths: npt.NDArray[np.int64], kind: AnswerKind, *, name: str = "y"
) -> StepAnswers:
    """Check answers and give them their common form.

    Parameters
    ----------
    y
        For each sample a list or array (time,), or (time, answers) where several things are
        asked at a step. What is not known is None, an empty text, NaN or pandas' NA.
    lengths
        Steps of each sample.
    kind
        Whether answers are labels (whole numbers, texts or truths) or numbers.

    Raises
    ------
    ShapeError
        Samples or steps are not as many as those of the sequences.
    DataError
        An answer is not of the kind that was asked for, or none is known.
    """
    if isinstance(y, StepAnswers):
        return y
    y = as_array(y)
    if isinstance(y, (str, bytes, dict)) or not hasattr(y, "__len__"):
        raise DataError(f"{name}: expected a list with an array a sample, got {type(y).__name__}")
    if len(y) != len(lengths):
        raise ShapeError(f"X has {len(lengths)} samples but {name} has answers for {len(y)}")
    samples = [_sample(value, f"{name}[{number}]") for number, value in enumerate(y)]
    axes = samples[0].shape[1:]
    for number, (sample, steps) in enumerate(zip(samples, lengths, strict=True)):
        if len(sample) != steps:
            raise ShapeError(
                f"X[{number}] has {steps} steps but {name}[{number}] has {len(sample)} answers"
            )
        if sample.shape[1:] != axes:
            raise ShapeError(
                f"{name}[{number}]: expected (time{''.join(f', {n}' for n in axes)}) like "
                f"{name}[0], got {sample.shape}"
            )
    wide = [sample[:, None] if sample.ndim == 1 else sample for sample in samples]
    if wide[0].shape[1] == 0:
        raise ShapeError(f"{name}[0]: there are no answers at a step")
    make = _labels if kind == "label" else _numbers
    found = [make([s[:, column] for s in wide], name) for column in range(wide[0].shape[1])]
    known = np.stack([known for _, known in found], axis=1)
    return StepAnswers(tuple(values for values, _ in found), known, lengths, not axes)


def _sample(value: Any, name: str) -> npt.NDArray[Any]:
    value = as_array(value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        if not isinstance(value, (list, tuple)):
            raise ShapeError(f"{name}: not an array (time,) or (time, answers): {error}") from error
        array = np.empty(0, dtype=object)
    if isinstance(value, (list, tuple)) and array.dtype.kind not in "biuf":
        # NumPy makes texts of everything beside a text, such as a number or NaN.
        array = _objects(value, name)
    if array.ndim not in (1, 2):
        raise ShapeError(f"{name}: expected (time,) or (time, answers), got {array.shape}")
    return array


def _objects(steps: Sequence[Any], name: str) -> npt.NDArray[Any]:
    """A list as an array (time,), or (time, answers) if a step is a row; None is one unknown."""
    rows = {at: list(step) for at, step in enumerate(steps) if _is_row(step)}
    if not rows:
        array = np.empty(len(steps), dtype=object)
        array[:] = steps
        return array
    width = len(next(iter(rows.values())))
    array = np.full((len(steps), width), None, dtype=object)
    for at, step in enumerate(steps):
        if at in rows:
            if len(rows[at]) != width or any(map(_is_row, rows[at])):
                raise ShapeError(f"{name}[{at}]: expected a row of {width} answers, got {step!r}")
            array[at] = rows[at]
        elif not pd.isna(step):
            raise ShapeError(f"{name}[{at}]: expected a row of {width} answers, got {step!r}")
    return array


def _is_row(step: Any) -> bool:
    return isinstance(step, (list, tuple)) or getattr(step, "ndim", 0) > 0


Column: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]


def _labels(parts: Sequence[npt.NDArray[Any]], name: str) -> Column:
    """One column of labels; where one is not known stands the first that is."""
    known = np.concatenate([_known(part) for part in parts])
    if not known.any():
        raise DataError(f"{name}: no label is known")
    values = [value for part in parts for value in part.tolist()]
    chosen = [value for value, is_known in zip(values, known, strict=True) if is_known]
    if len({isinstance(value, str) for value in chosen}) > 1:
        raise DataError(f"{name}: some labels are texts and others numbers; give one kind")
    try:
        labels = as_labels(np.asarray(chosen), name=name)
    except DataError as error:
        raise DataError(f"{error} (for numbers as answers, say target='number')") from error
    column = np.full(len(values), labels[0], dtype=labels.dtype)
    column[known] = labels
    return column, known


def _known(part: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    missing = pd.isna(part)
    if part.dtype.kind in "biuf":
        return ~missing
    pairs = zip(missing.tolist(), part.tolist(), strict=True)
    return np.array([not gone and value != "" for gone, value in pairs], dtype=bool)


def _numbers(parts: Sequence[npt.NDArray[Any]], name: str) -> Column:
    try:
        found = [np.where(_known(part), part, np.nan).astype(np.float64) for part in parts]
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: expected numbers: {error}") from error
    for number, part in enumerate(found):
        if np.isinf(part).any():
            raise DataError(
                f"{name}[{number}] is infinite at step {int(np.argmax(np.isinf(part)))}"
            )
    column = np.concatenate(found)
    known = ~np.isnan(column)
    if not known.any():
        raise DataError(f"{name}: no number is known")
    return np.where(known, column, 0.0), known
