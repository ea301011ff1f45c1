"""The translator: German captions of pictures into English, and numbers in words."""

from __future__ import annotations

from collections.abc import Mapping

from cellwright.data.parallel_text import ParallelData, read_parallel
from cellwright.jobs.translate import JOB, Translator
from cellwright.jobs.translate.scores import translation_scores
from gallery.recipe import Recipe, data_folder

__all__ = ["RECIPES"]

CAPTIONS = {
    "cell": "gru",
    "layers": [384],
    "encoder_layers": [256],
    "embedding": 256,
    "vocabulary_size": 5000,
    "dropout": 0.3,
    "attention": "bahdanau",
    "epochs": 4,
    "learning_rate": 2e-3,
    "precision": "bf16-mixed",
}


def captions(seed: int) -> Mapping[str, float]:
    """Multi30k; the validation part is watched, test_2016_flickr is seen once."""
    data = read_parallel(str(data_folder("multi30k-en-de")), source="de", target="en")
    return _measured(data, Translator(random_state=seed, **CAPTIONS))


def numbers(seed: int) -> Mapping[str, float]:
    """What `cellwright fit translate` does by itself."""
    data = read_parallel("numbers", source="en", target="fr")
    return _measured(data, Translator(random_state=seed))


def _measured(data: ParallelData, model: Translator) -> dict[str, float]:
    JOB.fit(model, data, {})
    assert data.test.target is not None
    found = translation_scores(model.predict(data.test.source), data.test.target)
    found["parameters"] = sum(weight.numel() for weight in model.network_.parameters())
    return {name: value for name, value in found.items() if not isinstance(value, str)}


RECIPES = [
    Recipe(
        job="translate",
        name="multi30k, German to English",
        setting="29,000 pairs, test_2016_flickr, 5,000 subwords a side, GRU 2 x 256 and 384 with "
        "additive attention, 4 epochs; BLEU nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp",
        measure="bleu",
        asked=26.0,
        run=captions,
        published="28.3 (a network of 20 M weights, hours)",
        seeds=(0,),
        minutes=15,
        folder="multi30k-en-de",
    ),
    Recipe(
        job="translate",
        name="numbers in words, English to French",
        setting="6,000 numbers below a million, 1,000 others for the test",
        measure="exact_match",
        asked=0.95,
        run=numbers,
        seeds=(0, 1, 2),
        minutes=2,
    ),
]
