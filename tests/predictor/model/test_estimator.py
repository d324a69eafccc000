"""The estimator keeps scikit-learn's contract and is the predictor's own trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from traitcast.predictor.estimator import GainRegressor
from traitcast.predictor.model import trees
from traitcast.predictor.model.trees import Size, TreeSettings


# Big steps, since the checks' tables are easy; all rows for each tree, since drawing rows cannot tell a weight of two
# from a row that comes twice.
@parametrize_with_checks([GainRegressor(rounds=40, learning_rate=0.3, l2=1.0, subsample=1.0)])
def test_it_keeps_the_contract_of_scikit_learn(estimator: GainRegressor, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_it_is_the_trees_of_the_predictor() -> None:
    rng = np.random.default_rng(0)
    table, gain = rng.normal(size=(200, 5)), rng.normal(size=200)
    table[rng.random(table.shape) < 0.1] = np.nan
    weight = rng.uniform(0.2, 1, 200)
    settings = TreeSettings()
    booster = trees.grow(
        table, gain, weight, Size(settings.depth, settings.rounds, settings.learning_rate, ""), settings
    )
    made = GainRegressor().fit(table, gain, weight)
    assert np.array_equal(made.predict(table), trees.predict(booster, table))
    copy = clone(made.set_params(depth=3))
    assert copy.get_params()["depth"] == 3
    with pytest.raises(ValueError, match="not fitted"):
        copy.predict(table)


def test_cross_validation_finds_a_signal() -> None:
    rng = np.random.default_rng(1)
    table = rng.normal(size=(300, 4))
    gain = 2 * table[:, 0] + rng.normal(size=300)
    assert cross_val_score(GainRegressor(rounds=200), table, gain, cv=4).mean() > 0.6
    assert cross_val_score(GainRegressor(), table, rng.permutation(gain), cv=4).mean() < 0.1
