"""What sequences are made of, and how they become numbers: features, words or sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cellwright.arguments import as_array
from cellwright.data import Sequences, as_sequences
from cellwright.data.audio import Recordings
from cellwright.data.audio_features import AudioFeatures
from cellwright.data.text_lines import Texts
from cellwright.errors import DataError, ShapeError
from cellwright.text import Vocabulary

__all__ = ["Inputs", "Kind", "given"]

Kind = Literal["numbers", "text", "sound"]
Given = Sequences | Texts | Recordings


def given(X: Any, options: Mapping[str, Any]) -> Given:  # noqa: N803
    """Samples as they were given, checked: numbers, texts or recordings.

    Parameters
    ----------
    X
        `Recordings`, or waves, (samples,) or (samples, 1) each, where the options have a
        ``sample_rate``: from -1 to 1, or the whole numbers of a WAV file; texts; or sequences
        of numbers.
    options
        Validated options.

    Raises
    ------
    DataError, ShapeError
        They are none of these, the message names the sample; or no waves of that sample rate.
    """
    rate = options["sample_rate"]
    if isinstance(X, Recordings):
        return X
    if isinstance(X, Texts) or _are_texts(X):
        if rate is not None:
            raise DataError(f"sample_rate={rate}: texts are no waves; leave it out")
        return X if isinstance(X, Texts) else Texts.of(X)
    return as_sequences(X) if rate is None else _waves(X, rate)


@dataclass(frozen=True, eq=False)
class Inputs:
    """How what was given becomes sequences that a network reads.

    Attributes
    ----------
    kind
        What is read.
    vocabulary
        Of texts: the number of each word.
    rate
        Of sound: samples a second.
    features
        At each step, if known.
    """

    kind: Kind
    vocabulary: Vocabulary | None = None
    rate: int | None = None
    features: int | None = None

    @classmethod
    def learned(
        cls, samples: Given, training: npt.NDArray[np.int64], options: Mapping[str, Any]
    ) -> Inputs:
        """What the training samples teach: words above all.

        Raises
        ------
        DataError
            Recordings have another sample rate than the options.
        """
        if isinstance(samples, Texts):
            vocabulary = Vocabulary.learn(
                samples.take(training),
                kind=options["vocabulary"],
                size=options["vocabulary_size"],
                least=options["least"],
                lowercase=options["lowercase"],
            )
            return cls("text", vocabulary=vocabulary, features=1)
        if isinstance(samples, Recordings):
            if (asked := options["sample_rate"]) not in (None, samples.rate):
                raise DataError(f"sample_rate={asked}: they were recorded at {samples.rate} Hz")
            return cls("sound", rate=samples.rate, features=_hearing(options).width)
        return cls("numbers", features=samples.features)

    def sequences(self, samples: Given, options: Mapping[str, Any]) -> Sequences:
        """Features at each step; of texts the number of the word, which is no feature.

        Raises
        ------
        DataError
            The samples are of another kind than what was learned, or of another sample rate.
        """
        kind: Kind = "numbers"
        if isinstance(samples, Texts):
            kind = "text"
        elif isinstance(samples, Recordings):
            kind = "sound"
        if kind != self.kind:
            hint = "; give sample_rate to read them as waves" if self.kind == "sound" else ""
            raise DataError(f"X: expected {self.kind}, as was learned from, got {kind}{hint}")
        if isinstance(samples, Texts):
            return self._numbered(samples)
        if isinstance(samples, Recordings):
            if samples.rate != self.rate:
                raise DataError(
                    f"X was sampled at {samples.rate} Hz, and {self.rate} Hz were learned from; "
                    f"bring recordings to one rate first"
                )
            return _hearing(options).of(samples)
        return as_sequences(samples, features=self.features)

    def _numbered(self, texts: Texts) -> Sequences:
        assert self.vocabulary is not None
        numbers = self.vocabulary.encode_all(texts.values)
        for number, found in enumerate(numbers):
            if not found:
                raise DataError(f"X[{number}] is an empty text")
        return Sequences([np.array(found, dtype=np.int64)[:, None] for found in numbers])  # type: ignore[misc]


def _hearing(options: Mapping[str, Any]) -> AudioFeatures:
    names = ("filters", "coefficients", "deltas", "normalized")
    chosen = {name: options[name] for name in names}
    if options["sound"] == "log_mel":  # which has no coefficients to be too many
        chosen["coefficients"] = min(chosen["coefficients"], chosen["filters"])
    return AudioFeatures(kind=options["sound"], **chosen)


def _are_texts(X: Any) -> bool:  # noqa: N803
    if isinstance(X, str) or not hasattr(X, "__len__") or getattr(X, "ndim", 1) == 0:
        return False
    if hasattr(X, "toarray"):  # a sparse matrix, which has no length
        return False
    if not len(X):
        return False
    if isinstance(X, np.ndarray) or hasattr(X, "to_numpy"):
        X = np.asarray(X)  # noqa: N806
        if X.ndim != 1 or X.dtype.kind in "biuf":
            return False
    return isinstance(next(iter(X)), str)


def _waves(X: Any, rate: int) -> Recordings:  # noqa: N803
    waves = []
    for number, value in enumerate(X):
        wave = np.asarray(as_array(value))
        if wave.ndim == 2 and wave.shape[1] == 1:
            wave = wave[:, 0]
        if wave.ndim != 1:
            raise ShapeError(
                f"X[{number}]: expected a wave (samples,), because there is a sample_rate; got "
                f"{wave.shape}"
            )
        if wave.dtype.kind not in "iuf":
            raise DataError(f"X[{number}]: expected numbers, got {wave.dtype}")
        if wave.dtype.kind != "f":
            wave = _of_file(wave, f"X[{number}]")
        wave = wave.astype(np.float32)
        if not np.isfinite(wave).all():
            at = int(np.argmin(np.isfinite(wave)))
            raise DataError(f"X[{number}]: sample {at} is not a finite number")
        if not len(wave) or (wave == wave[0]).all():
            raise DataError(f"X[{number}] is silent: it has no samples, or all are the same")
        waves.append(wave)
    if not waves:
        raise DataError("X is empty; give at least one wave")
    return Recordings(waves, rate, tuple(f"X[{n}]" for n in range(len(waves))), None)


def _of_file(wave: npt.NDArray[Any], name: str) -> npt.NDArray[np.float64]:
    """The whole numbers of a WAV file as samples from -1 to below 1, (samples,)."""
    if wave.dtype not in (np.uint8, np.int16, np.int32):
        raise DataError(
            f"{name}: whole numbers of {wave.dtype} do not tell how loud they are; give those of a "
            f"WAV file, in uint8, int16 or int32, or numbers from -1 to 1"
        )
    half = 2.0 ** (8 * wave.dtype.itemsize - 1)
    # Those of 8 bits have no sign: silence is 128.
    return wave / half - (wave.dtype == np.uint8)
