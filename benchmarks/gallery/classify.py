"""The classifier: spoken digits, letters as a pen wrote them, and what a review says."""

from __future__ import annotations

import time
from collections.abc import Mapping

from cellwright.data.labelled_sources import LabelledData, read_labelled
from cellwright.jobs import SequenceClassifier
from gallery.recipe import Recipe, data_folder

__all__ = ["DIGITS", "LETTERS", "RECIPES", "REVIEWS", "digits_data", "letters_data", "reviews_data"]

DIGITS = {
    "bidirectional": True,
    "layers": [96],
    "pooling": "max",
    "deltas": 1,
    "dropout": 0.3,
    "epochs": 12,
    "validation_fraction": 0,
}
LETTERS = {
    "bidirectional": True,
    "layers": [96],
    "batch_size": 16,
    "learning_rate": 5e-3,
    "epochs": 40,
    "validation_fraction": 0,
}
REVIEWS = {
    "bidirectional": True,
    "layers": [64],
    "pooling": "mean",
    "vocabulary": "tokens",
    "least": 2,
    "embedding": 64,
    "dropout": 0.5,
    "word_dropout": 0.3,
    "learning_rate": 1e-3,
    "epochs": 8,
    "validation_fraction": 0,
}


def digits_data() -> LabelledData:
    """Ten digits, six speakers; the recordings 0 to 4 of each are the test, as is usual."""
    source = data_folder("fsdd") / "fsdd-recordings.tar.gz"
    return read_labelled(str(source), test_files="*_[0-4].wav")


def letters_data() -> LabelledData:
    """Twenty letters by one writer; the last fifth is the test."""
    source = data_folder("character-trajectories") / "trajectories_train.mat"
    return read_labelled(str(source), split="last")


def reviews_data() -> LabelledData:
    """Sentences of film reviews, without phrases; the dev part was used for choices alone."""
    source = data_folder("sst2") / "stsa.binary.train.gz"
    return read_labelled(str(source), test="stsa.binary.test.gz")


def _measured(data: LabelledData, options: Mapping[str, object], seed: int) -> dict[str, float]:
    model = SequenceClassifier(random_state=seed, threads=1, **options)
    start = time.perf_counter()
    model.fit(data.train.x, data.train.y)
    seconds = time.perf_counter() - start
    return {
        "accuracy": model.score(data.test.x, data.test.y),
        "parameters": sum(weight.numel() for weight in model.network_.parameters()),
        "seconds of fit": round(seconds, 1),
    }


RECIPES = [
    Recipe(
        job="classify",
        name="spoken digits",
        setting="fsdd, recordings 0-4 test (300 of 3000); bidirectional LSTM 2 x 96 on log-mel",
        measure="accuracy",
        asked=0.97,
        run=lambda seed: _measured(digits_data(), DIGITS, seed),
        minutes=0.5,
        folder="fsdd",
    ),
    Recipe(
        job="classify",
        name="letters of a pen",
        setting="character-trajectories, last fifth test (286 of 1429); bidirectional LSTM 2 x 96",
        measure="accuracy",
        asked=0.985,
        run=lambda seed: _measured(letters_data(), LETTERS, seed),
        minutes=1.0,
        folder="character-trajectories",
    ),
    Recipe(
        job="classify",
        name="film reviews",
        setting="sst2, 6920 sentences, test 1821; embedding 64, bidirectional LSTM 2 x 64",
        measure="accuracy",
        asked=0.80,
        published="0.827 (CNN-rand, Kim 2014, which learns from phrases too)",
        run=lambda seed: _measured(reviews_data(), REVIEWS, seed),
        minutes=0.5,
        folder="sst2",
    ),
]
