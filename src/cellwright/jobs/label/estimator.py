"""The labeller: a label, several labels or a number at every step of a sequence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from typing_extensions import Unpack

from cellwright.data import Sequences, as_sequences
from cellwright.data.step_answers import StepAnswers, as_step_answers
from cellwright.data.step_batches import StepBatch, StepExamples, StepInputs, cut, step_batches
from cellwright.data.words import WordIndex, WordSequences, are_words
from cellwright.errors import DataError, ModelFileError, SettingError
from cellwright.jobs.estimator import Facts, Hooks, digest
from cellwright.jobs.features import FeatureEstimator, in_order
from cellwright.jobs.label.columns import (
    AnswerColumn,
    AnswerColumns,
    StepLoss,
    learned_columns,
    scores_of,
)
from cellwright.jobs.label.stream import LabelStream
from cellwright.jobs.options.base import NETWORK
from cellwright.jobs.options.label import LabelerOptions
from cellwright.jobs.options.picture import check_no_pictures
from cellwright.jobs.scoring import r_squared
from cellwright.jobs.training.dividing import Rows, divide
from cellwright.jobs.training.scaling import check_range, set_scaling
from cellwright.models import StepwiseNetwork
from cellwright.models.tagger import TaggerNetwork

__all__ = ["LabelerFacts", "SequenceLabeler"]

Array: TypeAlias = npt.NDArray[Any]
Given: TypeAlias = Sequences | WordSequences

_PICTURES = ("picture_size", "picture_filters")
_WORDS = ("embedding", "spelling", "character_embedding", "word_dropout")


class LabelerFacts(Facts):
    """What a trained labeller knows beside its weights."""

    columns: Annotated[list[AnswerColumn], Field(min_length=1)]
    single: bool
    features: Annotated[int, Field(ge=1, le=2**24)] | None = None
    feature_names: list[str] | None = None
    words: list[str] | None = None
    characters: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceLabeler(LabelerOptions, FeatureEstimator):
    """Label every step of sequences, with scikit-learn's habits.

    Sequences are a list of arrays (time, features) of any lengths, or one array (sample,
    time, features), or (sample, time) for one feature; or lists of words. Every option is a
    keyword argument. Options named "For words" do nothing for numbers. With a `window`, long
    sequences are cut into pieces to learn from; a bidirectional network also predicts piece by
    piece, one that only reads forwards goes on from each to the next.

    Attributes
    ----------
    classes_
        The labels, sorted; where several things are asked at a step, a list with those of each.
        Not there for numbers.
    n_features_in_
        Features at each step; only there for numbers as input.
    feature_names_in_
        Their names; only there if the data had names, as those of a CSV have.
    network_
        The trained `StepwiseNetwork` or `TaggerNetwork`.
    history_
        A row of measures for each epoch.

    Examples
    --------
    Whether the ones so far are odd in number:

    >>> import cellwright as cw, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = [rng.integers(2, size=rng.integers(3, 9)) for _ in range(200)]
    >>> y = [np.cumsum(bits) % 2 for bits in x]
    >>> model = cw.SequenceLabeler(layers=[12], bidirectional=False, epochs=25, learning_rate=0.02)
    >>> model = model.fit(x, y)
    >>> model.predict([[1, 0, 0, 1, 1, 1]])
    [array([1, 1, 1, 0, 1, 0])]
    >>> stream = model.stream()
    >>> [int(stream.step(bit)) for bit in [1, 0, 1]]
    [1, 1, 0]
    """

    job = "label"
    facts_type = LabelerFacts

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        **hooks: Unpack[Hooks],
    ) -> SequenceLabeler:
        """Learn from sequences with an answer at every step.

        Parameters
        ----------
        X
            Sequences, as the class describes them.
        y
            For each sequence an array (time,) of labels or, with ``target="number"``, of numbers;
            or (time, answers) where several things are asked. What is not known is None, an
            empty text or NaN, and is not learned from.
        validation
            Sequences and answers that are only watched, in place of a part of the others. Such
            a part is made of whole sequences, or is the end of a single one.
        **hooks
            Checkpoints, resuming and reports, see `Hooks`.

        Raises
        ------
        DataError, ShapeError, SettingError, TrainingError
            Data or options cannot be used; the message says which and why.
        """
        options = self.options()
        given = _given(X)
        answers = as_step_answers(y, given.lengths, options["target"])
        parts, training, watched = given, np.arange(len(given)), None
        if validation is None:
            parts, training, watched = _divided(given, options)
        index = None
        if isinstance(parts, WordSequences):
            chosen = {name: options[name] for name in ("least", "lowercase")}
            index = WordIndex.learn(parts.take(training), **chosen)
        learned = np.repeat(np.isin(np.arange(len(parts)), training), parts.lengths)
        found = learned_columns(answers, options["target"], learned)
        facts = _facts(given, index, found, answers.single)
        columns = AnswerColumns(facts.columns, facts.single)
        examples = _examples(parts, answers, columns.targets(answers, options), index)
        held_out = None if watched is None else examples.take(watched)
        identity = [given.fingerprint, examples.fingerprint]
        if validation is not None:
            other, name = self._checked(validation[0], facts), "validation y"
            kept = as_step_answers(validation[1], other.lengths, options["target"], name=name)
            columns.check_width(kept)
            held_out = _examples(other, kept, columns.targets(kept, options, name=name), index)
            identity += [other.fingerprint, held_out.fingerprint]
        if held_out is not None:
            if not held_out.counted.any():
                raise DataError(
                    f"validation_fraction={options['validation_fraction']}: the part that is "
                    f"watched has no answers; give more answers, or validation_fraction=0"
                )
            held_out = _in_pieces(held_out, _read_at_once(options))
        self.knows(facts)
        self.network_ = self.new_network(options, facts)
        taught = examples if watched is None else examples.take(training)
        if isinstance(taught.inputs, Sequences):
            set_scaling(self.network_, taught.inputs, options["scaling"])
            assert isinstance(given, Sequences)
            check_range(given, self.network_, options)
        self.learn(
            StepLoss(columns, options["label_smoothing"]),
            _in_pieces(taught, options["window"]),
            held_out,
            identity=digest(options, *identity),
            hooks=hooks,
        )
        return self

    def predict(self, X: Any) -> list[Array]:  # noqa: N803
        """The answers for each sequence, (time,), or (time, answers) where several are asked."""
        return [self._columns.decoded(scores) for scores in self._scores(X)]

    def predict_proba(self, X: Any) -> list[Any]:  # noqa: N803
        """For each sequence the probability of each label at each step, (time, label).

        Labels are in the order of `classes_`. Where several things are asked at a step, each
        sequence has a list of such arrays.

        Raises
        ------
        SettingError
            The network answers with numbers.
        """
        check_is_fitted(self, "network_")
        if self.options()["target"] == "number":
            raise SettingError("numbers have no probabilities; use predict")
        found = [self._columns.chances(scores) for scores in self._scores(X)]
        return [chances[0] for chances in found] if self._columns.single else found

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        r"""Share of right answers over all steps; for numbers $R^2$ over all steps.

        Steps whose answer is not known do not count.

        Raises
        ------
        DataError
            A label was never seen in training, or a number is known at fewer than two steps.
        """
        pairs = self.compared(X, y)
        if self.options()["target"] == "number":
            return float(np.mean([r_squared(truth, found) for truth, found in pairs]))
        right = [accuracy_score(truth, found, normalize=False) for truth, found in pairs]
        return float(sum(right) / sum(len(truth) for truth, _ in pairs))

    def compared(self, X: Any, y: Any) -> list[tuple[Array, Array]]:  # noqa: N803
        """For each thing that is asked, truth and prediction of all steps where it is known.

        Raises
        ------
        DataError
            A label was never seen in training; the message names sample and step.
        """
        check_is_fitted(self, "network_")
        given = self._checked(X, self.facts_)
        answers = as_step_answers(y, given.lengths, self.options()["target"])
        self._columns.check_width(answers)
        labels = self.options()["target"] == "label"
        truth = [
            self._columns.known(answers, number) if labels else values
            for number, values in enumerate(answers.columns)
        ]
        predicted = np.concatenate(self.predict(given))
        predicted = predicted[:, None] if self._columns.single else predicted
        return [
            (values[answers.known[:, n]], predicted[answers.known[:, n], n].astype(values.dtype))
            for n, values in enumerate(truth)
        ]

    def stream(self) -> LabelStream:
        """Open a stream: answers as steps come, for numbers as input and a network that reads on.

        They are those of `predict`. With a `window` the network learned from shorter sequences
        than a long stream is: see by `score` whether what it learned holds for longer ones.

        Raises
        ------
        SettingError
            The network reads words, or also from the end.
        """
        check_is_fitted(self, "network_")
        if self.facts_.words is not None:
            raise SettingError("a network that reads words has no stream; use predict")
        return LabelStream(self.network_, self._columns, self.facts_.feature_names)

    def knows(self, facts: LabelerFacts) -> None:
        """Take over what was learned beside weights."""
        super().knows(facts)
        self._columns = AnswerColumns(facts.columns, facts.single)
        if hasattr(self, "classes_"):
            del self.classes_
        if facts.columns[0].labels is not None:
            classes = self._columns.classes
            self.classes_: Any = classes[0] if facts.single else classes

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: LabelerFacts, tensors: Mapping[str, Tensor]
    ) -> None:
        """Sizes must be those of the tensors, and the columns of one kind."""
        if (facts.words is None) != (facts.characters is None) or (
            (facts.words is None) == (facts.features is None)
        ):
            raise ModelFileError("it reads either features or words")
        super().check_facts(options, facts, tensors)
        if any(
            (column.labels is None) != (options["target"] == "number") for column in facts.columns
        ):
            raise ModelFileError(f"its answers are not each a {options['target']}")
        weights = sum(tensor.numel() for tensor in tensors.values())
        sizes = [options["embedding"], options["spelling"] or 0, options["character_embedding"]]
        sizes = sizes if facts.words is not None else [facts.features or 0]
        if max(sizes) > weights:
            raise ModelFileError(f"{max(sizes)} numbers a step cannot be read by {weights} weights")

    @staticmethod
    def build_network(
        options: Mapping[str, Any], facts: LabelerFacts
    ) -> StepwiseNetwork | TaggerNetwork:
        """The untrained network that validated options and facts describe."""
        outputs = sum(column.outputs for column in facts.columns)
        chosen = {name: options[name] for name in (*NETWORK, "delay")}
        if facts.words is None:
            assert facts.features is not None
            chosen |= {name: options[name] for name in _PICTURES}
            return StepwiseNetwork(facts.features, outputs, **chosen)
        check_no_pictures(options, "words")
        chosen |= {name: options[name] for name in _WORDS}
        words, characters = _index(facts, options).sizes
        return TaggerNetwork(words, characters, outputs, **chosen)

    def _checked(self, X: Any, facts: LabelerFacts) -> Given:  # noqa: N803
        """Samples of the kind that was learned."""
        if are_words(X) != (facts.words is not None):
            learned = "words" if facts.words is not None else "numbers"
            raise DataError(f"X: the network was trained on sequences of {learned}")
        X = in_order(X, facts.feature_names)  # noqa: N806
        return WordSequences.of(X) if are_words(X) else as_sequences(X, features=facts.features)

    def _scores(self, X: Any) -> list[npt.NDArray[np.float64]]:  # noqa: N803
        """What the network makes of each sequence, (time, outputs)."""
        check_is_fitted(self, "network_")
        options, facts = self.options(), self.facts_
        given = self._checked(X, facts)
        if isinstance(given, Sequences):
            check_range(given, self.network_, options)
        index = _index(facts, options) if facts.words is not None else None
        inputs, counts = cut(_numbered(given, index), _read_at_once(options))

        def scores(network: nn.Module, batch: StepBatch) -> list[Array]:
            found = scores_of(network, batch).double().cpu().numpy()
            return [row[:length] for row, length in zip(found, batch.lengths.tolist(), strict=True)]

        # Those of one length together, so that little is padded.
        order = np.argsort(inputs.lengths, kind="stable")
        batches = step_batches(inputs, self.prediction_batch, order)
        sorted_pieces = [row for rows in self.answers(batches, scores) for row in rows]
        pieces: list[Array] = [sorted_pieces[place] for place in np.argsort(order)]
        ends = counts.cumsum()
        return [np.concatenate(pieces[e - n : e]) for e, n in zip(ends, counts, strict=True)]


def _given(X: Any) -> Given:  # noqa: N803
    return WordSequences.of(X) if are_words(X) else as_sequences(X)


def _facts(
    given: Given, index: WordIndex | None, columns: list[AnswerColumn], single: bool
) -> LabelerFacts:
    if index is not None:
        words, characters = list(index.words), list(index.characters)
        return LabelerFacts(columns=columns, single=single, words=words, characters=characters)
    assert isinstance(given, Sequences)
    return LabelerFacts(
        columns=columns,
        single=single,
        features=given.features,
        feature_names=None if given.names is None else list(given.names),
    )


def _index(facts: LabelerFacts, options: Mapping[str, Any]) -> WordIndex:
    words, characters = tuple(facts.words or ()), tuple(facts.characters or ())
    return WordIndex(words, characters, options["lowercase"])


def _numbered(given: Given, index: WordIndex | None) -> StepInputs:
    """Samples as the network reads them."""
    if isinstance(given, Sequences):
        return given
    assert index is not None
    return index.number(given)


def _examples(
    given: Given, answers: StepAnswers, targets: Tensor, index: WordIndex | None
) -> StepExamples:
    return StepExamples(_numbered(given, index), targets, torch.from_numpy(answers.known))


def _in_pieces(examples: StepExamples, window: int | None) -> StepExamples:
    return replace(examples, inputs=cut(examples.inputs, window)[0])


def _read_at_once(options: Mapping[str, Any]) -> int | None:
    """Steps that are read in a row outside of training; None for all of a sequence.

    A network that reads forwards goes on from piece to piece, as a stream of it does. One that
    also reads from the end would have to wait for it, and reads pieces as it did in training.
    """
    window: int | None = options["window"]
    return window if options["bidirectional"] else None


def _divided(given: Given, options: Mapping[str, Any]) -> tuple[Given, Rows, Rows | None]:
    """Samples, and which of them are learned from and watched; of a single one its end is."""
    held = math.ceil(options["validation_fraction"] * given.lengths[0])
    begin = int(given.lengths[0]) - held
    if len(given) > 1 or not held or not begin:
        return given, *divide(len(given), options)
    both = np.arange(1), np.arange(1, 2)
    if isinstance(given, WordSequences):
        (words,) = given
        return WordSequences([words[:begin], words[begin:]]), *both
    (steps,) = given
    return Sequences([steps[:begin], steps[begin:]], given.names), *both
