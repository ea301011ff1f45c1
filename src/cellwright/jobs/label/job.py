"""Labelling steps from data to result: what a run folder and the command line want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import accuracy_score, classification_report, r2_score, root_mean_squared_error

from cellwright.data.labels import missing_labels
from cellwright.data.step_answers import as_step_answers
from cellwright.data.step_data import StepData, StepDataset, read_step_data, read_step_samples
from cellwright.data.step_tables import StepColumns
from cellwright.data.words import WordSequences
from cellwright.errors import DataError
from cellwright.jobs.asked import Asked
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.features import check_test_features
from cellwright.jobs.job import Job
from cellwright.jobs.label.columns import AnswerColumns, learned_columns
from cellwright.jobs.label.estimator import SequenceLabeler
from cellwright.look.pictures import draw_confusion, save_picture
from cellwright.look.step_pictures import draw_step_labels, draw_step_numbers
from cellwright.storage import replace_file

__all__ = ["JOB"]

Pairs: TypeAlias = Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]]

_DRAWN, _MOST_CLASSES = 4, 60


class _Label(Job[SequenceLabeler, StepDataset]):
    """Sequences with an answer at every step."""

    estimator = SequenceLabeler
    files = ("confusion_matrix.png", "answers.png", "report.txt")

    def read(self, asked: Asked) -> StepDataset:
        reading = asked.reading
        data = read_step_data(
            asked.source,
            asked.folder,
            columns=_columns(reading),
            column=reading["column"],
            test=_names(reading["test"]),
            test_fraction=reading["test_fraction"],
            clips=reading["clips"],
        )
        kind = asked.options["target"]
        if data.train.y is None or data.test.y is None:
            lacking = "training" if data.train.y is None else "test"
            raise DataError(f"{data.name}: the {lacking} part has no {kind}s")
        learned = as_step_answers(data.train.y, data.train.x.lengths, kind)
        columns = AnswerColumns(learned_columns(learned, kind), learned.single)
        parts = {"test": data.test, "validation": data.validation}
        for what, part in parts.items():
            if part is None:
                continue
            check_test_features(data.name, data.train.x, part.x)
            if part.y is not None:
                # A label that the training part lacks is found before the training, not after.
                where = f"{data.name}, {what} part: y"
                answers = as_step_answers(part.y, part.x.lengths, kind, name=where)
                columns.check_width(answers)
                columns.targets(answers, asked.options, name=where)
        return replace(data, kind=kind)

    def facts(self, data: StepDataset) -> dict[str, Any]:
        found = {
            "train": len(data.train.x),
            "test": len(data.test.x),
            "steps": int(data.train.x.lengths.sum()),
        }
        if isinstance(data.train.x, WordSequences):
            return found | {"words": len({word for words in data.train.x for word in words})}
        return found | {"features": data.train.x.features}

    def remarks(self, data: StepDataset) -> list[str]:
        assert data.train.y is not None
        assert data.test.y is not None
        if data.kind == "number" or len(data.train.names) > 1:
            return []
        learned, tested = (
            np.array([label for answer in part for label in answer.tolist() if label is not None])
            for part in (data.train.y, data.test.y)
        )
        names = ", ".join(missing_labels(learned, tested))
        said = f"the test part has no step with the label {names}; it says nothing of it"
        return [said] if names else []

    def fit(self, model: SequenceLabeler, data: StepDataset, hooks: Hooks) -> None:
        kept = data.validation
        watched = None if kept is None or kept.y is None else (kept.x, kept.y)
        model.fit(data.train.x, data.train.y, validation=watched, **hooks)

    def finish(self, model: SequenceLabeler, data: StepDataset, folder: Path) -> dict[str, Any]:
        test = data.test
        pairs = model.compared(test.x, test.y)
        measures = _measures(model, test, pairs)
        replace_file(folder / "report.txt", _report(pairs, test.names))
        labels = model.options()["target"] == "label"
        if labels and len(pairs) == 1 and len(model.classes_) <= _MOST_CLASSES:
            truth, predicted = pairs[0]
            picture = draw_confusion(truth, predicted, model.classes_)
            save_picture(picture, folder / "confusion_matrix.png")
        _draw(model, test, folder / "answers.png")
        return measures

    def read_samples(self, asked: Asked) -> StepData:
        reading = asked.reading
        return read_step_samples(
            asked.source,
            asked.folder,
            columns=_columns(reading),
            column=reading["column"],
            clips=reading["clips"],
        )

    def test_part(self, data: StepDataset) -> StepData:
        return data.test

    def predictions(
        self, model: SequenceLabeler, samples: StepData, *, probabilities: bool
    ) -> pd.DataFrame:
        labels = model.options()["target"] == "label"
        if probabilities and not labels:
            raise self.refuse_probabilities("a model that answers with numbers")
        lengths = samples.x.lengths
        table: pd.DataFrame = pd.DataFrame(
            {
                "id": np.repeat(np.array(samples.ids, dtype=object), lengths),
                "step": np.concatenate([np.arange(length) for length in lengths]),
            }
        )
        if isinstance(samples.x, WordSequences):
            table["word"] = [word for words in samples.x for word in words]
        found = np.concatenate(model.predict(samples.x))
        single = found.ndim == 1
        names = [""] if single else [f"_{name}" for name in _several(samples.names, found.shape[1])]
        for number, name in enumerate(names):
            table[f"prediction{name}"] = found if single else found[:, number]
        if probabilities:
            chances = model.predict_proba(samples.x)
            for number, name in enumerate(names):
                parts = [each if single else each[number] for each in chances]
                classes = model.classes_ if single else model.classes_[number]
                for label, column in zip(classes, np.concatenate(parts).T, strict=True):
                    table[f"probability{name}_{label}"] = column
        return table

    def scores(self, model: SequenceLabeler, samples: StepData) -> tuple[dict[str, Any], str]:
        if samples.y is None:
            raise DataError("the data have no answers to score against")
        pairs = model.compared(samples.x, samples.y)
        measures = _measures(model, samples, pairs)
        first = next(iter(measures))
        said = f"\n{first} {measures[first]:.4f} on {measures['steps']} steps"
        return measures, _report(pairs, samples.names) + said


def _columns(reading: Mapping[str, Any]) -> StepColumns:
    features = reading["features"]
    return StepColumns(
        labels=_names(reading["labels"]),
        features=None if features is None else _names(features),
        id=reading["id"],
        step=reading["step"],
        time_of_day=reading["time_of_day"],
    )


def _names(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _several(names: Sequence[str], count: int) -> Sequence[str]:
    return names if len(names) == count else [str(number) for number in range(count)]


def _measures(model: SequenceLabeler, part: StepData, pairs: Pairs) -> dict[str, Any]:
    """Measures over all steps; for labels also by answer and by file, where there are several."""
    steps = sum(len(truth) for truth, _ in pairs)
    if model.options()["target"] == "number":
        r2 = np.mean([r2_score(truth, found) for truth, found in pairs])
        rmse = np.mean([root_mean_squared_error(truth, found) for truth, found in pairs])
        return {"r2": float(r2), "rmse": float(rmse), "steps": steps}
    right = sum(int((truth == found).sum()) for truth, found in pairs)
    measures: dict[str, Any] = {"accuracy": right / steps, "steps": steps}
    if len(pairs) > 1:
        for name, pair in zip(_several(part.names, len(pairs)), pairs, strict=True):
            measures[f"accuracy_{name}"] = float(accuracy_score(*pair))
    return measures | _by_file(part, pairs)


def _by_file(part: StepData, pairs: Pairs) -> dict[str, float]:
    """Share of right answers in each of several files; a file without a known one has none."""
    files = dict.fromkeys(part.parts)
    if len(files) < 2:
        return {}
    assert part.y is not None
    known = as_step_answers(part.y, part.x.lengths, "label").known
    of_step = np.repeat(np.array(part.parts), part.x.lengths)
    right = np.concatenate([truth == found for truth, found in pairs])
    of_answer = np.concatenate([of_step[column] for column in known.T])
    own = {file: right[of_answer == file] for file in files}
    return {f"accuracy_{file}": float(each.mean()) for file, each in own.items() if len(each)}


def _report(pairs: Pairs, names: Sequence[str]) -> str:
    """Precision, recall and F1 of every label; for numbers their errors."""
    parts = []
    for name, (truth, predicted) in zip(_several(names, len(pairs)), pairs, strict=True):
        head = f"{name}\n" if len(pairs) > 1 else ""
        if truth.dtype.kind == "f":
            parts.append(
                f"{head}R2 {r2_score(truth, predicted):.4f}, root mean squared error "
                f"{root_mean_squared_error(truth, predicted):.4g}\n"
            )
        else:
            report = classification_report(truth, predicted, digits=4, zero_division=0)
            parts.append(head + report)
    return "\n".join(parts)


def _draw(model: SequenceLabeler, part: StepData, path: Path) -> None:
    """Truth and prediction over time, of the first answer of the first sequences."""
    assert part.y is not None
    first = [each if each.ndim == 1 else each[:, 0] for each in part.y]
    answered = np.flatnonzero([pd.notna(each).any() for each in first])[:_DRAWN]
    if not len(answered):
        return
    few = part.take(answered)
    assert few.y is not None
    predicted = [each if each.ndim == 1 else each[:, 0] for each in model.predict(few.x)]
    truth = [each if each.ndim == 1 else each[:, 0] for each in few.y]
    names = [f"{few.parts[0]} {each}" if len(str(each)) < 3 else str(each) for each in few.ids]
    if model.options()["target"] == "number":
        numbers = [np.array(each, dtype=np.float64) for each in truth]
        save_picture(draw_step_numbers(numbers, predicted, names=names), path)
        return
    classes = model.classes_ if isinstance(model.classes_, np.ndarray) else model.classes_[0]
    known = [np.array([label is not None for label in each], dtype=bool) for each in truth]
    truth = [each[k].astype(classes.dtype) for each, k in zip(truth, known, strict=True)]
    predicted = [each[k].astype(classes.dtype) for each, k in zip(predicted, known, strict=True)]
    words = None
    if isinstance(few.x, WordSequences):
        words = [
            [word for word, is_known in zip(s, k, strict=True) if is_known]
            for s, k in zip(few.x, known, strict=True)
        ]
    save_picture(draw_step_labels(truth, predicted, classes, names=names, words=words), path)


JOB = _Label()
