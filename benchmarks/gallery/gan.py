"""Sequences that are made, judged by what is learned from them and by who can tell."""

from __future__ import annotations

from typing import Any

import cellwright as cw
from cellwright.data import Dataset
from cellwright.jobs import configure
from cellwright.jobs.gan import discriminative_score
from gallery.recipe import Recipe, data_folder

__all__ = ["RECIPES"]


def judged(data: Dataset, **options: Any) -> dict[str, float]:
    """Train on one part, make as many, and hold them against the other part."""
    model = cw.SequenceGAN(**options).fit(data.train.x)
    learned = model.train_on_synthetic(data.train.x, data.test.x)
    made = model.sample_like(data.test.x)
    weights = (*model.network_.generator.parameters(), *model.network_.discriminator.parameters())
    return {
        "synthetic to real": learned.ratio,
        "error from synthetic": learned.synthetic,
        "error from real": learned.real,
        "discriminative score": discriminative_score(data.test.x, made),
        "training seconds": sum(row["seconds"] for row in model.history_),
        "parameters": sum(weight.numel() for weight in weights),
    }


def sines(seed: int) -> dict[str, float]:
    """Two tones of chance and noise, made on the spot: others to learn from than to test on."""
    return judged(configure(job="gan", data="sines").read_data(), **SINES, random_state=seed)


def temperatures(seed: int) -> dict[str, float]:
    """Eight years of days to learn from, the last two to test on."""
    source = data_folder("timeseries-classic") / "daily-min-temperatures.csv"
    data = configure(job="gan", data=str(source)).read_data()
    return judged(data, **TEMPERATURES, random_state=seed)


SINES: dict[str, Any] = {"epochs": 28, "batch_size": 16}
TEMPERATURES: dict[str, Any] = {"epochs": 15, "batch_size": 32}
_MEASURE = "synthetic to real"

RECIPES = [
    Recipe(
        job="gan",
        name="two-tone sines",
        setting="2000 sequences of 24 steps, 1000 to test; GRU 48, discriminator GRU 2 x 48, 28 "
        "epochs; error of 3 one-step predictors (GRU 24), from synthetic over from real",
        measure=_MEASURE,
        asked=1.15,
        lower_is_better=True,
        run=sines,
        minutes=1.0,
    ),
    Recipe(
        job="gan",
        name="daily minimum temperatures",
        setting="Melbourne, windows of 24 days; 1981-1988 (2897) to learn from, 1989-1990 (707) to "
        "test; GRU 48, discriminator GRU 2 x 48, 15 epochs; predictors as above",
        measure=_MEASURE,
        asked=1.15,
        lower_is_better=True,
        run=temperatures,
        minutes=1.0,
        folder="timeseries-classic",
    ),
]
