"""The regressor: how many cycles are left of a jet engine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import root_mean_squared_error

from cellwright.data.measured import MeasuredDataset
from cellwright.data.run_to_failure import read_run_to_failure
from cellwright.jobs import SequenceRegressor
from gallery.recipe import Recipe, data_folder

__all__ = ["CAP", "OPTIONS", "RECIPES", "engines", "engines_data", "trained"]

WINDOW, STRIDE, CAP = 30, 2, 125
OPTIONS = {
    "layers": [64],
    "projection": 8,  # 24 settings and sensors tell much the same, with noise of their own
    "epochs": 6,
    "batch_size": 64,
    "threads": 1,
}


def engines_data() -> MeasuredDataset:
    """Every window of the training engines; the last one of each test engine."""
    return read_run_to_failure(data_folder("cmapss-fd001"), window=WINDOW, stride=STRIDE, cap=CAP)


def trained(data: MeasuredDataset, seed: int) -> SequenceRegressor:
    """A regressor that learned from nine engines of ten; the tenth makes its intervals."""
    assert data.train.y is not None
    model = SequenceRegressor(random_state=seed, **OPTIONS)
    return model.fit(data.train.x, data.train.y[:, 0], groups=data.train.groups)


def engines(seed: int) -> Mapping[str, float]:
    """Root mean squared error against the truth as it is, and against the truth capped."""
    data = engines_data()
    model = trained(data, seed)
    assert data.test.y is not None
    truth, told = data.test.y[:, 0], model.predict(data.test.x)
    lower, upper = model.predict_interval(data.test.x, 0.9)
    capped = np.minimum(truth, CAP)
    return {
        "RMSE, capped": float(root_mean_squared_error(capped, np.minimum(told, CAP))),
        "RMSE": float(root_mean_squared_error(truth, told)),
        "coverage of 90 %": float(np.mean((lower <= truth) & (truth <= upper))),
        "width of 90 %": float(np.mean(upper - lower)),
        "parameters": sum(weight.numel() for weight in model.network_.parameters()),
        "training seconds": round(sum(row["seconds"] for row in model.history_), 1),
    }


RECIPES = [
    Recipe(
        job="regress",
        name="remaining life of engines",
        setting="cmapss-fd001, last window of each of 100 test engines, life capped at 125; "
        "projection to 8, LSTM 64, windows of 30",
        measure="RMSE, capped",
        asked=14.5,
        lower_is_better=True,
        published="16.14 (deep LSTM, Zheng et al. 2017), 14.93 (LSTM, arXiv 2604.27234)",
        run=engines,
        minutes=0.3,
        folder="cmapss-fd001",
    )
]
