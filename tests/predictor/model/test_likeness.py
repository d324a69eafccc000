"""Likeness: a source counts for being close to a target only where it is far closer than others."""

from __future__ import annotations

import numpy as np
import pytest

from traitcast.predictor.model.features import FeatureSettings, ProfileSet
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.pair_data import Data, pair_data
from traitcast.warehouse.records import Cells


@pytest.fixture(scope="module")
def data(law: Cells, world: ProfileSet) -> Data:
    return pair_data(observe(law, world), world, FeatureSettings())


def test_closeness_is_over_the_other_datasets_of_the_matrix(data: Data) -> None:
    close, n = data.asked.close, len(data.observations.names)
    others = ~np.eye(n, dtype=bool)
    assert np.where(others, close, 0.0).sum(axis=0) == pytest.approx(np.zeros(n), abs=1e-9)
    unknown = data.scale.closeness(data.asked.of_target[:, :1], data.asked.of_target[:, :1], np.array([-1]))
    assert unknown.mean() == pytest.approx(0.0, abs=1e-9), "a target outside of the matrix is compared with all of it"


def test_closeness_counts_only_far_out_and_has_a_limit(data: Data) -> None:
    deviations = np.array([-2.0, -1.0, 0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 30.0])
    like = np.broadcast_to(deviations * data.scale.own_spread, (3, 1, deviations.size))
    assert data.scale.deviations(like)[:, 0] == pytest.approx(deviations)
    close = data.scale.closeness(like, like, np.array([-1]))[:, 0]
    assert close - close[0] == pytest.approx([0, 0, 0, 0, 0.5, 1, 2, 2, 2]), "a copy is not infinitely close"
