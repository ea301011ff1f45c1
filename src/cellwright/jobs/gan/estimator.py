"""Sequences like those that were shown, with scikit-learn's habits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from typing_extensions import Unpack

from cellwright.data import Batch, Sequences, as_sequences
from cellwright.errors import ModelFileError, SettingError
from cellwright.jobs import model_file
from cellwright.jobs.estimator import Facts, Hooks, digest
from cellwright.jobs.features import FeatureEstimator, in_order
from cellwright.jobs.gan import realism
from cellwright.jobs.gan.kinds import classes_of, count_kinds, draw_kinds, numbers_of
from cellwright.jobs.gan.objective import Adversarial, Distance
from cellwright.jobs.options.base import NETWORK
from cellwright.jobs.options.gan import GANOptions
from cellwright.jobs.training.dividing import divide
from cellwright.jobs.training.examples import Examples
from cellwright.jobs.training.scaling import check_range, set_scaling
from cellwright.models import GANNetwork

__all__ = ["GANFacts", "SequenceGAN"]

_LARGEST = 2**24
_SEEDS = 2**32


class GANFacts(Facts):
    """What a trained pair of networks knows beside its weights."""

    features: Annotated[int, Field(ge=1, le=_LARGEST)]
    feature_names: list[str] | None = None
    labels: model_file.Labels | None = None
    # Class, steps, and how many such sequences were learned from.
    lengths: Annotated[
        list[
            Annotated[
                list[Annotated[int, Field(ge=0, le=_LARGEST)]], Field(min_length=3, max_length=3)
            ]
        ],
        Field(min_length=1),
    ]


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceGAN(GANOptions, FeatureEstimator):
    """Make sequences like those that it is shown.

    Two recurrent networks learn from each other: a generator that makes sequences of noise,
    and a discriminator that tells them from real ones. Sequences are a list of arrays (time,
    features) of any lengths, or one array (sample, time, features), or (sample, time) for one
    feature; steps of NaN at the end of a sample are padding. Every option is a keyword
    argument. With a class for each sequence, sequences of a class can be made.

    Attributes
    ----------
    classes_
        The classes, sorted; None without.
    n_features_in_
        Features at each step.
    feature_names_in_
        Their names; only there if the data had names, as those of a CSV have.
    network_
        The trained `GANNetwork`.
    history_
        A row of measures for each epoch; ``validation_loss`` is the sliced Wasserstein
        distance between made sequences and those that were not learned from.

    Examples
    --------
    >>> import cellwright as cw
    >>> from cellwright.data.sines import two_tone_sines
    >>> gan = cw.SequenceGAN(layers=[8], epochs=2).fit(two_tone_sines(200, steps=12))
    >>> gan.sample(5).shape
    (5, 12, 1)
    """

    job = "gan"
    facts_type = GANFacts

    def fit(self, X: Any, y: Any = None, **hooks: Unpack[Hooks]) -> SequenceGAN:  # noqa: N803
        """Learn to make such sequences.

        Parameters
        ----------
        X
            Sequences, as the class describes them.
        y
            A class for each: whole numbers, texts or truths; None to make no difference.
        **hooks
            Checkpoints, resuming and reports, see `Hooks`.

        Raises
        ------
        DataError, ShapeError, SettingError, TrainingError
            Data or options cannot be used; the message says which and why.
        """
        options = self.options()
        sequences = as_sequences(X)
        classes, targets = classes_of(y, len(sequences))
        parts = divide(len(sequences), options)
        training, validation = (
            None if rows is None else Examples(sequences.take(rows), targets[rows])
            for rows in parts
        )
        assert training is not None
        self.knows(
            GANFacts(
                features=sequences.features,
                feature_names=None if sequences.names is None else list(sequences.names),
                labels=None if classes is None else model_file.Labels.of(classes),
                lengths=count_kinds(sequences, targets),
            )
        )
        self.network_ = self.new_network(options, self.facts_)
        set_scaling(self.network_, training.x, options["scaling"])
        check_range(sequences, self.network_, options)
        self.learn(
            Adversarial(
                options["loss"], options["penalty"], options["penalty_width"], options["averaging"]
            ),
            training,
            None
            if validation is None
            else Distance(validation, self.prediction_batch, options["random_state"]),
            identity=digest(options, sequences.fingerprint, targets.tolist()),
            hooks=hooks,
        )
        return self

    def sample(
        self, n: int, y: Any = None, random_state: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Make sequences.

        Parameters
        ----------
        n
            How many.
        y
            A class for each, (n,), or one for all; None for classes as frequent as they were
            in the training. Lengths are drawn among those of the class.
        random_state
            Seed, less than 2³²; None for that of the training. The same seed makes the same
            sequences.

        Returns
        -------
        array
            (n, time, features), steps of NaN behind the end of shorter ones.

        Raises
        ------
        DataError, ShapeError, SettingError
            A class is unknown or there are none, or a number is not allowed.
        """
        check_is_fitted(self, "network_")
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise SettingError(f"n={n!r}: must be a whole number from 1")
        seed = self._seed(random_state)
        wanted = None if y is None else numbers_of(y, int(n), self.classes_)
        draw = np.random.default_rng(seed)
        targets, lengths = draw_kinds(self.facts_.lengths, int(n), wanted, draw)
        return self._make(targets, lengths, seed)

    def sample_like(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        random_state: int | None = None,
    ) -> Sequences:
        """Make as many sequences as `X` has, each of the length, and of the class, of its own.

        Where the training had classes and `y` is None, they are as frequent as there.

        Raises
        ------
        DataError, ShapeError
            A class is unknown, or the features are not those of the training.
        """
        check_is_fitted(self, "network_")
        sequences = self._sequences(X)
        seed = self._seed(random_state)
        wanted = None if y is None else numbers_of(y, len(sequences), self.classes_)
        draw = np.random.default_rng(seed)
        targets, _ = draw_kinds(self.facts_.lengths, len(sequences), wanted, draw)
        made = self._make(targets, sequences.lengths, seed)
        values = [value[:steps] for value, steps in zip(made, sequences.lengths, strict=True)]
        uniform = (sequences.lengths == made.shape[1]).all()
        return Sequences(made if uniform else values, sequences.names)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """Minus the discriminative score: 0 if nobody can tell made from real, at worst -0.5.

        Parameters
        ----------
        X
            Real sequences, 10 or more, best such as were not learned from.
        y
            Their classes, where the training had classes.
        """
        return -realism.discriminative_score(self._sequences(X), self.sample_like(X, y))

    def train_on_synthetic(
        self,
        X_train: Any,  # noqa: N803
        X_test: Any,  # noqa: N803
        y_train: Any = None,
        *,
        seeds: Iterable[int] = (0, 1, 2),
    ) -> realism.TrainOnSynthetic:
        """Errors of predictors that learned from made sequences, and from real ones.

        Parameters
        ----------
        X_train
            Real sequences to learn from; as many of the same lengths and classes are made.
        X_test
            Real sequences on which both are tested.
        y_train
            Classes of `X_train`, where the training had classes.
        seeds
            Of the predictors.

        Returns
        -------
        TrainOnSynthetic
            With ``synthetic``, ``real`` and ``ratio``.
        """
        real, test = self._sequences(X_train), self._sequences(X_test)
        made = self.sample_like(real, y_train)
        return realism.train_on_synthetic(real, made, test, seeds=seeds)

    @staticmethod
    def build_network(options: Mapping[str, Any], facts: GANFacts) -> GANNetwork:
        """The untrained networks that validated options and facts describe."""
        return GANNetwork(
            facts.features,
            0 if facts.labels is None else len(facts.labels.values),
            noise=options["noise"],
            condition=options["condition"],
            discriminator_layers=options["discriminator_layers"] or options["layers"],
            spectral=options["spectral_norm"],
            **{name: options[name] for name in NETWORK},
        )

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: GANFacts, tensors: Mapping[str, Tensor]
    ) -> None:
        """Raise `ModelFileError` if facts of a file contradict themselves or its tensors."""
        super().check_facts(options, facts, tensors)
        classes = 1 if facts.labels is None else len(facts.labels.values)
        for label, steps, count in facts.lengths:
            if label >= classes or steps < 1 or count < 1:
                raise ModelFileError(f"there are no {count} sequences of class {label}")
        if {label for label, *_ in facts.lengths} != set(range(classes)):
            raise ModelFileError("it does not say how long the sequences of some class are")
        layers = options["discriminator_layers"] or options["layers"]
        weights = sum(tensor.numel() for tensor in tensors.values())
        most = max(*layers, options["noise"], options["condition"], facts.features)
        if len(layers) > len(tensors) or most > weights:
            raise ModelFileError(f"its networks cannot be made of {weights} weights")

    def knows(self, facts: GANFacts) -> None:
        """Take over facts, learned or read."""
        super().knows(facts)
        self.classes_ = None if facts.labels is None else facts.labels.array()

    def _sequences(self, X: Any) -> Sequences:  # noqa: N803
        check_is_fitted(self, "network_")
        X = in_order(X, self.facts_.feature_names)  # noqa: N806
        return as_sequences(X, features=self.n_features_in_)

    def _seed(self, random_state: int | None) -> int:
        seed = self.options()["random_state"] if random_state is None else random_state
        whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
        if not whole or not 0 <= seed < _SEEDS:
            raise SettingError(f"random_state={seed!r}: must be a whole number from 0 to 2³² - 1")
        return int(seed)

    def _make(
        self, targets: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], seed: int
    ) -> npt.NDArray[np.float64]:
        random = torch.Generator().manual_seed(seed)
        steps, size = int(lengths.max()), self.prediction_batch

        def noises() -> Iterator[Batch]:
            for start in range(0, len(lengths), size):
                rows = np.arange(start, min(start + size, len(lengths)))
                yield Batch(
                    x=self.network_.draw_noise(len(rows), steps, random),
                    lengths=torch.from_numpy(lengths[rows]),
                    rows=rows,
                    targets=torch.from_numpy(targets[rows]),
                )

        def make(network: GANNetwork, batch: Batch) -> npt.NDArray[np.float64]:
            return network.generate(batch.x, batch.lengths, batch.targets).numpy()

        made = np.concatenate(self.answers(noises(), make))
        made[np.arange(steps) >= lengths[:, None]] = np.nan
        return made
