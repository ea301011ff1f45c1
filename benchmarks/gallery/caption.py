"""The captioner: what stands where in a picture of two digits that never stood together before."""

from __future__ import annotations

import time
from collections.abc import Mapping

from cellwright.data.captioned import CaptionedDataset
from cellwright.data.scenes import mnist_scenes
from cellwright.jobs import Captioner
from gallery.recipe import Recipe, data_folder

__all__ = ["OPTIONS", "RECIPES", "scenes_data"]

OPTIONS = {"epochs": 8}
_SCENES = 20_000


def scenes_data() -> CaptionedDataset:
    """Two of MNIST's digits; the test has other scans, and 20 pairs that no other scene shows."""
    return mnist_scenes(data_folder("mnist"), train=_SCENES, test=2000)


def _measured(data: CaptionedDataset, options: Mapping[str, object], seed: int) -> dict[str, float]:
    model = Captioner(random_state=seed, threads=1, **options)
    start = time.perf_counter()
    model.fit(data.train.pictures, data.train.captions)
    seconds = time.perf_counter() - start
    return {
        "exact match": model.score(data.test.pictures, data.test.captions),
        "BLEU": model.bleu(data.test.pictures, data.test.captions),
        "parameters": sum(weight.numel() for weight in model.network_.parameters()),
        "seconds of fit": round(seconds, 1),
    }


RECIPES = [
    Recipe(
        job="caption",
        name="what stands where",
        setting=(
            "20,000 scenes of two of MNIST's training digits; test 2,000 scenes of its test "
            "digits in 20 held-out pairs of 100; 8 epochs"
        ),
        measure="exact match",
        asked=0.95,
        run=lambda seed: _measured(scenes_data(), OPTIONS, seed),
        seeds=(0,),
        minutes=6.0,
        folder="mnist",
    )
]
