"""The transcriber: strings of spoken digits, and words as a pen wrote them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from cellwright.data.transcribed import TranscribedDataset, read_transcribed
from cellwright.jobs import Transcriber
from gallery.recipe import Recipe, data_folder

__all__ = ["DIGITS", "RECIPES", "WORDS", "digits_data", "words_data"]

DIGITS = {
    "layers": [48],
    "filters": 20,
    "stride": 6,
    "dropout": 0.2,
    "learning_rate": 0.015,
    "epochs": 8,
    "validation_fraction": 0,
}
WORDS = {
    "layers": [64],
    "stride": 8,
    "dropout": 0.1,
    "learning_rate": 0.01,
    "epochs": 10,
    "validation_fraction": 0,
}


def digits_data() -> TranscribedDataset:
    """3 to 7 digits a string; those of the test from the recordings 0 to 4 of each speaker."""
    source = data_folder("fsdd") / "fsdd-recordings.tar.gz"
    return read_transcribed(str(source), test_files="*_[0-4].wav", joined=2400)


def words_data() -> TranscribedDataset:
    """Words of the test are others, and written with the last fifth of the trajectories."""
    source = data_folder("character-trajectories") / "trajectories_train.mat"
    return read_transcribed(str(source), joined=1600)


def _learn(
    read: Callable[[], TranscribedDataset], options: Mapping[str, Any]
) -> Callable[[int], Mapping[str, float]]:
    def run(seed: int) -> Mapping[str, float]:
        data = read()
        assert data.train.texts is not None
        assert data.test.texts is not None
        model = Transcriber(**options, random_state=seed, threads=1)
        start = time.perf_counter()
        model.fit(data.train.x, data.train.texts)
        seconds = time.perf_counter() - start
        return {
            **model.error_rates(data.test.x, data.test.texts),
            "parameters": sum(weight.numel() for weight in model.network_.parameters()),
            "training seconds": round(seconds, 1),
        }

    return run


RECIPES = [
    Recipe(
        job="transcribe",
        name="strings of spoken digits",
        setting="fsdd, 2400 strings of 3 to 7 of recordings 5-49, 500 of recordings 0-4, pauses "
        "and noise (10 to 30 dB); 20 log-mel, bidirectional LSTM 2 x 48, 8 epochs",
        measure="character_error_rate",
        asked=0.05,
        lower_is_better=True,
        run=_learn(digits_data, DIGITS),
        minutes=1,
        folder="fsdd",
    ),
    Recipe(
        job="transcribe",
        name="handwritten words",
        setting="character-trajectories, first 80 % of letters for 1600 words and strings, last "
        "20 % for 500 times one of 115 other words; bidirectional LSTM 2 x 64, 10 epochs",
        measure="character_error_rate",
        asked=0.05,
        lower_is_better=True,
        run=_learn(words_data, WORDS),
        minutes=1,
        folder="character-trajectories",
    ),
]
