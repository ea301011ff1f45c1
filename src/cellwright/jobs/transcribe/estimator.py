"""The estimator that writes down what it hears or sees written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from typing_extensions import Unpack

from cellwright.data import Batch, Sequences, as_sequences, batches
from cellwright.data.audio import Recordings
from cellwright.data.audio_features import AudioFeatures
from cellwright.errors import DataError, ModelFileError, SettingError
from cellwright.jobs.estimator import Estimator, Facts, Hooks, digest
from cellwright.jobs.features import in_order
from cellwright.jobs.options.base import NETWORK
from cellwright.jobs.options.transcribe import TranscriberOptions
from cellwright.jobs.training.dividing import divide
from cellwright.jobs.training.scaling import check_range, set_scaling
from cellwright.jobs.transcribe.error_rates import error_rates
from cellwright.jobs.transcribe.examples import CtcLoss, Transcripts
from cellwright.jobs.transcribe.languages import CharacterModel, next_symbol
from cellwright.jobs.transcribe.stream import TextStream
from cellwright.jobs.transcribe.texts import check_steps, checked_texts, numbered
from cellwright.models.ctc import Found, NextSymbol, align, collapse, prefix_beam
from cellwright.models.transcriber import TranscriberNetwork

__all__ = ["Alignment", "Span", "Transcriber", "TranscriberFacts"]

_PREDICTION_BATCH = 64


class TranscriberFacts(Facts):
    """What a trained transcriber knows beside its weights."""

    symbols: Annotated[list[Annotated[str, Field(min_length=1, max_length=1)]], Field(min_length=1)]
    features: Annotated[int, Field(ge=1, le=2**20)]
    feature_names: list[str] | None = None
    rate: Annotated[int | None, Field(ge=1)] = None


class Span(NamedTuple):
    """A symbol of a text, and where it stands: its first step, and the one behind its last."""

    symbol: str
    start: int
    end: int


class Alignment(NamedTuple):
    """Where each symbol of a text stands in a sequence, and how probable that path is."""

    spans: list[Span]
    log_probability: float


@dataclass(kw_only=True, eq=False, repr=False)
class Transcriber(TranscriberOptions, Estimator):
    """Write down what sequences say, learned from texts that nobody has aligned (CTC).

    Sequences are a list of arrays (time, features) of any lengths, such as strokes; or
    `Recordings`, of which features are computed as the options say. Every option is a keyword
    argument. Symbols are the characters of the texts.

    Attributes
    ----------
    symbols_
        The characters that it can write, sorted.
    n_features_in_
        Features at each step.
    feature_names_in_
        Their names; only there if the data had names.
    rate_
        Sample rate of the recordings that it learned from; None for other sequences.
    network_
        The trained `TranscriberNetwork`.
    history_
        A row of measures for each epoch.

    Examples
    --------
    >>> import cellwright as cw, numpy as np
    >>> def steps(text):  # each character some steps of its own direction
    ...     return np.concatenate([np.eye(3)["ab ".index(c)] + np.zeros((4, 3)) for c in text])
    >>> texts = ["ab", "ba", "a b", "b a", "aba", "bab"] * 8
    >>> scribe = cw.Transcriber(layers=[16], epochs=30, learning_rate=0.02, validation_fraction=0)
    >>> scribe = scribe.fit([steps(text) for text in texts], texts)
    >>> scribe.predict([steps("ab a")])
    ['ab a']
    """

    job = "transcribe"
    facts_type = TranscriberFacts
    prediction_batch = _PREDICTION_BATCH

    def fit(self, X: Any, texts: Sequence[str], **hooks: Unpack[Hooks]) -> Transcriber:  # noqa: N803
        """Learn from sequences and what they say.

        Parameters
        ----------
        X
            Sequences or recordings, as the class describes them.
        texts
            A text for each, not empty.
        **hooks
            Checkpoints, resuming and reports, see `Hooks`.

        Raises
        ------
        DataError, ShapeError, SettingError, TrainingError
            Data or options cannot be used, as where a sequence has too few steps for its text;
            the message says which and why.
        """
        options = self.options()
        rate = X.rate if isinstance(X, Recordings) else None
        sequences = as_sequences(_computed(X, options))
        known = checked_texts(texts, len(sequences))
        symbols = sorted(set("".join(known)))
        targets = numbered(known, symbols)
        check_steps(sequences, targets, known, options["stride"])
        everything = Transcripts(sequences, targets)
        rows, watched = divide(len(sequences), options)
        training = everything.take(rows)
        self.knows(
            TranscriberFacts(
                symbols=symbols,
                features=sequences.features,
                feature_names=None if sequences.names is None else list(sequences.names),
                rate=rate,
            )
        )
        self.network_ = self.new_network(options, self.facts_)
        set_scaling(self.network_, training.x, options["scaling"])
        check_range(sequences, self.network_, options)
        self.learn(
            CtcLoss(),
            training,
            None if watched is None else everything.take(watched),
            identity=digest(options, sequences.fingerprint, known),
            hooks=hooks,
        )
        return self

    def predict(self, X: Any, *, language_model: CharacterModel | None = None) -> list[str]:  # noqa: N803
        """The text of each sequence, found as the option `decoder` says.

        Parameters
        ----------
        X
            Sequences or recordings.
        language_model
            For the decoder "beam": what says which character may come next, see
            `cellwright.jobs.transcribe.languages`.
        """
        return [text for text, _ in self.found(X, language_model=language_model)]

    def found(
        self,
        X: Any,  # noqa: N803
        *,
        language_model: CharacterModel | None = None,
    ) -> list[tuple[str, float]]:
        """The text of each sequence, and the log-probability of the paths that led to it."""
        options = self.options()
        if language_model is not None and options["decoder"] != "beam":
            raise SettingError("a language model takes part in a search only: decoder='beam'")
        language = None if language_model is None else next_symbol(language_model, self.symbols_)
        return [
            (self._text(found.symbols), found.log_probability)
            for found in (_decoded(s, options, language) for s in self.predict_log_proba(X))
        ]

    def predict_log_proba(self, X: Any) -> list[npt.NDArray[np.floating[Any]]]:  # noqa: N803
        """Log-probabilities of the blank and each symbol, (steps / stride, symbols + 1) each."""
        sequences = self._features(X)
        check_range(sequences, self.network_, self.options())
        order = np.argsort(sequences.lengths, kind="stable")

        def scores(network: TranscriberNetwork, batch: Batch) -> list[Any]:
            lengths = network.output_lengths(batch.lengths).tolist()
            rows = network(batch.x, batch.lengths).cpu().numpy()
            return [row[:length] for row, length in zip(rows, lengths, strict=True)]

        found = self.answers(batches(sequences, _PREDICTION_BATCH, order=order), scores)
        flat = [row for rows in found for row in rows]
        return [flat[place] for place in np.argsort(order)]

    def score(self, X: Any, texts: Sequence[str]) -> float:  # noqa: N803
        """One less the character error rate over all texts; below zero where most is wrong."""
        return 1 - self.error_rates(X, texts)["character_error_rate"]

    def error_rates(
        self,
        X: Any,  # noqa: N803
        texts: Sequence[str],
        *,
        language_model: CharacterModel | None = None,
    ) -> dict[str, float]:
        """Character and word error rate, and the share of texts without an error."""
        said = self.predict(X, language_model=language_model)
        return error_rates(checked_texts(texts, len(said)), said)

    def align(self, X: Any, texts: Sequence[str]) -> list[Alignment]:  # noqa: N803
        """Where each character of the texts stands, by the most probable path (Viterbi).

        Parameters
        ----------
        X
            Sequences or recordings.
        texts
            What each says.

        Returns
        -------
        list of Alignment
            Spans in steps of the sequences; a recording has one each 10 ms.

        Raises
        ------
        DataError
            A character was never seen in training, or there are too few steps for a text.
        """
        sequences = self._features(X)
        scores = self.predict_log_proba(sequences)
        known = checked_texts(texts, len(scores))
        targets = numbered(known, self.symbols_)
        stride, found = self.options()["stride"], []
        for number, (row, target) in enumerate(zip(scores, targets, strict=True)):
            try:
                spans, log_probability = align(row, target)
            except DataError as error:
                raise DataError(f"X[{number}]: {error} ({known[number]!r})") from error
            named = zip(known[number], spans, strict=True)
            last = int(sequences.lengths[number])
            found.append(
                Alignment(
                    [Span(s, a * stride, min(b * stride, last)) for s, (a, b) in named],
                    log_probability,
                )
            )
        return found

    def stream(self) -> TextStream:
        """Open a stream that writes while the steps come in.

        Raises
        ------
        SettingError
            The network is bidirectional.
        """
        check_is_fitted(self, "network_")
        return TextStream(self.network_, self.symbols_, self.facts_.feature_names)

    def knows(self, facts: TranscriberFacts) -> None:
        """Take over what was learned beside weights."""
        super().knows(facts)
        self.symbols_ = list(facts.symbols)
        self.n_features_in_, self.rate_ = facts.features, facts.rate
        if facts.feature_names is not None:
            self.feature_names_in_ = np.array(facts.feature_names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: TranscriberFacts, tensors: Mapping[str, Tensor]
    ) -> None:
        """No symbol stands there twice, and names are as many as features."""
        if len(set(facts.symbols)) != len(facts.symbols):
            raise ModelFileError("a symbol stands there twice")
        names = facts.feature_names
        if names is not None and not len(names) == len(set(names)) == facts.features:
            raise ModelFileError(f"{len(names)} names cannot be those of {facts.features} features")
        weights = sum(tensor.numel() for tensor in tensors.values())
        if (options["convolution"] or 0) > weights:
            raise ModelFileError(f"{options['convolution']} filters cannot be made of {weights}")

    @staticmethod
    def build_network(options: Mapping[str, Any], facts: TranscriberFacts) -> TranscriberNetwork:
        """The untrained network that validated options and facts describe."""
        names = (*NETWORK, "stride", "convolution")
        chosen = {name: options[name] for name in names}
        return TranscriberNetwork(facts.features, len(facts.symbols) + 1, **chosen)

    def _features(self, X: Any) -> Sequences:  # noqa: N803
        """Sequences as the network learned them, computed where recordings are given."""
        check_is_fitted(self, "network_")
        heard = isinstance(X, Recordings) and len(X) > 0
        if heard and self.rate_ is not None and X.rate != self.rate_:
            raise DataError(
                f"the recordings, such as {X.names[0]!r}, have {X.rate} Hz, but the model learned "
                f"from {self.rate_} Hz; bring them to that rate"
            )
        X = _computed(X, self.options())  # noqa: N806
        if hasattr(self, "feature_names_in_"):
            X = in_order(X, self.feature_names_in_.tolist())  # noqa: N806
        return as_sequences(X, features=self.n_features_in_)

    def _text(self, symbols: Sequence[int]) -> str:
        return "".join(self.symbols_[symbol - 1] for symbol in symbols)


def _computed(X: Any, options: Mapping[str, Any]) -> Any:  # noqa: N803
    """Features of recordings; anything else as it is."""
    if not isinstance(X, Recordings):
        return X
    return AudioFeatures(
        kind=options["sound"],
        filters=options["filters"],
        coefficients=options["coefficients"],
        deltas=options["deltas"],
        normalized=options["normalized"],
    ).of(X)


def _decoded(
    scores: npt.NDArray[Any], options: Mapping[str, Any], language: NextSymbol | None
) -> Found:
    if options["decoder"] == "greedy":
        log_probability = float(scores.max(1).sum())
        return Found(tuple(collapse(scores.argmax(1))), log_probability, log_probability)
    return prefix_beam(
        scores,
        options["beam_width"],
        next_symbol=language,
        weight=options["language_weight"],
        bonus=options["insertion_bonus"],
    )[0]
