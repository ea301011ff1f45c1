"""The job of a language model, from data to result."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from cellwright.data.documents import TextDataset, divide_text, read_documents
from cellwright.errors import DataError
from cellwright.jobs.asked import Asked
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.job import Job
from cellwright.jobs.language.estimator import LanguageModel
from cellwright.jobs.language.measuring import perplexity_of
from cellwright.jobs.language.tokens import characters_of, token_text, tokens_of
from cellwright.look.language_picture import draw_bits, draw_next_tokens
from cellwright.look.pictures import save_picture
from cellwright.storage import replace_file

__all__ = ["JOB", "next_tokens_picture"]

_SHOWN, _SAMPLE = 60, 1000  # tokens in the picture, and in the sample
_NO_FOLDER = "text comes from one file; give its path with --data, not a folder"


class _Language(Job[LanguageModel, TextDataset]):
    """Text, the last part of which is the test."""

    estimator = LanguageModel
    files = ("bits_per_character.png", "next_tokens.png", "sample.txt")

    def read(self, asked: Asked) -> TextDataset:
        asked.refuse_folder(_NO_FOLDER)
        return divide_text(asked.source, **asked.reading)

    def facts(self, data: TextDataset) -> dict[str, Any]:
        return {
            "train": characters_of(data.train),
            "test": characters_of(data.test),
            "texts": len(data.train),
        }

    def fit(self, model: LanguageModel, data: TextDataset, hooks: Hooks) -> None:
        model.fit(data.train, **hooks)

    def finish(self, model: LanguageModel, data: TextDataset, folder: Path) -> dict[str, Any]:
        measures, _ = self.scores(model, data.test)
        characters = characters_of(data.test) / measures["tokens"]
        picture = draw_bits(model.history_, 1 / (math.log(2) * characters), measures)
        save_picture(picture, folder / "bits_per_character.png")
        # Blanks alone are no words, and nothing would be expected of them.
        shown = next(text for text in data.test if text.strip())
        save_picture(next_tokens_picture(model, shown), folder / "next_tokens.png")
        sample = model.generate(length=_SAMPLE, temperature=0.8, random_state=0)
        replace_file(folder / "sample.txt", sample + "\n")
        return measures

    def read_samples(self, asked: Asked) -> list[str]:
        asked.refuse_folder(_NO_FOLDER)
        if asked.source == "descriptions":
            return divide_text(asked.source, **asked.reading).test
        return read_documents(asked.source, asked.reading["documents"])

    def test_part(self, data: TextDataset) -> list[str]:
        return data.test

    def predictions(
        self, model: LanguageModel, samples: list[str], *, probabilities: bool
    ) -> pd.DataFrame:
        chances = model.predict_proba(samples)
        best = chances.argmax(1)
        named = [token_text(model.vocabulary_, int(token)) for token in best]
        table: pd.DataFrame = pd.DataFrame({"id": range(len(samples)), "prediction": named})
        if probabilities:
            table["probability"] = chances.max(1)
        return table

    def scores(self, model: LanguageModel, samples: list[str]) -> tuple[dict[str, Any], str]:
        nats, counts = model.nats(samples)
        tokens = int(counts.sum())
        if not tokens:
            raise DataError("there is no token in the data that could be scored")
        mean, characters = float(nats.sum()) / tokens, characters_of(samples)
        measures = {
            "nats_per_token": mean,
            "perplexity": perplexity_of(mean),
            "bits_per_character": float(nats.sum()) / math.log(2) / characters,
            "tokens": tokens,
            "unknown": _unknown(model, samples),
        }
        report = (
            f"{mean:.4f} nats a token, perplexity {measures['perplexity']:.3f}, "
            f"{measures['bits_per_character']:.4f} bits a character on {tokens} tokens in "
            f"{len(samples)} texts, {measures['unknown']} of them unknown"
        )
        return measures, report


def _unknown(model: LanguageModel, texts: list[str]) -> int:
    vocabulary = model.vocabulary_
    return sum(int((tokens_of(vocabulary, text) == vocabulary.unknown).sum()) for text in texts)


def next_tokens_picture(model: LanguageModel, text: str) -> Figure:
    """What the model expects at each of the first tokens of a text."""
    tokens = tokens_of(model.vocabulary_, text)[: _SHOWN + 1].tolist()
    stream = model.open_stream()
    scores = torch.stack([torch.from_numpy(stream.step([t])[0].copy()) for t in tokens[:-1]])
    chances = scores.double().softmax(1).numpy()
    names = [token_text(model.vocabulary_, token) for token in range(len(model.vocabulary_))]
    return draw_next_tokens(names, tokens[1:], chances)


JOB = _Language()
