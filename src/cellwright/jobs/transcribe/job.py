"""How a run folder's transcription is done, from data to result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellwright.data.audio import Recordings
from cellwright.data.transcribed import (
    Transcribed,
    TranscribedDataset,
    read_transcribed,
    read_transcribed_samples,
)
from cellwright.errors import ArgumentError, DataError, SettingError
from cellwright.jobs.asked import Asked
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.features import check_test_features
from cellwright.jobs.job import Job
from cellwright.jobs.transcribe.error_rates import error_rates
from cellwright.jobs.transcribe.estimator import Span, Transcriber
from cellwright.jobs.transcribe.languages import next_symbol
from cellwright.look.alignment_picture import (
    draw_aligned_features,
    draw_aligned_strokes,
    draw_aligned_wave,
)
from cellwright.look.pictures import save_picture
from cellwright.storage import replace_file

__all__ = ["JOB"]

# Of `AudioFeatures`: from one window to the next, and from a window's start to where the ten
# milliseconds begin that are its middle.
_SECONDS_A_STEP, _FIRST_MIDDLE = 0.01, 0.0075
_PEN = (("x velocity", "y velocity", "pen force"), ("x step", "y step", "pen"))


@dataclass(frozen=True, eq=False)
class _Samples:
    """What a model is used on, and a language model that helps it, or None."""

    given: Transcribed
    language: Any


@dataclass(frozen=True, eq=False)
class _Data(TranscribedDataset):
    """Both parts, and a language model that helps, or None."""

    language: Any


class TranscribeJob(Job[Transcriber, _Data]):
    """Recordings, strokes or lines with their texts."""

    estimator = Transcriber
    files = ("alignment.png", "transcripts.csv")

    def read(self, asked: Asked) -> _Data:
        """Read what is learned from, and a test part."""
        asked.refuse_folder()
        language = _language(asked)
        data = read_transcribed(asked.source, **_of_data(asked.reading))
        check_test_features(data.name, data.train.x, data.test.x)
        return _Data(data.name, data.train, data.test, language)

    def facts(self, data: _Data) -> dict[str, Any]:
        """Numbers of samples, and of characters that can be written."""
        texts = data.train.texts or []
        return {
            "train": len(data.train),
            "test": len(data.test),
            "symbols": len(set("".join(texts))),
        }

    def remarks(self, data: _Data) -> list[str]:
        """Characters of the test that nobody could have learned."""
        known, asked = set("".join(data.train.texts or [])), set("".join(data.test.texts or []))
        odd = "".join(sorted(asked - known))
        said = f"the test part has characters that the training part lacks, all missed: {odd!r}"
        return [said] if odd else []

    def fit(self, model: Transcriber, data: _Data, hooks: Hooks) -> None:
        """Train on the training part."""
        assert data.train.texts is not None
        model.fit(data.train.x, data.train.texts, **hooks)

    def finish(self, model: Transcriber, data: _Data, folder: Path) -> dict[str, Any]:
        """Test, write the transcripts beside the truth, and draw where the first was heard."""
        said = _said(model, self.test_part(data))
        assert data.test.texts is not None
        table = pd.DataFrame({"id": data.test.ids, "truth": data.test.texts, "prediction": said})
        replace_file(folder / "transcripts.csv", table.to_csv(index=False))
        picture = _picture(model, data.test, said)
        if picture is not None:
            save_picture(picture, folder / "alignment.png")
        return error_rates(data.test.texts, said) | {"samples": len(said)}

    def read_samples(self, asked: Asked) -> _Samples:
        """Read what a trained model is used on."""
        asked.refuse_folder()
        language = _language(asked)
        given = read_transcribed_samples(asked.source, _of_data(asked.reading))
        return _Samples(given, language)

    def test_part(self, data: _Data) -> _Samples:
        """The test part of a run's own data."""
        return _Samples(data.test, data.language)

    def predictions(
        self, model: Transcriber, samples: _Samples, *, probabilities: bool
    ) -> pd.DataFrame:
        """A row a sample: id, prediction, and how probable what was found is, if asked."""
        found = model.found(samples.given.x, language_model=samples.language)
        columns = {"id": samples.given.ids, "prediction": [text for text, _ in found]}
        table: pd.DataFrame = pd.DataFrame(columns)
        if probabilities:
            table["probability"] = np.exp([log_probability for _, log_probability in found])
        return table

    def scores(self, model: Transcriber, samples: _Samples) -> tuple[dict[str, Any], str]:
        """Error rates, and the worst of the transcripts."""
        truth = samples.given.texts
        if truth is None:
            raise DataError("the data have no texts to score against")
        said = _said(model, samples)
        measures = error_rates(truth, said) | {"samples": len(said)}
        wrong = [f"  {a!r} for {b!r}" for a, b in zip(said, truth, strict=True) if a != b]
        lines = [
            f"character error rate {measures['character_error_rate']:.4f}",
            f"word error rate      {measures['word_error_rate']:.4f}",
            f"without an error     {measures['exact']:.4f} of {len(said)}",
            *(["such as", *wrong[:5]] if wrong else []),
        ]
        return measures, "\n".join(lines)


def _of_data(reading: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reading.items() if name != "language"}


def _language(asked: Asked) -> Any:
    """The language model that is asked for, or None; refused before anything is learned."""
    path = asked.reading["language"]
    if path is None:
        return None
    if asked.options["decoder"] != "beam":
        raise SettingError("language: takes part in a search only; add --decoder beam")
    from cellwright.jobs.runs.loading import load  # noqa: PLC0415 (loads every kind of model)

    model = load(path)
    try:
        next_symbol(model, ())
    except (ArgumentError, DataError) as error:
        raise SettingError(f"language={path!r}: {error}") from error
    return model


def _said(model: Transcriber, samples: _Samples) -> list[str]:
    return model.predict(samples.given.x, language_model=samples.language)


def _picture(model: Transcriber, test: Transcribed, said: list[str]) -> Figure | None:
    """Where the first text was found, aligned as the model heard it; None where it heard none."""
    row = next((row for row, text in enumerate(said) if text.strip()), None)
    if row is None:
        return None
    one = test.take(np.array([row]))
    spans = model.align(one.x, [said[row]])[0].spans
    assert test.texts is not None
    title = f"{said[row]} (truth: {test.texts[row]})"
    return draw(one.x, spans, title)


def draw(x: Any, spans: list[Span], title: str) -> Figure:
    """An alignment over the waveform, the strokes or the features of a single sample."""
    if isinstance(x, Recordings):
        first, step = _FIRST_MIDDLE, _SECONDS_A_STEP
        seconds = [(s, first + a * step, first + b * step) for s, a, b in spans]
        return draw_aligned_wave(x.waves[0], x.rate, seconds, title)
    steps = [(s, float(a), float(b)) for s, a, b in spans]
    if x.names in _PEN:
        return draw_aligned_strokes(x.values[0], steps, title)
    return draw_aligned_features(x.values[0], steps, title)


JOB = TranscribeJob()
