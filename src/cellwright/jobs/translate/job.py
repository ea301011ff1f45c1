"""Translating from data to result: what a run folder and the command line want."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cellwright.data.parallel_text import (
    ParallelData,
    ParallelText,
    read_parallel,
    read_parallel_samples,
)
from cellwright.errors import DataError
from cellwright.jobs.asked import Asked
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.job import Job
from cellwright.jobs.translate.estimator import Translator
from cellwright.jobs.translate.scores import translation_scores
from cellwright.look.attention_picture import draw_attention
from cellwright.look.pictures import save_picture
from cellwright.storage import replace_file

__all__ = ["JOB"]

_PICTURED = 3


class _Translate(Job[Translator, ParallelData]):
    """Pairs of texts in two files."""

    estimator = Translator
    files = ("attention.png", "translations.csv")

    def read(self, asked: Asked) -> ParallelData:
        return read_parallel(asked.source, asked.folder, **asked.reading)

    def facts(self, data: ParallelData) -> dict[str, Any]:
        return {"train": len(data.train), "test": len(data.test)}

    def fit(self, model: Translator, data: ParallelData, hooks: Hooks) -> None:
        held = data.validation
        validation = None if held is None or held.target is None else (held.source, held.target)
        model.fit(data.train.source, data.train.target or [], validation=validation, **hooks)

    def finish(self, model: Translator, data: ParallelData, folder: Path) -> dict[str, Any]:
        found = model.translate(data.test.source)
        told, truth = [each.text for each in found], data.test.target or []
        table = pd.DataFrame({"source": data.test.source, "target": truth, "translation": told})
        replace_file(folder / "translations.csv", table.to_csv(index=False))
        if found[0].weights is not None:
            save_picture(draw_attention(found[:_PICTURED]), folder / "attention.png")
        return translation_scores(told, truth) | {"samples": len(told)}

    def read_samples(self, asked: Asked) -> ParallelText:
        return read_parallel_samples(asked.source, asked.folder, **asked.reading)

    def test_part(self, data: ParallelData) -> ParallelText:
        return data.test

    def predictions(
        self, model: Translator, samples: ParallelText, *, probabilities: bool
    ) -> pd.DataFrame:
        found = model.translate(samples.source)
        columns: dict[str, Any] = {
            "id": list(range(len(found))),
            "prediction": [each.text for each in found],
        }
        if probabilities:
            columns["score"] = [each.score for each in found]
        table: pd.DataFrame = pd.DataFrame(columns)
        return table

    def scores(self, model: Translator, samples: ParallelText) -> tuple[dict[str, Any], str]:
        if samples.target is None:
            raise DataError("there are no translations to score against")
        measures = translation_scores(model.predict(samples.source), samples.target)
        report = (
            f"BLEU {measures['bleu']:.2f}, chrF {measures['chrf']:.2f}, exact match "
            f"{measures['exact_match']:.2%} on {len(samples)} texts ({measures['signature']})"
        )
        return measures | {"samples": len(samples)}, report


JOB = _Translate()
