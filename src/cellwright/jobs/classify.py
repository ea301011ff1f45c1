"""Many to one: telling which class a sequence belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cellwright import cells
from cellwright.data import Batch, Sequences, as_labels, as_sequences, batches
from cellwright.errors import DataError, ModelFileError, SettingError, ShapeError
from cellwright.ir import to_json
from cellwright.jobs import model_file
from cellwright.jobs.engine import Examples, make_fabric, on_device, train
from cellwright.jobs.options import ClassifierOptions, validated
from cellwright.jobs.reporting import Reporter
from cellwright.jobs.threads import cpu_threads
from cellwright.models import ClassifierNetwork

__all__ = ["SequenceClassifier"]

_PREDICTION_BATCH = 256


class _Facts(BaseModel):
    """What a trained classifier knows beside its weights."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: model_file.Labels
    features: Annotated[int, Field(ge=1, le=2**24)]
    feature_names: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceClassifier(ClassifierMixin, ClassifierOptions, BaseEstimator):  # type: ignore[misc]
    """Classify sequences, with scikit-learn's habits.

    Sequences are a list of arrays (time, features) of any lengths, or one array (sample,
    time, features), or (sample, time) for one feature; steps of NaN at the end of a sample
    are padding. Every option is a keyword argument.

    Attributes
    ----------
    classes_
        The labels, sorted.
    n_features_in_
        Features at each step.
    feature_names_in_
        Their names; only there if the data had names, as those of a CSV have.
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

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        *,
        checkpoint: Path | None = None,
        resume: bool = False,
        reporter: Reporter | None = None,
        on_start: Callable[[], None] | None = None,
        on_epoch: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> SequenceClassifier:
        """Learn from labelled sequences.

        Parameters
        ----------
        X
            Sequences, as the class describes them.
        y
            A label for each: whole numbers, texts or truths.
        checkpoint
            Where to keep the state of the training after each epoch.
        resume
            Go on from the checkpoint, if there is one.
        reporter
            Is told of progress.
        on_start
            Is called when data and options are checked, before the first step.
        on_epoch
            Is given the history after each epoch.

        Raises
        ------
        DataError, ShapeError, SettingError, TrainingError
            Data or options cannot be used; the message says which and why.
        """
        options = validated(self)
        sequences, labels = as_sequences(X), as_labels(y)
        if len(labels) != len(sequences):
            raise ShapeError(f"X has {len(sequences)} samples but y has {len(labels)} labels")
        classes, targets = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise DataError(
                f"y has one class only ({classes[0].item()!r}); there is nothing to learn"
            )
        training, validation = _divide(sequences, torch.from_numpy(targets), options)
        self.classes_ = classes
        self.n_features_in_ = sequences.features
        self._name_features(sequences.names)
        self.network_ = self._make_network(options, training.x)
        _check_range(sequences, self.network_, options)
        self.history_ = train(
            self.network_,
            _CrossEntropy(options["label_smoothing"]),
            training,
            validation,
            options,
            checkpoint=checkpoint,
            resume=resume,
            identity=_identity(sequences, targets, options),
            reporter=reporter,
            on_start=on_start,
            on_epoch=on_epoch,
        )
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The most probable label of each sequence, (sample,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Probability of each class, (sample, class), classes in the order of `classes_`.

        Features that have names are brought into the order of `feature_names_in_`.
        """
        check_is_fitted(self, "network_")
        if isinstance(X, Sequences) and hasattr(self, "feature_names_in_"):
            X = X.in_order(self.feature_names_in_.tolist())  # noqa: N806
        sequences = as_sequences(X, features=self.n_features_in_)
        options = validated(self)
        _check_range(sequences, self.network_, options)
        fabric = make_fabric(options)
        fabric.setup_module(self.network_)  # moves it in place
        network = self.network_.eval()
        threads = cpu_threads(network, _PREDICTION_BATCH, options["threads"])
        with torch.inference_mode(), threads, fabric.autocast():
            moved = (on_device(fabric, batch) for batch in batches(sequences, _PREDICTION_BATCH))
            scores = [network(batch.x, batch.lengths).double().softmax(1).cpu() for batch in moved]
        return np.asarray(torch.cat(scores).numpy())

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Share of sequences whose label is predicted.

        Raises
        ------
        DataError
            A label was never seen in training.
        """
        check_is_fitted(self, "network_")
        labels = self.known_labels(y)
        return float(accuracy_score(labels, self.predict(X), sample_weight=sample_weight))

    def known_labels(self, y: Any) -> npt.NDArray[Any]:
        """The labels as an array, all of them among `classes_`, else a `DataError`."""
        labels, classes = as_labels(y), self.classes_
        if "U" in (labels.dtype.kind, classes.dtype.kind):
            # A CSV with the labels 1 and 2 holds numbers, one with 1, 2 and x holds texts.
            labels, classes = labels.astype(str), classes.astype(str)
        unknown = ~np.isin(labels, classes)
        if unknown.any():
            at = int(np.argmax(unknown))
            shown = ", ".join(map(str, self.classes_[:10]))
            raise DataError(
                f"y[{at}] is {labels[at].item()!r}, a label never seen in training; known: {shown}"
                + (", …" if len(self.classes_) > 10 else "")
            )
        if labels.dtype.kind == self.classes_.dtype.kind:
            return labels
        order = np.argsort(classes)
        return np.asarray(self.classes_[order[np.searchsorted(classes, labels, sorter=order)]])

    def save(self, path: str | Path) -> None:
        """Write everything that prediction needs to one file; `cellwright.load` reads it."""
        check_is_fitted(self, "network_")
        names = getattr(self, "feature_names_in_", None)
        facts = _Facts(
            labels=model_file.Labels.of(self.classes_),
            features=self.n_features_in_,
            feature_names=None if names is None else names.tolist(),
        ).model_dump(exclude_none=True)
        model_file.write(Path(path), "classify", validated(self), facts, self.network_)

    @classmethod
    def restore(
        cls, description: model_file.Description, tensors: Mapping[str, Tensor]
    ) -> SequenceClassifier:
        """Make a trained classifier of what a model file holds."""
        facts = _Facts.model_validate(description.facts)
        model = cls(**model_file.options_of(cls, description))
        options = validated(model)
        model_file.check_bounds(options, tensors)
        with torch.device("meta"):
            network = model.build_network(options, facts.features, len(facts.labels.values))
        network.to(torch.float64 if options["precision"] == "64-true" else torch.float32)
        model_file.fill(network, tensors)
        model.classes_ = facts.labels.array()
        model.n_features_in_ = facts.features
        names = facts.feature_names
        if names is not None and not len(names) == len(set(names)) == facts.features:
            raise ModelFileError(f"{len(names)} names cannot be those of {facts.features} features")
        model._name_features(names)
        model.network_ = network.eval()
        model.history_ = []
        return model

    def _name_features(self, names: Sequence[str] | None) -> None:
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _make_network(self, options: Mapping[str, Any], training: Sequences) -> ClassifierNetwork:
        with torch.random.fork_rng():
            torch.manual_seed(options["random_state"])
            network = self.build_network(options, training.features, len(self.classes_))
        if options["scaling"] != "none":
            with np.errstate(over="ignore", invalid="ignore"):
                mean, spread = training.moments(per_feature=options["scaling"] == "standard")
            if not np.isfinite(spread).all():
                feature = int(np.argmin(np.isfinite(spread)))
                raise DataError(
                    f"X: the numbers of feature {feature} are too large to be scaled; give them "
                    f"in a larger unit"
                )
            # A feature that never changes, or by rounding only, must not be blown up.
            rounding = 10 * np.finfo(training.dtype).eps * np.abs(mean)
            network.shift.copy_(torch.from_numpy(mean))
            network.spread.copy_(torch.from_numpy(np.where(spread > rounding, spread, 1)))
        return network

    @staticmethod
    def build_network(options: Mapping[str, Any], features: int, classes: int) -> ClassifierNetwork:
        """The untrained network that validated options describe."""
        names = (
            *("cell", "layers", "projection", "bidirectional", "dropout", "recurrent_dropout"),
            *("zoneout", "weight_drop", "connections", "learn_initial_state"),
            *("pooling", "sizes", "initialization", "backend"),
        )
        return ClassifierNetwork(features, classes, **{name: options[name] for name in names})


class _CrossEntropy:
    """Mean cross entropy, with the number of right answers beside it."""

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        assert batch.targets is not None
        scores = network(batch.x, batch.lengths)
        loss = cross_entropy(scores, batch.targets, label_smoothing=self.label_smoothing)
        right = (scores.argmax(1) == batch.targets).sum()
        return loss, {"loss": loss.detach() * len(batch.targets), "accuracy": right}


def _check_range(
    sequences: Sequences, network: ClassifierNetwork, options: Mapping[str, Any]
) -> None:
    """Complain about a number that the network's precision cannot hold once it is scaled."""
    if sequences.dtype == np.float32 or options["precision"] == "64-true":
        return
    shift, spread = network.shift.numpy(), network.spread.numpy()
    greatest = np.finfo(np.float32).max
    for number, value in enumerate(sequences):
        wrong = np.argwhere(np.abs(value / spread - shift / spread) > greatest)
        if len(wrong):
            step, feature = wrong[0]
            raise DataError(
                f"X[{number}] is {value[step, feature]:g} at step {step}, feature {feature}, "
                f"which is beyond single precision; give it in a larger unit, or use "
                f"scaling='standard' or precision='64-true'"
            )


def _divide(
    sequences: Sequences, targets: Tensor, options: Mapping[str, Any]
) -> tuple[Examples, Examples | None]:
    fraction = options["validation_fraction"]
    if fraction == 0:
        if options["patience"] is not None:
            raise SettingError("patience watches validation data; give a validation_fraction")
        return Examples(sequences, targets), None
    try:
        train_rows, validation_rows = train_test_split(
            np.arange(len(sequences)),
            test_size=fraction,
            random_state=options["random_state"],
            stratify=targets.numpy(),
        )
    except ValueError as error:
        raise DataError(
            f"validation_fraction={fraction}: the data cannot be divided ({error}); give more "
            f"samples or validation_fraction=0"
        ) from error
    return (
        Examples(sequences.take(train_rows), targets[torch.from_numpy(train_rows)]),
        Examples(sequences.take(validation_rows), targets[torch.from_numpy(validation_rows)]),
    )


def _identity(
    sequences: Sequences, targets: npt.NDArray[np.int64], options: Mapping[str, Any]
) -> str:
    """A digest of all that the course of a training depends on."""
    shown = dict(options) | {"cell": to_json(cells.get(options["cell"]).graph)}
    text = repr((sequences.fingerprint, targets.tolist(), sorted(shown.items())))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
