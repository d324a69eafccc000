"""The trees of the predictor as a scikit-learn estimator, to be tried with its tools or on other tables.

Owns nothing but the interface: growing and predicting are `predictor.model.trees`. It takes a table of numbers with NaN for
what is undefined, and knows neither datasets nor targets; centring and intervals are the predictor's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from traitcast.predictor.model import trees
from traitcast.predictor.model.trees import Size, TreeSettings

_DEFAULT = TreeSettings()


class GainRegressor(RegressorMixin, BaseEstimator):
    """Regularised gradient-boosted trees with the predictor's defaults (see `predictor.model.trees.TreeSettings`).

    depth, rounds: size. learning_rate, subsample, column_share (of the columns, tried at each split), l2,
    min_child_share (of the summed weight, least in a leaf): regularisation. random_state: seed of the draws.
    After `fit`: booster_ (XGBoost), n_features_in_, and feature_names_in_ for a table with named columns.
    """

    def __init__(
        self,
        depth: int = _DEFAULT.depth,
        rounds: int = _DEFAULT.rounds,
        learning_rate: float = _DEFAULT.learning_rate,
        subsample: float = _DEFAULT.subsample,
        column_share: float = _DEFAULT.column_share,
        l2: float = _DEFAULT.l2,
        min_child_share: float = _DEFAULT.min_child_share,
        random_state: int = 0,
    ) -> None:
        self.depth = depth
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.subsample = subsample
        self.column_share = column_share
        self.l2 = l2
        self.min_child_share = min_child_share
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803  (scikit-learn's name)
        """Grow the trees. X: (rows, features), NaN allowed. y: (rows,). sample_weight: (rows,), 1 by default."""
        table, gain = validate_data(self, X, y, ensure_all_finite="allow-nan", dtype=np.float64, y_numeric=True)
        weight = _check_sample_weight(sample_weight, table, dtype=np.float64)
        settings = replace(
            _DEFAULT,
            subsample=self.subsample,
            column_share=self.column_share,
            l2=self.l2,
            min_child_share=self.min_child_share,
            seed=self.random_state,
        )
        size = Size(self.depth, self.rounds, self.learning_rate, "as given")
        self.booster_ = trees.grow(table, np.asarray(gain, np.float64), weight, size, settings)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predicted values, float64 (rows,)."""
        check_is_fitted(self)
        table = validate_data(self, X, ensure_all_finite="allow-nan", dtype=np.float64, reset=False)
        return trees.predict(self.booster_, table)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
