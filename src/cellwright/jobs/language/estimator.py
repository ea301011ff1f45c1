"""The estimator of a language model."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted
from typing_extensions import Unpack

from cellwright.data.texts import as_text, as_texts
from cellwright.data.token_streams import TokenStreams
from cellwright.errors import DataError, SettingError
from cellwright.jobs.estimator import Estimator, Facts, Hooks, digest
from cellwright.jobs.language.measuring import NextToken, RowNats, perplexity_of, windows
from cellwright.jobs.language.tokens import characters_of, token_text, tokens_of
from cellwright.jobs.language.writing import Sampling, check_whole, likeliest, sampled
from cellwright.jobs.options.language import LanguageOptions
from cellwright.models.language import LanguageNetwork, LanguageStream
from cellwright.text import Vocabulary
from cellwright.text.pieces import WITHOUT_LINES, pieces

__all__ = ["LanguageFacts", "LanguageModel"]

_ROWS = 64  # texts that are scored side by side


class LanguageFacts(Facts):
    """What a trained language model knows beside its weights."""

    vocabulary: str
    several: bool


@dataclass(kw_only=True, eq=False, repr=False)
class LanguageModel(LanguageOptions, Estimator):
    """Learn what comes next in text, with scikit-learn's habits, and write more of it.

    Text is one text or a list of texts; every option is a keyword argument. In training, the
    text is read in `batch_size` places at once, window by window, and the states at the end of
    a window are those at the start of the next (truncated backpropagation through time).

    Attributes
    ----------
    vocabulary_
        The tokens, see `cellwright.text.Vocabulary`.
    network_
        The trained `LanguageNetwork`.
    history_
        A row of measures for each epoch; losses are nats a token.

    Examples
    --------
    >>> import cellwright as cw
    >>> model = cw.LanguageModel(layers=[16], batch_size=4, steps=16, epochs=40, dropout=0)
    >>> model = model.fit("the cat sat on the mat. " * 40)
    >>> model.generate("the cat", length=16, temperature=0)
    ' sat on the mat.'
    """

    job = "language"
    facts_type = LanguageFacts

    def fit(
        self,
        X: Any,  # noqa: N803
        y: None = None,
        *,
        validation: Any = None,
        **hooks: Unpack[Hooks],
    ) -> LanguageModel:
        """Learn from text.

        Parameters
        ----------
        X
            A text, or a list of texts.
        y
            Not used; text is its own answer.
        validation
            Text to watch progress on, in place of the last part of `X`. The vocabulary is that
            of what is learned from; tokens that are only watched count as unknown ones.
        **hooks
            Checkpoints, resuming and reports, see `Hooks`.

        Raises
        ------
        DataError, ShapeError, SettingError, TrainingError
            Text or options cannot be used; the message says which and why.
        """
        options = self.options()
        if validation is None:
            learned, watched = _divided(_texts(X), options)
        else:
            learned, watched = _texts(X), _texts(validation, "validation")
        size, least, lower = options["vocabulary_size"], options["least"], options["lowercase"]
        vocabulary = Vocabulary.learn(learned, options["vocabulary"], size, least, lower)
        self.knows(LanguageFacts(vocabulary=vocabulary.text, several=len(learned) > 1))
        training, held = (
            np.concatenate([np.zeros(0, np.int32), *(tokens_of(vocabulary, t) for t in part)])
            for part in (learned, watched)
        )
        if watched and len(held) < 2:
            raise DataError("validation: there is no token in it that could be watched")
        if len(training) < 3:
            raise DataError("X: there are fewer than three tokens to learn from")
        self.network_ = self.new_network(options, self.facts_)
        most, steps = options["batch_size"], options["steps"]
        self.learn(
            NextToken(),
            TokenStreams.of(training, most, steps, seed=options["random_state"]),
            TokenStreams.of(held, most, steps) if watched else None,
            identity=digest(options, vocabulary.text, _fingerprint(training, held)),
            hooks=hooks,
        )
        return self

    def nats(self, X: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:  # noqa: N803
        """Minus the log-likelihood of each text in nats, (text,), and how many tokens it has.

        Each text starts from nothing, as at the start of the training.
        """
        check_is_fitted(self, "network_")
        rows = [tokens_of(self.vocabulary_, text) for text in _texts(X)]
        order = np.argsort([-len(row) for row in rows], kind="stable")
        found = np.zeros(len(rows))
        for start in range(0, len(rows), _ROWS):
            chosen = order[start : start + _ROWS]
            source = windows([rows[row] for row in chosen], len(self.vocabulary_))
            parts = self.answers(source, RowNats())
            found[chosen] = np.sum(parts, axis=0)
        return found, np.array([len(row) - 1 for row in rows])

    def score(self, X: Any, y: None = None) -> float:  # noqa: N803
        """Mean log-likelihood of a token, in nats: minus the loss. Higher is better."""
        nats, counts = self.nats(X)
        return -float(nats.sum() / _some(counts))

    def perplexity(self, X: Any) -> float:  # noqa: N803
        """Among how many equally probable tokens the model would be as much in doubt."""
        return perplexity_of(-self.score(X))

    def bits_per_character(self, X: Any) -> float:  # noqa: N803
        """Bits that each character of the text costs, whatever the tokens are."""
        texts = _texts(X)
        nats, _ = self.nats(texts)
        return float(nats.sum()) / math.log(2) / characters_of(texts)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Chance of each token to come after each text, (text, token)."""
        found, stream = [], self.open_stream(1)
        start = stream.state
        for text in _texts(X):
            stream.state = start
            scores = [stream.step([int(t)]) for t in tokens_of(self.vocabulary_, text)][-1]
            found.append(torch.from_numpy(scores[0].copy()).double().softmax(0).numpy())
        return np.stack(found)

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The most probable token after each text, (text,)."""
        best = self.predict_proba(X).argmax(1)
        return np.array([token_text(self.vocabulary_, int(token)) for token in best])

    def generate(
        self,
        seed_text: str = "",
        length: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        beam: int | None = None,
        stop: str | Sequence[str] | None = None,
        random_state: int | None = None,
    ) -> str:
        """Write on.

        Parameters
        ----------
        seed_text
            What is written already; empty for the start of a text.
        length
            Tokens to write at most; fewer where a text comes to its end, if the model learned from
            several.
        temperature, top_k, top_p
            As for `Sampling`.
        beam
            Look for the most probable continuation with so many at hand, instead of drawing.
        stop
            End before any of these texts.
        random_state
            Seed of what is drawn; None for another text each time.

        Returns
        -------
        str
            What follows the seed.

        Raises
        ------
        SettingError
            An argument is not allowed.
        """
        check_whole("length", length, 0)
        stops = _stops(stop)
        if beam is not None:
            if (temperature, top_k, top_p) != (1.0, None, None):
                raise SettingError("beam finds and does not draw; leave temperature and top out")
            return _until(stops, self._found(seed_text, length, beam))
        writing = self.stream(
            seed_text,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            random_state=random_state,
        )
        return _until(stops, writing)

    def stream(
        self,
        seed_text: str = "",
        *,
        length: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        random_state: int | None = None,
    ) -> Iterator[str]:
        """Write on, piece by piece, without end.

        The network runs on the CPU a token at a time; its states are all that is remembered,
        so that the millionth token takes no longer than the first. Arguments are those of
        `generate`; a model that learned from several texts ends where it ends a text.

        Examples
        --------
        ``for piece in model.stream("Once"): print(piece, end="", flush=True)``
        """
        how = Sampling(temperature, top_k, top_p)
        for name, value in (("length", length), ("random_state", random_state)):
            if value is not None:
                check_whole(name, value, 0)
        vocabulary = self._vocabulary()
        seed = tokens_of(vocabulary, _seed(seed_text)).tolist()
        random = np.random.default_rng(random_state)
        tokens = sampled(self.open_stream(1), seed, how, random, self._never)
        until_end = itertools.takewhile(lambda token: token != vocabulary.begin, tokens)
        return pieces(vocabulary, itertools.islice(until_end, length), seed[-1])

    def knows(self, facts: LanguageFacts) -> None:
        """Take over what was learned beside weights."""
        super().knows(facts)
        self.vocabulary_ = Vocabulary.read(facts.vocabulary)

    @staticmethod
    def build_network(options: Mapping[str, Any], facts: LanguageFacts) -> LanguageNetwork:
        """The untrained network that validated options and facts describe."""
        names = (
            *("cell", "layers", "embedding", "tied", "adaptive_softmax", "input_dropout"),
            *("dropout", "variational", "recurrent_dropout", "zoneout", "weight_drop"),
            *("connections", "learn_initial_state", "sizes", "initialization", "backend"),
        )
        size = len(Vocabulary.read(facts.vocabulary))
        return LanguageNetwork(size, **{name: options[name] for name in names})

    @property
    def _never(self) -> tuple[int, ...]:
        """Tokens that are never written: they stand for no text."""
        vocabulary = self.vocabulary_
        lines = vocabulary.kind in WITHOUT_LINES
        return (
            *(vocabulary.padding, vocabulary.unknown),
            *(() if lines else (vocabulary.end,)),
            # A single text has an end, too, but nobody wants to be told of it.
            *(() if self.facts_.several else (vocabulary.begin,)),
        )

    def _vocabulary(self) -> Vocabulary:
        check_is_fitted(self, "network_")
        return self.vocabulary_

    def open_stream(self, rows: int = 1) -> LanguageStream:
        """The network as a stream on the CPU: tokens in, scores of the next ones out."""
        check_is_fitted(self, "network_")
        return self.network_.stream(rows)  # type: ignore[no-any-return]

    def _found(self, seed_text: str, length: int, beam: int) -> Iterator[str]:
        check_whole("beam", beam, 1)
        vocabulary = self._vocabulary()
        seed = tokens_of(vocabulary, _seed(seed_text)).tolist()
        stream = self.open_stream(beam)
        found = likeliest(stream, seed, length, beam, self._never, vocabulary.begin)
        return pieces(vocabulary, found, seed[-1])


def _divided(texts: list[str], options: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What is learned from, and the last part of it all, which is watched."""
    fraction = options["validation_fraction"]
    if fraction == 0:
        if options["patience"] is not None:
            raise SettingError("patience watches validation data; give a validation_fraction")
        return texts, []
    size = sum(map(len, texts))
    left = size - round(fraction * size)
    learned, watched = [], []
    for text in texts:
        at = min(left, len(text))
        if options["vocabulary"] in WITHOUT_LINES:
            while 0 < at < len(text) and not text[at - 1].isspace():
                at += 1  # half a word is none
        left = max(0, left - len(text))
        learned += [text[:at]] if at else []
        watched += [text[at:]] if at < len(text) else []
    if not learned or not watched:
        raise DataError(
            f"validation_fraction={fraction}: text of {size} characters cannot be divided; give "
            f"more text or validation_fraction=0"
        )
    return learned, watched


