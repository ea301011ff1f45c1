"""What the ear makes of sound: log-mel energies and MFCCs, ten milliseconds a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cellwright.data.audio import Recordings
from cellwright.data.sequences import Sequences, as_sequences
from cellwright.errors import DataError, SettingError, ShapeError, require_extra

__all__ = ["AudioFeatures"]

_LEAST_SPREAD = 1e-3


@dataclass(frozen=True, kw_only=True)
class AudioFeatures:
    r"""Turns waves into sequences of log-mel energies or mel-frequency cepstral coefficients.

    With \(P_t(f)\) the power spectrum of the window at step \(t\) and \(M_b\) the triangular
    filter \(b\) on the mel scale, log-mel is \(\log \sum_f M_b(f) P_t(f)\), and MFCC the first
    coefficients of its discrete cosine transform. Computed by kaldi-native-fbank, without
    dither, so that the same sound gives the same numbers.

    Parameters
    ----------
    kind
        "log_mel" or "mfcc".
    filters
        Mel filters: the features of log-mel.
    coefficients
        Cepstral coefficients: the features of MFCC.
    window, step
        Length of a window and distance between two, in milliseconds.
    deltas
        Append the slope of each feature over five steps (1), and the slope's slope too (2).
    normalized
        "recording" brings each feature of each recording to mean 0 and spread 1; "mean" to mean
        0; "none" leaves them, which a stream needs.

    Examples
    --------
    >>> import numpy as np
    >>> from cellwright.data.audio_features import AudioFeatures
    >>> wave = np.sin(np.arange(8000) / 3).astype(np.float32)  # a second
    >>> AudioFeatures(filters=20, deltas=1)(wave, rate=8000).shape
    (98, 40)

    References
    ----------
    Davis and Mermelstein, IEEE Trans. ASSP 28 (1980); Furui, IEEE Trans. ASSP 34 (1986).
    """

    kind: Literal["log_mel", "mfcc"] = "log_mel"
    filters: int = 40
    coefficients: int = 13
    window: float = 25.0
    step: float = 10.0
    deltas: int = 0
    normalized: Literal["recording", "mean", "none"] = "recording"

    def __post_init__(self) -> None:
        """Check every number, so that a mistake is told before any file is read."""
        checks = {
            "kind": self.kind in ("log_mel", "mfcc"),
            "filters": 4 <= self.filters <= 256,
            "coefficients": self.kind != "mfcc" or 2 <= self.coefficients <= self.filters,
            "window": 1 <= self.window <= 1000,
            "step": 1 <= self.step <= self.window,
            "deltas": self.deltas in (0, 1, 2),
            "normalized": self.normalized in ("recording", "mean", "none"),
        }
        for name, good in checks.items():
            if not good:
                raise SettingError(f"{name}={getattr(self, name)!r}: {_ALLOWED[name]}")

    @property
    def width(self) -> int:
        """Features at each step."""
        own = self.filters if self.kind == "log_mel" else self.coefficients
        return own * (1 + self.deltas)

    def __call__(
        self, wave: npt.NDArray[np.float32], rate: int, name: str = "the wave"
    ) -> npt.NDArray[np.float32]:
        """Features of one wave, (samples,) -> (time, width).

        Raises
        ------
        DataError
            The wave is shorter than a window, or a sample is no number of a sensible size.
        ShapeError
            The wave has not one axis.
        SettingError
            There are more filters than the window can tell apart at this rate.
        """
        require_extra("audio", "kaldi_native_fbank")
        self.check(wave, rate, name)
        try:
            computer = self._computer(rate)
        except ValueError as error:
            raise SettingError(
                f"filters={self.filters}: are too many for windows of {self.window:g} ms at "
                f"{rate} Hz, some would hear nothing; give fewer filters or a longer window"
            ) from error
        computer.accept_waveform(rate, wave.tolist())
        computer.input_finished()
        frames = np.stack([computer.get_frame(t) for t in range(computer.num_frames_ready)])
        return self._finished(frames)

    def check(self, wave: npt.NDArray[np.float32], rate: int, name: str = "the wave") -> None:
        """Complain about a wave that has no features; errors are those of calling this."""
        if np.ndim(wave) != 1:
            raise ShapeError(f"{name}: expected a wave (samples,), got {np.shape(wave)}")
        # Squares of samples are added up in single precision.
        if len(wave) and not np.abs(wave).max() < _LOUDEST:
            raise DataError(
                f"{name}: a sample is not a number, or none between -{_LOUDEST:g} and {_LOUDEST:g}"
            )
        if len(wave) * 1000 < self.window * rate:
            raise DataError(
                f"{name}: {len(wave)} samples at {rate} Hz are less than a window of "
                f"{self.window:g} ms"
            )

    def of(self, recordings: Recordings) -> Sequences:
        """Features of all recordings, one sequence each."""
        pairs = zip(recordings.waves, recordings.names, strict=True)
        return self.of_waves([wave for wave, _ in pairs], recordings.rate, recordings.names)

    def of_waves(
        self,
        waves: Sequence[npt.NDArray[np.float32]],
        rate: int,
        names: Sequence[str] | None = None,
    ) -> Sequences:
        """Features of all waves, one sequence each; errors call them by their names."""
        names = names or [f"waves[{number}]" for number in range(len(waves))]
        return as_sequences(
            [self(wave, rate, name) for wave, name in zip(waves, names, strict=True)]
        )

    def _computer(self, rate: int) -> Any:
        import kaldi_native_fbank as kaldi  # noqa: PLC0415 (an extra)

        options = kaldi.FbankOptions() if self.kind == "log_mel" else kaldi.MfccOptions()
        options.frame_opts.samp_freq = rate
        options.frame_opts.frame_length_ms = self.window
        options.frame_opts.frame_shift_ms = self.step
        options.frame_opts.dither = 0
        options.mel_opts.num_bins = self.filters
        if self.kind == "log_mel":
            return kaldi.OnlineFbank(options)
        options.num_ceps = self.coefficients
        options.use_energy = False
        return kaldi.OnlineMfcc(options)

    def _finished(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        import kaldi_native_fbank as kaldi  # noqa: PLC0415 (an extra)

        if self.deltas:
            slopes = kaldi.DeltaOptions(order=self.deltas, window=2)
            frames = np.asarray(kaldi.compute_deltas(slopes, frames))
        if self.normalized != "none":
            frames = frames - frames.mean(axis=0)
        if self.normalized == "recording":
            # What hardly changes, as a filter above all of the sound, must not be blown up.
            frames = frames / np.maximum(frames.std(axis=0), _LEAST_SPREAD)
        return frames.astype(np.float32)


_LOUDEST = 1e12
_ALLOWED = {
    "kind": "must be log_mel or mfcc",
    "filters": "must lie between 4 and 256",
    "coefficients": "must be at least 2, and at most the number of filters",
    "window": "must lie between 1 and 1000 milliseconds",
    "step": "must be at least 1 millisecond, and at most a window",
    "deltas": "must be 0, 1 or 2",
    "normalized": "must be recording, mean or none",
}
