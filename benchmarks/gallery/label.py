"""The labeller: tags of words, a room that is occupied or not, digits under noise."""

from __future__ import annotations

from collections.abc import Mapping

from cellwright.data.step_data import StepDataset, read_step_data
from cellwright.data.step_tables import StepColumns
from cellwright.jobs import SequenceLabeler
from cellwright.jobs.registry import job_of
from gallery.recipe import Recipe, data_folder

__all__ = ["RECIPES"]

TAGS = {
    "layers": [128],
    "embedding": 100,
    "spelling": 64,
    "dropout": 0.4,
    "word_dropout": 0.1,
    "epochs": 6,
    "learning_rate": 3e-3,
}
ROOM = {
    "layers": [32],
    "window": 30,
    "validation_fraction": 0,
    "epochs": 20,
    "batch_size": 4,
}
DIGITS = {
    "layers": [128],
    "projection": 128,
    "picture_size": [28, 28],
    "picture_filters": [16, 32],
    "scaling": "global",
    "validation_fraction": 0.02,
    "epochs": 2,
}


def tags(seed: int) -> Mapping[str, float]:
    """Universal part-of-speech tags; the dev part is watched, the test part seen once."""
    return _measured(read_step_data(str(data_folder("ud-english-ewt"))), TAGS, seed)


def room(seed: int) -> Mapping[str, float]:
    """Whether a room is occupied, minute by minute; the lower of the two test files counts."""
    data = read_step_data(
        str(data_folder("occupancy-detection") / "datatraining.txt.gz"),
        columns=StepColumns(labels=("Occupancy",)),
        test=["datatest.txt.gz", "datatest2.txt.gz"],
    )
    found = dict(_measured(data, ROOM, seed))
    return found | {"lower accuracy": min(found["accuracy_datatest"], found["accuracy_datatest2"])}


def digits(seed: int) -> Mapping[str, float]:
    """Which digit each of 20 frames shows, with noise of 0.3 of the range from black to white."""
    return _measured(read_step_data("mnist-clips", data_folder("mnist")), DIGITS, seed)


def _measured(data: StepDataset, options: Mapping[str, object], seed: int) -> dict[str, float]:
    model = SequenceLabeler(random_state=seed, **options)
    job = job_of("label")
    job.fit(model, data, {})
    measures, _ = job.scores(model, data.test)
    weights = sum(weight.numel() for weight in model.network_.parameters())
    seconds = sum(row["seconds"] for row in model.history_)
    return measures | {"parameters": weights, "training seconds": round(seconds, 1)}


RECIPES = [
    Recipe(
        job="label",
        name="universal tags of English",
        setting="UD English EWT, its own parts; embedding 100, letters' LSTM 2 x 64, LSTM 2 x 128, "
        "6 epochs, from scratch",
        measure="accuracy",
        asked=0.93,
        published="0.969: spaCy's en_udv25_englishewt_trf, a pretrained transformer, UD 2.5",
        run=tags,
        minutes=3,
        folder="ud-english-ewt",
    ),
    Recipe(
        job="label",
        name="room occupancy",
        setting="pieces of 30 minutes, LSTM 2 x 32, 20 epochs; the worse test file counts",
        measure="lower accuracy",
        asked=0.97,
        published="0.95 to 0.99: LDA, CART, random forests (Candanedo and Feldheim 2016)",
        run=room,
        minutes=1,
        folder="occupancy-detection",
    ),
    Recipe(
        job="label",
        name="digits in noisy clips",
        setting="clips of MNIST, 20 frames, a change with chance 0.2 a frame, noise "
        "0.3; 12,000 clips of training pictures, 2,000 of test pictures; two convolutions (16, 32 "
        "filters), LSTM 2 x 128, 2 epochs",
        measure="accuracy",
        asked=0.97,
        run=digits,
        minutes=3,
        folder="mnist",
    ),
]
