"""How a run folder's regression is done, from data to result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from cellwright.data.measured import Measured, MeasuredDataset
from cellwright.data.measured_readers import read_measured, read_measured_samples
from cellwright.errors import DataError, SettingError
from cellwright.jobs.asked import Asked
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.features import check_test_features
from cellwright.jobs.job import Job
from cellwright.jobs.regress.estimator import SequenceRegressor
from cellwright.look.pictures import save_picture
from cellwright.look.regression_pictures import draw_predicted

__all__ = ["JOB"]

# The level at which intervals are tested and drawn.
_LEVEL = 0.9
_Ends = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


class _Regress(Job[SequenceRegressor, MeasuredDataset]):
    """Sequences with numbers, divided at random unless the data are divided already."""

    estimator = SequenceRegressor
    files = ("predicted.png",)

    def read(self, asked: Asked) -> MeasuredDataset:
        asked.refuse_folder()
        data = read_measured(asked.source, **asked.reading)
        check_test_features(data.name, data.train.x, data.test.x)
        return data

    def facts(self, data: MeasuredDataset) -> dict[str, Any]:
        return {
            "train": len(data.train.x),
            "test": len(data.test.x),
            "features": data.train.x.features,
            "targets": len(data.train.targets),
        }

    def fit(self, model: SequenceRegressor, data: MeasuredDataset, hooks: Hooks) -> None:
        model.fit(data.train.x, _flat(data.train), groups=data.train.groups, **hooks)

    def finish(
        self, model: SequenceRegressor, data: MeasuredDataset, folder: Path
    ) -> dict[str, Any]:
        predicted, ends = _told(model, data.test)
        assert data.test.y is not None
        truth, names = data.test.y, data.test.targets
        picture = draw_predicted(truth, predicted, ends, level=_LEVEL, names=names)
        save_picture(picture, folder / "predicted.png")
        return _measures(truth, predicted, ends)

    def read_samples(self, asked: Asked) -> Measured:
        asked.refuse_folder()
        return read_measured_samples(asked.source, **asked.reading)

    def test_part(self, data: MeasuredDataset) -> Measured:
        return data.test

    def predictions(
        self, model: SequenceRegressor, samples: Measured, *, probabilities: bool
    ) -> pd.DataFrame:
        """A row a sample: id, prediction, and the ends of the 90 % interval if asked."""
        predicted = model.predict(samples.x).reshape(len(samples.x), -1)
        columns: dict[str, Any] = {"id": samples.ids}
        ends = _ends(model, samples) if probabilities else None
        if probabilities and ends is None:
            raise SettingError("this model has no intervals to show; leave out --probabilities")
        for number, name in enumerate(samples.targets[: predicted.shape[1]]):
            tail = "" if predicted.shape[1] == 1 else f"_{name}"
            columns[f"prediction{tail}"] = predicted[:, number]
            if ends is not None:
                columns[f"lower{tail}"] = ends[0][:, number]
                columns[f"upper{tail}"] = ends[1][:, number]
        table: pd.DataFrame = pd.DataFrame(columns)
        return table

    def scores(self, model: SequenceRegressor, samples: Measured) -> tuple[dict[str, Any], str]:
        """R², RMSE, MAE, and how often the 90 % interval holds the truth; a report by target."""
        if samples.y is None:
            raise DataError("the data have no targets to score against")
        truth = model.known_numbers(samples.y)
        predicted, ends = _told(model, samples)
        rows = {
            name: _measures(
                truth[:, [number]],
                predicted[:, [number]],
                None if ends is None else (ends[0][:, [number]], ends[1][:, [number]]),
            )
            for number, name in enumerate(samples.targets)
        }
        table = pd.DataFrame(rows).T.drop(columns="samples")
        report = table.to_string(float_format=lambda value: f"{value:.4f}")
        return _measures(truth, predicted, ends), f"{report}\non {len(truth)} sequences"


def _flat(samples: Measured) -> npt.NDArray[np.float64]:
    """One target as (sample,), as people give it."""
    assert samples.y is not None
    return samples.y[:, 0] if samples.y.shape[1] == 1 else samples.y


def _told(
    model: SequenceRegressor, samples: Measured
) -> tuple[npt.NDArray[np.float64], _Ends | None]:
    predicted = model.predict(samples.x).reshape(len(samples.x), -1)
    return predicted, _ends(model, samples)


def _ends(model: SequenceRegressor, samples: Measured) -> _Ends | None:
    """Ends of the intervals; None where the model has none of that level."""
    try:
        lower, upper = model.predict_interval(samples.x, _LEVEL)
    except SettingError:
        return None
    return lower.reshape(len(lower), -1), upper.reshape(len(upper), -1)


def _measures(
    truth: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64], ends: _Ends | None
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if len(truth) > 1:
        found["r2"] = float(r2_score(truth, predicted))
    found["rmse"] = float(root_mean_squared_error(truth, predicted))
    found["mae"] = float(mean_absolute_error(truth, predicted))
    if ends is not None:
        inside = (ends[0] <= truth) & (truth <= ends[1])
        found[f"coverage_{100 * _LEVEL:.0f}"] = float(inside.mean())
        found[f"width_{100 * _LEVEL:.0f}"] = float((ends[1] - ends[0]).mean())
    return found | {"samples": len(truth)}


JOB = _Regress()
