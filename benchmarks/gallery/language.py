"""The language model: Shakespeare, character by character, in two usual splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellwright.data.documents import TextDataset, divide_text
from cellwright.jobs import LanguageModel
from gallery.recipe import Recipe, data_folder

__all__ = ["LAST", "RECIPES", "TAILS", "shakespeare", "trained"]

_FOLDER = "tiny-shakespeare"
TAILS: dict[str, Any] = {
    "layers": [128, 128],
    "batch_size": 50,
    "steps": 64,
    "epochs": 13,
    "learning_rate": 7e-3,
    "dropout": 0.1,
}
LAST: dict[str, Any] = {
    "layers": [256, 256],
    "batch_size": 32,
    "steps": 64,
    "epochs": 12,
    "learning_rate": 4e-3,
    "dropout": 0.3,
    "weight_decay": 0.02,
}


def shakespeare(*, tails: bool) -> TextDataset:
    """The text, tested on the tails of 50 streams as char-rnn is, or on its last tenth."""
    source = str(data_folder(_FOLDER) / "input.txt.gz")
    if tails:
        return divide_text(source, tails=50, test_fraction=0.05)
    return divide_text(source, test_fraction=0.1)


def trained(data: TextDataset, seed: int, options: Mapping[str, Any]) -> LanguageModel:
    """A model that learned from all of the training part; nothing is chosen by the test part."""
    model = LanguageModel(random_state=seed, validation_fraction=0, **options)
    return model.fit(data.train)


def _measured(seed: int, options: Mapping[str, Any], *, tails: bool) -> Mapping[str, float]:
    data = shakespeare(tails=tails)
    model = trained(data, seed, options)
    return {
        "nats a character": -model.score(data.test),
        "bits a character": model.bits_per_character(data.test),
        "parameters": sum(weight.numel() for weight in model.network_.parameters()),
        "training seconds": round(sum(row["seconds"] for row in model.history_), 1),
    }


RECIPES = [
    Recipe(
        job="language",
        name="Shakespeare, tails of 50 streams",
        setting="tiny-shakespeare, the last 5 % of each of 50 equal parts; characters, 2 x 128",
        measure="nats a character",
        asked=1.41,
        run=lambda seed: _measured(seed, TAILS, tails=True),
        lower_is_better=True,
        published="1.40 (the same network in torch, measured)",
        seeds=(0,),
        minutes=5.0,
        folder=_FOLDER,
    ),
    Recipe(
        job="language",
        name="Shakespeare, last tenth",
        setting="tiny-shakespeare, the last 10 %; characters, 2 x 256",
        measure="nats a character",
        asked=1.53,
        run=lambda seed: _measured(seed, LAST, tails=False),
        lower_is_better=True,
        published="1.47 (nanoGPT, 10.7 M parameters), 1.555 (minLSTM)",
        seeds=(0,),
        minutes=15.0,
        folder=_FOLDER,
    ),
]