def _texts(X: Any, name: str = "X") -> list[str]:  # noqa: N803
    """One text or several, as a list."""
    return as_texts([X] if isinstance(X, str) else X, name, blank=True)


def _fingerprint(*parts: npt.NDArray[np.int32]) -> str:
    return " ".join(hashlib.blake2b(part.tobytes(), digest_size=16).hexdigest() for part in parts)


def _some(counts: npt.NDArray[np.int64]) -> int:
    total = int(counts.sum())
    if not total:
        raise DataError("X: there is no token in it that could be scored")
    return total


def _seed(text: Any) -> str:
    return "" if isinstance(text, str) and not text else as_text(text, "seed_text", blank=True)


def _stops(stop: Any) -> list[str]:
    stops = [stop] if isinstance(stop, str) else stop or ()
    if not isinstance(stops, (list, tuple)) or not all(isinstance(s, str) and s for s in stops):
        raise SettingError(f"stop={stop!r}: must be a text that is not empty, or a list of texts")
    return list(stops)


def _until(stops: Sequence[str], writing: Iterator[str]) -> str:
    """The text of all pieces up to the first of the stops."""
    text = ""
    for piece in writing:
        text += piece
        # A stop may have begun in an earlier piece.
        begin = len(text) - len(piece) - max(map(len, stops), default=0)
        found = [at for stop in stops if (at := text.find(stop, max(0, begin))) >= 0]
        if found:
            return text[: min(found)]
    return text
