"""Many to many, delayed: telling a text in other words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from typing_extensions import Unpack

from cellwright.data.parallel_text import ParallelText
from cellwright.data.texts import as_text, as_texts
from cellwright.data.token_pairs import TokenBatch, TokenPairs
from cellwright.errors import ModelFileError
from cellwright.jobs.estimator import Estimator, Facts, Hooks, digest
from cellwright.jobs.options.translate import TranslatorOptions
from cellwright.jobs.training.objectives import TokenLoss
from cellwright.jobs.translate.pairs import checked_pairs, divided
from cellwright.jobs.translate.scores import translation_scores
from cellwright.models.beam import Hypothesis, beam_search, greedy_search
from cellwright.models.streaming import for_streaming
from cellwright.models.translator import TranslatorNetwork
from cellwright.text import Vocabulary
from cellwright.text.pieces import pieces

__all__ = ["Translation", "Translator", "TranslatorFacts"]

_LONGEST = 100_000
_COPIED = ("words", "tokens", "characters")


@dataclass(frozen=True, eq=False)
class Translation:
    """A translation and how it came about.

    Attributes
    ----------
    text
        The translation.
    score
        Log probability divided by the length penalty.
    source_tokens, target_tokens
        What source and translation were split into.
    weights
        How much the decoder attended to each token of the source when it told each of the
        translation, (target tokens, source tokens); None without attention.
    """

    text: str
    score: float
    source_tokens: list[str]
    target_tokens: list[str]
    weights: Tensor | None


class TranslatorFacts(Facts):
    """What a trained translator knows beside its weights."""

    source_vocabulary: str
    target_vocabulary: str
    longest: Annotated[int, Field(ge=1, le=_LONGEST)]


@dataclass(kw_only=True, eq=False, repr=False)
class Translator(TranslatorOptions, Estimator):
    """Translate texts, or tell them in any other way that can be learned from pairs.

    An encoder reads the source, a decoder with attention tells the target, token after token;
    see `TranslatorNetwork`. What is told is found by beam search. Every option is a keyword
    argument.

    Attributes
    ----------
    source_vocabulary_, target_vocabulary_
        The tokens of both sides.
    network_
        The trained `TranslatorNetwork`.
    history_
        A row of measures for each epoch.

    Examples
    --------
    >>> import cellwright as cw
    >>> numbers = {"one": "un", "two": "deux", "three": "trois", "four": "quatre"}
    >>> X = [f"{a} {b} {c}" for a in numbers for b in numbers for c in numbers]
    >>> y = [" ".join(numbers[word] for word in text.split()) for text in X]
    >>> translator = cw.Translator(vocabulary="words", layers=[16], embedding=8, batch_size=8,
    ...     learning_rate=0.02, dropout=0.0, epochs=12)
    >>> translator.fit(X, y).predict(["two one four"])
    ['deux un quatre']
    """

    job = "translate"
    facts_type = TranslatorFacts
    prediction_batch = 64

    def fit(
        self,
        X: Sequence[str],  # noqa: N803
        y: Sequence[str],
        *,
        validation: tuple[Sequence[str], Sequence[str]] | None = None,
        **hooks: Unpack[Hooks],
    ) -> Translator:
        """Learn from pairs of texts.

        Parameters
        ----------
        X, y
            Texts, and what each is in other words.
        validation
            Pairs of texts to watch progress on; without it a part of X and y.
        **hooks
            Checkpoints, resuming and reports, see `Hooks`.

        Raises
        ------
        DataError, ShapeError, SettingError, TrainingError
            Data or options cannot be used; the message says which and why.
        """
        options = self.options()
        pairs = checked_pairs(X, y, "X", "y")
        training, held = divided(pairs, validation, options)
        assert training.target is not None
        learned = [
            Vocabulary.learn(
                texts,
                kind=options["vocabulary"],
                size=options["vocabulary_size"],
                least=options["least"],
                lowercase=options["lowercase"],
            )
            for texts in (training.source, training.target)
        ]
        told = [learned[1].encode(text) for text in training.target]
        longest = min(max(map(len, told)) * 3 // 2 + 2, _LONGEST)
        self.knows(
            TranslatorFacts(
                source_vocabulary=learned[0].text,
                target_vocabulary=learned[1].text,
                longest=longest,
            )
        )
        self.network_ = self.new_network(options, self.facts_)
        self.learn(
            TokenLoss(options["label_smoothing"], options["scheduled_sampling"]),
            self._numbered(training),
            None if held is None else self._numbered(held),
            identity=digest(
                options,
                *((part.source, part.target) for part in (training, held) if part is not None),
            ),
            hooks=hooks,
        )
        return self

    def predict(self, X: Sequence[str]) -> list[str]:  # noqa: N803
        """The translation of each text."""
        return [translation.text for translation in self.translate(X)]

    def translate(self, X: Sequence[str]) -> list[Translation]:  # noqa: N803
        """The translation of each text, its score, and what was attended to.

        Raises
        ------
        DataError
            A text is none, or empty; the message says which.
        """
        check_is_fitted(self, "network_")
        texts = as_texts(X)
        options = self.options()
        pairs = self._numbered(ParallelText(texts, None))
        search = self._search(options)
        search |= {"width": options["beam"], "length_penalty": options["length_penalty"]}

        def find(network: nn.Module, batch: TokenBatch) -> list[tuple[int, Hypothesis]]:
            assert isinstance(network, TranslatorNetwork)
            memory, state = network.encode(batch.source, batch.lengths)
            found = beam_search(network.decoder, state, memory, **search)
            return list(zip(batch.rows.tolist(), found, strict=True))

        parts = self.answers(pairs.batches(self.prediction_batch), find)
        found = dict(row for part in parts for row in part)
        return [
            self._translation(text, pairs.source[row], found[row], options)
            for row, text in enumerate(texts)
        ]

    def stream(self, text: str) -> Iterator[str]:
        """Translate a text piece by piece: what `predict` says with a beam of 1, as it is found.

        The network runs on the CPU, with the weights that it has now.

        Examples
        --------
        ``for piece in model.stream("two one four"): print(piece, end="", flush=True)``

        Raises
        ------
        DataError
            The text is none, or empty.
        """
        check_is_fitted(self, "network_")
        options = self.options()
        pairs = self._numbered(ParallelText([as_text(text, "text")], None))
        network: TranslatorNetwork = for_streaming(self.network_)
        (batch,) = pairs.batches(1)
        with torch.no_grad():
            memory, state = network.encode(batch.source, batch.lengths)
        found = greedy_search(network.decoder, state, memory, **self._search(options))
        return self._told(found, self._named(text, pairs.source[0]), options["copy_unknown"])

    def _told(
        self, found: Iterator[tuple[int, Tensor | None]], source: Sequence[str], copy: bool
    ) -> Iterator[str]:
        target = self.target_vocabulary_
        last: tuple[int, Tensor | None] = target.begin, None

        def tokens() -> Iterator[int]:
            nonlocal last
            for last in found:
                yield last[0]

        for piece in pieces(target, tokens(), target.begin):
            # Vocabularies that have unknown tokens give a piece for each token.
            token, weights = last
            if copy and token == target.unknown and weights is not None:
                yield piece.replace(target.decode([token]), source[int(weights.argmax())])
            else:
                yield piece

    def score(self, X: Sequence[str], y: Sequence[str]) -> float:  # noqa: N803
        """BLEU of the translations, 0 to 100, as sacrebleu computes it by default."""
        check_is_fitted(self, "network_")
        pairs = checked_pairs(X, y, "X", "y")
        assert pairs.target is not None
        return float(translation_scores(self.predict(pairs.source), pairs.target)["bleu"])

    def knows(self, facts: TranslatorFacts) -> None:
        """Take over what was learned beside weights."""
        super().knows(facts)
        self.source_vocabulary_ = Vocabulary.read(facts.source_vocabulary)
        self.target_vocabulary_ = Vocabulary.read(facts.target_vocabulary)

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: TranslatorFacts, tensors: Mapping[str, Tensor]
    ) -> None:
        """Embeddings must be such as these tensors can hold."""
        weights = sum(tensor.numel() for tensor in tensors.values())
        if options["embedding"] > weights:
            raise ModelFileError(
                f"embeddings of {options['embedding']} are not of {weights} weights"
            )

    @staticmethod
    def build_network(options: Mapping[str, Any], facts: TranslatorFacts) -> TranslatorNetwork:
        """The untrained network that validated options and facts describe."""
        names = (
            *("embedding", "cell", "layers", "bidirectional", "attention", "feeding", "tied"),
            *("dropout", "recurrent_dropout", "zoneout", "weight_drop", "connections"),
            *("sizes", "initialization", "backend"),
        )
        return TranslatorNetwork(
            len(Vocabulary.read(facts.source_vocabulary)),
            len(Vocabulary.read(facts.target_vocabulary)),
            encoder_layers=options["encoder_layers"],
            **{name: options[name] for name in names},
        )

    def _numbered(self, pairs: ParallelText) -> TokenPairs:
        source, target = self.source_vocabulary_, self.target_vocabulary_
        return TokenPairs(
            # What is split into nothing, such as a text of blanks, is one unknown token.
            [numbers or [source.unknown] for numbers in map(source.encode, pairs.source)],
            None if pairs.target is None else [target.encode(text) for text in pairs.target],
            target.padding,
            target.begin,
            target.end,
        )

    def _search(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What every search is told."""
        target = self.target_vocabulary_
        return {
            "begin": target.begin,
            "end": target.end,
            "longest": options["longest"] or self.facts_.longest,
            "forbidden": (target.padding, target.begin),
        }

    def _named(self, text: str, numbers: Sequence[int]) -> list[str]:
        """What each token of a source looks like, as it was written where that can be told."""
        source = self.source_vocabulary_
        named = source.split(text) if source.kind in _COPIED else []
        return named if len(named) == len(numbers) else [source.decode([n]) for n in numbers]

    def _translation(
        self,
        text: str,
        numbers: Sequence[int],
        found: Hypothesis,
        options: Mapping[str, Any],
    ) -> Translation:
        target, named = self.target_vocabulary_, self._named(text, numbers)
        weights = None if found.weights is None else found.weights[:, : len(numbers)]
        told = target.decode(found.tokens)
        tokens = [target.decode([number]) for number in found.tokens]
        if options["copy_unknown"] and weights is not None:
            # The unknown is decoded as one character that no text holds.
            mark = target.decode([target.unknown])
            for at, number in enumerate(found.tokens):
                if number == target.unknown:
                    tokens[at] = named[int(weights[at].argmax())]
                    told = told.replace(mark, tokens[at], 1)
        return Translation(told, found.score, named, tokens, weights)
