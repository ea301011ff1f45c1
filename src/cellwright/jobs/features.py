"""What estimators have in common that read features: how many there are, and their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from cellwright.data import Sequences
from cellwright.errors import ModelFileError
from cellwright.jobs.estimator import Estimator

__all__ = ["FeatureEstimator", "in_order"]


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

    Raises
    ------
    DataError
        A name is missing, or one is there that is unknown.
    """
    return X.in_order(names) if isinstance(X, Sequences) and names is not None else X
