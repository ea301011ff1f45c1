"""How a run folder's classification is done, from data to result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import accuracy_score, classification_report

from cellwright.data import Labelled, Sequences
from cellwright.data.labelled_sources import LabelledData, read_labelled, read_labelled_samples
from cellwright.data.labels import missing_labels
from cellwright.data.text_lines import Texts
from cellwright.errors import DataError
from cellwright.jobs.asked import Asked
from cellwright.jobs.classify.estimator import SequenceClassifier
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.features import check_test_features
from cellwright.jobs.job import Job
from cellwright.look.calibration_picture import draw_calibration
from cellwright.look.pictures import draw_confusion, save_picture

__all__ = ["JOB"]


class _Classify(Job[SequenceClassifier, LabelledData]):
    """Labelled sequences, divided at random unless the data are divided already."""

    estimator = SequenceClassifier
    files = ("confusion_matrix.png", "calibration.png")

    def read(self, asked: Asked) -> LabelledData:
        data = read_labelled(asked.source, asked.folder, **asked.reading)
        check_test_features(data.name, data.train.x, data.test.x)
        return data

    def facts(self, data: LabelledData) -> dict[str, Any]:
        counts = {"train": len(data.train.x), "test": len(data.test.x)}
        known = isinstance(data.train.x, Sequences)
        return counts | ({"features": data.train.x.features} if known else {})

    def remarks(self, data: LabelledData) -> list[str]:
        """Classes that the test says nothing of; numbers that are read as if they were words."""
        assert data.train.y is not None
        assert data.test.y is not None
        said = []
        if names := ", ".join(missing_labels(data.train.y, data.test.y)):
            said += [f"the test part has no sample of the class {names}; it says nothing of it"]
        if isinstance(data.train.x, Texts) and data.train.x.are_measured:
            said += [
                f"{data.name}: the texts are numbers alone, and each is read as a word; to have "
                f"them read as measured, give a .npz, or a table with a row for each step"
            ]
        return said

    def fit(self, model: SequenceClassifier, data: LabelledData, hooks: Hooks) -> None:
        model.fit(data.train.x, data.train.y, **hooks)

    def finish(self, model: SequenceClassifier, data: LabelledData, folder: Path) -> dict[str, Any]:
        """Test, and draw what was taken for what and whether probabilities can be trusted."""
        truth, chances = model.known_labels(data.test.y), model.predict_proba(data.test.x)
        predicted = model.classes_[chances.argmax(1)]
        pictures = {
            "confusion_matrix.png": draw_confusion(truth, predicted, model.classes_),
            "calibration.png": draw_calibration(truth, chances, model.classes_),
        }
        for name, picture in pictures.items():
            save_picture(picture, folder / name)
        return {"accuracy": float(accuracy_score(truth, predicted)), "samples": len(truth)}

    def read_samples(self, asked: Asked) -> Labelled:
        return read_labelled_samples(asked.source, asked.folder)

    def test_part(self, data: LabelledData) -> Labelled:
        return data.test

    def predictions(
        self, model: SequenceClassifier, samples: Labelled, *, probabilities: bool
    ) -> pd.DataFrame:
        """A row a sample: id, prediction, and the probability of each class if asked."""
        chances = model.predict_proba(samples.x)
        table: pd.DataFrame = pd.DataFrame(
            {"id": samples.ids, "prediction": model.classes_[chances.argmax(1)]}
        )
        if probabilities:
            for column, label in enumerate(model.classes_):
                table[f"probability_{label}"] = chances[:, column]
        return table

    def scores(self, model: SequenceClassifier, samples: Labelled) -> tuple[dict[str, Any], str]:
        """Accuracy with the number of samples, and a report by class."""
        if samples.y is None:
            raise DataError("the data have no labels to score against")
        truth = model.known_labels(
            samples.y, lambda row: f"the label of sample {samples.ids[row]!r}"
        )
        predicted = model.predict(samples.x)
        report = classification_report(truth, predicted, digits=4, zero_division=0)
        accuracy = float(accuracy_score(truth, predicted))
        report += f"\naccuracy {accuracy:.4f} on {len(truth)} sequences"
        return {"accuracy": accuracy, "samples": len(truth)}, report


JOB = _Classify()
