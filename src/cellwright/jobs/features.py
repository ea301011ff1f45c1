"""What estimators have in common that read features: how many there are, and their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from cellwright.data import Sequences
from cellwright.data.audio import Recordings
from cellwright.data.audio_features import AudioFeatures
from cellwright.data.sequences import are_tables, as_sequences
from cellwright.errors import DataError, ModelFileError
from cellwright.jobs.estimator import Estimator

__all__ = ["FeatureEstimator", "check_test_features", "in_order"]


class FeatureEstimator(Estimator):
    """An estimator whose facts hold ``features`` and ``feature_names``, each of them or None.

    Attributes
    ----------
    n_features_in_
        Features at each step.
    feature_names_in_
        Their names; only there if the data had names, as those of a CSV have.
    """

    n_features_in_: int
    feature_names_in_: Any

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: Any, tensors: Mapping[str, Tensor]
    ) -> None:
        """Names of features must be as many as the features, and differ."""
        super().check_facts(options, facts, tensors)
        names = facts.feature_names
        if names is not None and not len(names) == len(set(names)) == facts.features:
            raise ModelFileError(f"{len(names)} names cannot be those of {facts.features} features")

    def knows(self, facts: Any) -> None:
        """Take over what was learned beside weights."""
        super().knows(facts)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                delattr(self, name)
        if facts.features is not None:
            self.n_features_in_ = facts.features
        if facts.feature_names is not None:
            self.feature_names_in_ = np.array(facts.feature_names, dtype=object)


def in_order(X: Any, names: Sequence[str] | None) -> Any:  # noqa: N803
    """Samples with their features in the order that was learned, where both have names.

    A list of tables has those of its columns.

    Raises
    ------
    DataError
        A name is missing, or one is there that is unknown.
    """
    if names is None:
        return X
    if are_tables(X):
        X = as_sequences(X)  # noqa: N806
    return X.in_order(names) if isinstance(X, Sequences) else X


def check_test_features(name: str, learned: Any, tested: Any) -> None:
    """Complain of a test part that could not be told: before the training, not after.

    Parameters
    ----------
    name
        What people call the data.
    learned, tested
        The samples of both parts; of texts only the kind is held together.

    Raises
    ------
    DataError
        The test part is of another kind, its features are more, fewer or other ones, or a
        recording is too short to have any.
    """
    if type(learned) is not type(tested):
        raise DataError(f"{name}: training and test part are not of one kind")
    if isinstance(tested, Recordings):
        for wave, its in zip(tested.waves, tested.names, strict=True):
            AudioFeatures().check(wave, tested.rate, f"{name}, test part: {its}")
    if not isinstance(learned, Sequences):
        return
    try:
        tested = in_order(tested, learned.names)
    except DataError as error:
        raise DataError(f"{name}, test part: {error}") from error
    if tested.features != learned.features:
        raise DataError(
            f"{name}: the test part has {tested.features} features at each step, the training "
            f"part {learned.features}"
        )
