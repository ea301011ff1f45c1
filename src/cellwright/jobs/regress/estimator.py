"""Many to one: telling a number, or several, that a sequence stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from typing_extensions import Unpack

from cellwright.data import Batch, Sequences, as_sequences, batches
from cellwright.data.measured import as_numbers
from cellwright.errors import DataError, ModelFileError, SettingError
from cellwright.jobs.estimator import Facts, Hooks, digest
from cellwright.jobs.features import FeatureEstimator, in_order
from cellwright.jobs.intervals import conformal_margin, nearest_pair, nominal, pairs, thinned
from cellwright.jobs.options.base import NETWORK
from cellwright.jobs.options.regress import RegressorOptions
from cellwright.jobs.regress.number_loss import NumberLoss
from cellwright.jobs.scoring import as_weights, r_squared
from cellwright.jobs.streams import NumberStream, checked_step
from cellwright.jobs.training.dividing import Rows, divide
from cellwright.jobs.training.examples import Examples
from cellwright.jobs.training.scaling import check_range, set_scaling
from cellwright.jobs.training.target_scaling import mean_and_spread, scaled_targets
from cellwright.models import RegressorNetwork
from cellwright.models.pooled_stream import PooledStream

__all__ = ["RegressorFacts", "SequenceRegressor"]

Floats = npt.NDArray[np.float64]


class RegressorFacts(Facts):
    """What a trained regressor knows beside its weights."""

    features: Annotated[int, Field(ge=1, le=2**24)]
    targets: Annotated[int, Field(ge=1, le=2**20)]
    flat: bool
    feature_names: list[str] | None = None
    # For each pair of quantiles, or for the one answer: misses in ascending order, by target.
    misses: list[list[list[float]]] | None = None
    missed: Annotated[int, Field(ge=0)] = 0


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceRegressor(RegressorMixin, RegressorOptions, FeatureEstimator):  # type: ignore[misc]
    """Tell a number, or several, of each sequence, with scikit-learn's habits.

    Sequences are a list of arrays (time, features) of any lengths, or one array (sample,
    time, features), or (sample, time) for one feature; steps of NaN at the end of a sample
    are padding. Every option is a keyword argument.

    Attributes
    ----------
    n_features_in_
        Features at each step.
    feature_names_in_
        Their names; only there if the data had names, as those of a CSV have.
    network_
        The trained `RegressorNetwork`.
    history_
        A row of measures for each epoch; ``mae`` is in the units of the targets.

    Examples
    --------
    >>> import cellwright as cw, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> speeds = rng.uniform(-1, 1, 120)
    >>> walks = [np.cumsum(v + 0.1 * rng.standard_normal(20)) for v in speeds]
    >>> reg = cw.SequenceRegressor(cell="gru", layers=[8], epochs=30, validation_fraction=0.25)
    >>> reg = reg.fit(walks, speeds)
    >>> reg.score(walks, speeds) > 0.9
    True
    >>> lower, upper = reg.predict_interval(walks, level=0.9)
    >>> bool(np.mean((lower <= speeds) & (speeds <= upper)) > 0.8)
    True
    """

    job = "regress"
    facts_type = RegressorFacts

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        *,
        groups: Any = None,
        **hooks: Unpack[Hooks],
    ) -> SequenceRegressor:
        """Learn from sequences and their numbers.

        Parameters
        ----------
        X
            Sequences, as the class describes them.
        y
            Numbers, (sample,), or (sample, target).
        groups
            Which samples belong together, (sample,), such as windows of one machine: all or
            none of them are kept for validation. Without it each stands for itself.
        **hooks
            Checkpoints, resuming and reports, see `Hooks`.

        Raises
        ------
        DataError, ShapeError, SettingError, TrainingError
            Data or options cannot be used; the message says which and why.
        """
        options = self.options()
        sequences = as_sequences(X)
        numbers = as_numbers(y, samples=len(sequences))
        training, validation = divide(len(sequences), options, groups=groups)
        self.knows(
            RegressorFacts(
                features=sequences.features,
                targets=numbers.shape[1],
                flat=np.ndim(y) == 1,
                feature_names=None if sequences.names is None else list(sequences.names),
            )
        )
        self.network_ = self.new_network(options, self.facts_)
        set_scaling(self.network_, sequences.take(training), options["scaling"])
        check_range(sequences, self.network_, options)
        scaled = _scaled(self.network_, numbers, training, options)
        parts = [
            None if rows is None else Examples(sequences.take(rows), scaled[torch.from_numpy(rows)])
            for rows in (training, validation)
        ]
        assert parts[0] is not None
        grouped = None if groups is None else np.asarray(groups).tolist()
        self.learn(
            NumberLoss(options["loss"], _levels(options)),
            parts[0],
            parts[1],
            identity=digest(options, sequences.fingerprint, numbers.tolist(), grouped),
            hooks=hooks,
        )
        if validation is not None:
            self._remember_misses(sequences, numbers, validation)
        return self

    def predict(self, X: Any) -> Floats:  # noqa: N803
        """The number, (sample,), or the numbers, (sample, target), of each sequence.

        With loss ``quantile`` it is the quantile that is nearest to the median.
        """
        told = self._told(X)
        levels = _levels(self.options())
        return self._shaped(told[:, :, _middle(levels)])

    def predict_quantiles(self, X: Any) -> Floats:  # noqa: N803
        """All quantiles that were learned, (sample, quantile) or (sample, target, quantile).

        Raises
        ------
        SettingError
            The loss was another than ``quantile``.
        """
        if self.options()["loss"] != "quantile":
            raise SettingError(f"loss={self.loss!r} learns no quantiles; use loss='quantile'")
        return self._shaped(self._told(X))

    def predict_interval(
        self,
        X: Any,  # noqa: N803
        level: float = 0.9,
    ) -> tuple[Floats, Floats]:
        r"""Lower and upper ends of an interval that holds the truth with that probability.

        By split conformal prediction from the validation part: $\hat y \pm \hat q$, where
        $\hat q$ is what a share `level` of the errors there stayed below. With loss
        ``quantile``, the nearest pair of quantiles is widened or narrowed by $\hat q$, so that
        the width follows the sequence (conformalized quantile regression).

        It holds for samples like those of the validation part, on average over them; and for
        each target by itself.

        Parameters
        ----------
        X
            Sequences.
        level
            Between 0 and 1.

        Returns
        -------
        lower, upper
            Each shaped as `predict` returns it.

        Raises
        ------
        SettingError
            There was no validation part, or too small a one for that level.

        References
        ----------
        Romano, Patterson and Candès, "Conformalized quantile regression", NeurIPS (2019).
        """
        check_is_fitted(self, "network_")
        options = self.options()
        levels, facts = _levels(options), self.facts_
        pair = nearest_pair(levels, level) if len(levels) > 1 else None
        place = 0 if pair is None else pairs(levels).index(pair)
        if facts.misses is not None:
            margin = conformal_margin(np.array(facts.misses[place]), level, facts.missed)
        elif pair is not None and abs(nominal(levels, pair) - level) < 1e-9:
            margin = np.zeros(facts.targets)
        else:
            raise SettingError(
                "an interval is measured on the validation part, and there was none; fit with a "
                "validation_fraction, or with loss='quantile' and the two quantiles that it ends at"
            )
        told = self._told(X)
        low, high = pair or (0, 0)
        lower, upper = told[:, :, low] - margin, told[:, :, high] + margin
        # A margin below zero may let narrow intervals turn inside out.
        turned, middle = lower > upper, (lower + upper) / 2
        return (
            self._shaped(np.where(turned, middle, lower)),
            self._shaped(np.where(turned, middle, upper)),
        )

    def stream(self) -> NumberStream:
        """Open a stream: the number of a sequence that is still going on.

        Raises
        ------
        SettingError
            The network also reads from the end.
        """
        check_is_fitted(self, "network_")
        network, middle = self.network_, _middle(_levels(self.options()))

        def steps(x: Any, number: int) -> list[Tensor]:
            return [checked_step(x, self.n_features_in_, number, self.facts_.feature_names)]

        def told(scores: Tensor) -> Any:
            found = network.in_units(scores).sort(2).values[0, :, middle].numpy()
            return found[0] if self.facts_.flat else found

        return NumberStream(PooledStream(network), steps, told)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """The share of the variance of `y` that is explained, $R^2$, the mean over targets.

        Raises
        ------
        DataError
            There are fewer than two samples, or `y` or weights are not finite.
        ShapeError
            There are not as many numbers, or weights, as sequences.
        """
        check_is_fitted(self, "network_")
        predicted = self.predict(X)
        truth = self.known_numbers(y, samples=len(predicted))
        return r_squared(truth, predicted, as_weights(sample_weight, len(truth)))

    def known_numbers(self, y: Any, *, samples: int | None = None) -> Floats:
        """The truth as an array (sample, target) of as many targets as were learned."""
        truth = as_numbers(y, samples=samples)
        if truth.shape[1] != self.facts_.targets:
            raise DataError(
                f"y has {truth.shape[1]} targets, and {self.facts_.targets} were learned"
            )
        return truth

    def _told(self, X: Any) -> Floats:  # noqa: N803
        """All answers in the units of the targets, ascending, (sample, target, answer)."""
        check_is_fitted(self, "network_")
        X = in_order(X, self.facts_.feature_names)  # noqa: N806
        sequences = as_sequences(X, features=self.n_features_in_)
        check_range(sequences, self.network_, self.options())

        def answer(network: RegressorNetwork, batch: Batch) -> Tensor:
            return network.in_units(network(batch.x, batch.lengths))

        told = torch.cat(self.answers(batches(sequences, self.prediction_batch), answer))
        # Quantiles are learned one by one and may cross; sorted, they are closer to the truth
        # (Chernozhukov et al. 2010).
        return np.asarray(told.sort(2).values.numpy())

    def _shaped(self, numbers: Floats) -> Floats:
        return numbers[:, 0] if self.facts_.flat else numbers

    def _remember_misses(self, sequences: Sequences, numbers: Floats, rows: Rows) -> None:
        told, truth = self._told(sequences.take(rows)), numbers[rows]
        ends = pairs(_levels(self.options())) or [(0, 0)]
        misses = [
            np.maximum(told[:, :, low] - truth, truth - told[:, :, high]) for low, high in ends
        ]
        kept = [thinned(missed).tolist() for missed in misses]
        self.knows(self.facts_.model_copy(update={"misses": kept, "missed": len(rows)}))

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: RegressorFacts, tensors: Mapping[str, Tensor]
    ) -> None:
        """Names, targets and misses must go with each other and with the tensors."""
        super().check_facts(options, facts, tensors)
        levels = _levels(options)
        readout = tensors.get("readout.bias")
        if readout is not None and readout.numel() != facts.targets * len(levels):
            raise ModelFileError(
                f"{facts.targets} targets cannot be told by {readout.numel()} numbers"
            )
        if facts.flat and facts.targets != 1:
            raise ModelFileError(f"{facts.targets} targets cannot stand in one column")
        if facts.misses is not None:
            _check_misses(facts, len(pairs(levels)) or 1)

    @staticmethod
    def build_network(options: Mapping[str, Any], facts: RegressorFacts) -> RegressorNetwork:
        """The untrained network that validated options and facts describe."""
        names = (*NETWORK, "pooling", "picture_size", "picture_filters")
        chosen = {name: options[name] for name in names}
        return RegressorNetwork(facts.features, facts.targets, len(_levels(options)), **chosen)


def _scaled(
    network: RegressorNetwork, numbers: Floats, training: Rows, options: Mapping[str, Any]
) -> Tensor:
    """Targets as the network learns them, in units of their spread if that is wanted."""
    if options["target_scaling"] == "standard":
        for target in range(numbers.shape[1]):
            found = mean_and_spread(numbers[training, target], f"y: target {target}")
            network.target_shift[target], network.target_spread[target] = found
    mean, spread = network.target_shift.numpy(), network.target_spread.numpy()

    def said(sample: int, target: int) -> str:
        return f"y[{sample}] is {numbers[sample, target]:g}"

    return scaled_targets(numbers, mean, spread, options, said)


def _levels(options: Mapping[str, Any]) -> tuple[float, ...]:
    """Which quantiles are told, ascending; one answer counts as the median."""
    if options["loss"] != "quantile":
        return (0.5,)
    levels = tuple(options["quantiles"])
    if any(second <= first for first, second in pairwise(levels)):
        raise SettingError(f"quantiles={levels}: must ascend, each once")
    return levels


def _middle(levels: Sequence[float]) -> int:
    return int(np.argmin(np.abs(np.array(levels) - 0.5)))


def _check_misses(facts: RegressorFacts, wanted: int) -> None:
    assert facts.misses is not None
    for missed in facts.misses:
        even = {len(row) for row in missed} == {facts.targets}
        if not even or len(missed) > max(facts.missed, 1):
            raise ModelFileError("what it missed does not go with its targets")
        array = np.array(missed)
        if not np.isfinite(array).all() or (np.diff(array, axis=0) < 0).any():
            raise ModelFileError("what it missed is not in ascending order")
    if len(facts.misses) != wanted:
        raise ModelFileError(f"it has {len(facts.misses)} lists of misses; expected {wanted}")
