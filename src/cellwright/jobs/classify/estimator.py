"""Many to one: telling which class a sequence belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from typing_extensions import Unpack

from cellwright.data import Batch, Sequences, batches
from cellwright.data.labels import as_labels, label_numbers
from cellwright.errors import DataError, ModelFileError, SettingError, ShapeError, did_you_mean
from cellwright.jobs import model_file
from cellwright.jobs.classify.inputs import Inputs, given
from cellwright.jobs.estimator import Facts, Hooks, digest
from cellwright.jobs.features import FeatureEstimator, in_order
from cellwright.jobs.options import ClassifierOptions
from cellwright.jobs.options.base import NETWORK
from cellwright.jobs.options.picture import check_no_pictures
from cellwright.jobs.scoring import as_weights
from cellwright.jobs.streams import ClassStream, TextSteps, checked_step
from cellwright.jobs.training.dividing import divide
from cellwright.jobs.training.examples import Examples
from cellwright.jobs.training.scaling import check_range, set_scaling
from cellwright.models import ClassifierNetwork
from cellwright.models.pooled_stream import PooledStream
from cellwright.text import Vocabulary

__all__ = ["ClassifierFacts", "SequenceClassifier"]


class ClassifierFacts(Facts):
    """What a trained classifier knows beside its weights."""

    labels: model_file.Labels
    features: Annotated[int, Field(ge=1, le=2**24)]
    feature_names: list[str] | None = None
    reads: Literal["numbers", "text", "sound"] = "numbers"
    vocabulary: str | None = None
    words: Annotated[int, Field(ge=1)] | None = None
    rate: Annotated[int, Field(ge=1)] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceClassifier(ClassifierMixin, ClassifierOptions, FeatureEstimator):  # type: ignore[misc]
    """Classify sequences, texts or sounds, with scikit-learn's habits.

    Sequences are a list of arrays (time, features) of any lengths, or one array (sample,
    time, features), or (sample, time) for one feature; steps of NaN at the end of a sample
    are padding. Texts are a list of them: words, characters or what the option `vocabulary`
    says are numbered, and a vector for each is learned. Sounds are `Recordings`, or, with
    `sample_rate`, a list of waves (samples,), of which the features that `sound` names are
    read. Every option is a keyword argument.

    Attributes
    ----------
    classes_
        The labels, sorted.
    n_features_in_
        Features at each step.
    feature_names_in_
        Their names; only there if the data had names, as those of a CSV or a list of tables have.
    inputs_
        What is read, with the vocabulary of texts.
    network_
        The trained `ClassifierNetwork`.
    history_
        A row of measures for each epoch.

    Examples
    --------
    >>> import cellwright as cw, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> up = [np.cumsum(rng.random(n)) for n in range(5, 25)]
    >>> down = [-np.cumsum(rng.random(n)) for n in range(5, 25)]
    >>> clf = cw.SequenceClassifier(cell="gru", layers=[8], epochs=40)
    >>> clf = clf.fit(up + down, ["up"] * 20 + ["down"] * 20)
    >>> clf.predict([np.array([0.0, 0.5, 1.1, 1.9, 2.5])])
    array(['up'], dtype='<U4')
    """

    job = "classify"
    facts_type = ClassifierFacts

    def fit(self, X: Any, y: Any, **hooks: Unpack[Hooks]) -> SequenceClassifier:  # noqa: N803
        """Learn from labelled sequences.

        Parameters
        ----------
        X
            Sequences, texts or sounds, as the class describes them.
        y
            A label for each: whole numbers, texts or truths.
        **hooks
            Checkpoints, resuming and reports, see `Hooks`.

        Raises
        ------
        DataError, ShapeError, SettingError, TrainingError
            Data or options cannot be used; the message says which and why.
        """
        options = self.options()
        classes, targets, training, validation, inputs, sequences = _prepared(X, y, options)
        self.knows(_facts(classes, inputs, sequences))
        self.network_ = self.new_network(options, self.facts_)
        if inputs.kind != "text":
            set_scaling(self.network_, sequences.take(training), options["scaling"])
            check_range(sequences, self.network_, options)
        parts = [
            None
            if rows is None
            else Examples(sequences.take(rows), torch.from_numpy(targets[rows]))
            for rows in (training, validation)
        ]
        assert parts[0] is not None
        weights = _class_weights(options["class_weights"], classes, targets[training])
        self.learn(
            _CrossEntropy(options["label_smoothing"], weights),
            parts[0],
            parts[1],
            identity=digest(options, sequences.fingerprint, targets.tolist()),
            hooks=hooks,
        )
        return self

    def facts_of(self, X: Any, y: Any) -> ClassifierFacts:  # noqa: N803
        """What `fit` would know of these data before it begins, by which networks are built."""
        prepared = _prepared(X, y, self.options())
        return _facts(prepared.classes, prepared.inputs, prepared.sequences)

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The most probable label of each sequence, (sample,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Probability of each class, (sample, class), classes in the order of `classes_`.

        Features that have names are brought into the order of `feature_names_in_`.
        """
        check_is_fitted(self, "network_")
        options = self.options()
        samples = given(in_order(X, self.facts_.feature_names), options)
        sequences = self.inputs_.sequences(samples, options)
        if self.inputs_.kind != "text":
            check_range(sequences, self.network_, options)

        def chances(network: nn.Module, batch: Batch) -> Tensor:
            scores: Tensor = network(batch.x, batch.lengths)
            return scores.double().softmax(1).cpu()

        # Sequences of like length in one batch are padded little.
        order = np.argsort(sequences.lengths, kind="stable")
        cut = batches(sequences, self.prediction_batch, order=order)
        found = torch.cat(self.answers(cut, chances)).numpy()
        return np.asarray(found[np.argsort(order)])

    def stream(self) -> ClassStream:
        """Open a stream: the label of a sequence that is still going on.

        A text comes in pieces that are joined as they stand, so blanks are given with them.

        Raises
        ------
        SettingError
            The network also reads from the end, or hears recordings, whose features are scaled
            as a whole.

        Examples
        --------
        >>> import cellwright as cw
        >>> clf = cw.SequenceClassifier(layers=[8], epochs=30, learning_rate=0.02)
        >>> clf = clf.fit(["a good film", "a bad film", "so good", "so bad"] * 8, [1, 0] * 16)
        >>> stream = clf.stream()
        >>> [int(stream.step(word)) for word in ("so", " good")][-1]
        1
        """
        check_is_fitted(self, "network_")
        if self.inputs_.kind == "sound":
            raise SettingError("recordings are heard as a whole; use predict")
        vocabulary = self.inputs_.vocabulary

        def numbers(x: Any, number: int) -> list[Tensor]:
            return [checked_step(x, self.n_features_in_, number, self.facts_.feature_names)]

        steps = numbers if vocabulary is None else TextSteps(vocabulary)
        return ClassStream(PooledStream(self.network_), steps, self.classes_)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Share of sequences whose label is predicted.

        Raises
        ------
        DataError
            A label was never seen in training, or a weight is below zero or not finite.
        ShapeError
            There are not as many labels, or weights, as sequences.
        """
        predicted, labels = self.predict(X), self.known_labels(y)
        _check_count(labels, len(predicted))
        weights = as_weights(sample_weight, len(predicted))
        return float(accuracy_score(labels, predicted, sample_weight=weights))

    def known_labels(
        self, y: Any, place: Callable[[int], str] = "y[{}]".format
    ) -> npt.NDArray[Any]:
        """The labels as an array, all of them among `classes_`, else a `DataError`.

        Parameters
        ----------
        y
            The labels.
        place
            Says what the user calls the label at a place.
        """
        return np.asarray(self.classes_[label_numbers(as_labels(y), self.classes_, place=place)])

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: ClassifierFacts, tensors: Mapping[str, Tensor]
    ) -> None:
        """Names, vocabulary and rate must go with what it reads and with the tensors."""
        super().check_facts(options, facts, tensors)
        embedding = tensors.get("embedding.weight")
        text = facts.reads == "text"
        if text != (facts.vocabulary is not None) or text != (facts.words is not None):
            raise ModelFileError(f"it reads {facts.reads}, and has a vocabulary or none")
        if text != (embedding is not None) or (facts.reads == "sound") != (facts.rate is not None):
            raise ModelFileError(f"it reads {facts.reads}, and its weights or rate say otherwise")
        if embedding is not None and tuple(embedding.shape) != (facts.words, options["embedding"]):
            raise ModelFileError(f"{facts.words} words have {tuple(embedding.shape)} weights")

    def knows(self, facts: ClassifierFacts) -> None:
        """Take over what was learned beside weights."""
        super().knows(facts)
        self.classes_ = facts.labels.array()
        vocabulary = None if facts.vocabulary is None else Vocabulary.read(facts.vocabulary)
        if vocabulary is not None and len(vocabulary) != facts.words:
            raise ModelFileError(f"its vocabulary has {len(vocabulary)} words, not {facts.words}")
        self.inputs_ = Inputs(facts.reads, vocabulary, facts.rate, facts.features)

    @staticmethod
    def build_network(options: Mapping[str, Any], facts: ClassifierFacts) -> ClassifierNetwork:
        """The untrained network that validated options and facts describe."""
        names = (*NETWORK, "pooling", "picture_size", "picture_filters")
        chosen = {name: options[name] for name in names}
        features = facts.features
        if facts.words is not None:
            check_no_pictures(options, "texts")
            features = options["embedding"]
            chosen |= {"vocabulary": facts.words, "word_dropout": options["word_dropout"]}
        return ClassifierNetwork(features, len(facts.labels.values), **chosen)


def _check_count(labels: npt.NDArray[Any], samples: int) -> None:
    if len(labels) != samples:
        raise ShapeError(f"X has {samples} samples but y has {len(labels)} labels")


class _Prepared(NamedTuple):
    """Data as they are learned from: labels as numbers, rows of each part, samples as sequences."""

    classes: npt.NDArray[Any]
    targets: npt.NDArray[np.int64]
    training: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64] | None
    inputs: Inputs
    sequences: Sequences


def _prepared(X: Any, y: Any, options: Mapping[str, Any]) -> _Prepared:  # noqa: N803
    samples, labels = given(X, options), as_labels(y)
    _check_count(labels, len(samples))
    classes, targets = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"y has one class only ({classes[0].item()!r}); there is nothing to learn")
    training, validation = divide(len(samples), options, classes=targets)
    inputs = Inputs.learned(samples, training, options)
    sequences = inputs.sequences(samples, options)
    return _Prepared(classes, targets, training, validation, inputs, sequences)


def _facts(classes: npt.NDArray[Any], inputs: Inputs, sequences: Sequences) -> ClassifierFacts:
    vocabulary = inputs.vocabulary
    return ClassifierFacts(
        labels=model_file.Labels.of(classes),
        features=sequences.features,
        feature_names=None if sequences.names is None else list(sequences.names),
        reads=inputs.kind,
        vocabulary=None if vocabulary is None else vocabulary.text,
        words=None if vocabulary is None else len(vocabulary),
        rate=inputs.rate,
    )


class _CrossEntropy:
    """Mean cross entropy, with the number of right answers beside it.

    Parameters
    ----------
    label_smoothing
        Probability that is spread over all classes.
    weights
        What an error of each class counts, the mean over the training data 1; or None.
    """

    def __init__(self, label_smoothing: float, weights: Tensor | None = None) -> None:
        self.label_smoothing, self.weights = label_smoothing, weights

    def __call__(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        assert batch.targets is not None
        scores, targets = network(batch.x, batch.lengths), batch.targets
        losses = cross_entropy(
            scores, targets, label_smoothing=self.label_smoothing, reduction="none"
        )
        if self.weights is not None:
            losses = losses * self.weights.to(losses)[targets]
        right = (scores.argmax(1) == targets).sum()
        return losses.mean(), {"loss": losses.detach().sum(), "accuracy": right}


def _class_weights(
    wanted: str | Mapping[str, float], classes: npt.NDArray[Any], targets: npt.NDArray[np.int64]
) -> Tensor | None:
    """Weight of each class, so that the mean over these targets is 1."""
    if wanted == "none":
        return None
    names = [str(label) for label in classes.tolist()]
    if isinstance(wanted, Mapping):
        for name in wanted:
            if name not in names:
                raise SettingError(
                    f"class_weights: there is no label {name!r}.{did_you_mean(name, names)}"
                )
        weights = np.array([float(wanted.get(name, 1.0)) for name in names])
    else:
        # A class that validation data alone have is not learned, and its weight plays no part.
        weights = 1 / np.maximum(np.bincount(targets, minlength=len(classes)), 1)
    return torch.from_numpy(weights / weights[targets].mean())
