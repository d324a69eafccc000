"""Likeness: a source counts for being close to a target only where it is far closer than others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from traitcast.predictor.model.evidence import CLOSE, source_mean
from traitcast.predictor.model.features import FeatureSettings, ProfileSet
from traitcast.predictor.model.gain_model import KNOWN
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.pair_data import Data, pair_data
from traitcast.predictor.model.predictor import fit
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


def test_without_a_signal_sources_keep_the_order_of_their_mean_and_closeness(
    world: ProfileSet, cells_of: Callable[..., Cells]
) -> None:
    predictor = fit(observe(cells_of(world, 0, permute=True), world), world)
    assert predictor.abstains
    target = world.traits.names[0]
    sources = [name for name in world.traits.names if name != target]
    predictor = replace(predictor, measurements={})  # else all pairs would be answered
    ranked = [p.source for p in predictor.rank(world, target, sources)]
    data = pair_data(observe(cells_of(world, 0, permute=True), world), world, FeatureSettings())
    gains = predictor.gains.gains
    allowed = gains.targets & (np.arange(len(predictor.names)) != 0)
    slope = predictor.gains.layers[KNOWN].slope
    order = slope * source_mean(gains, allowed[None])[0, :, 0] + CLOSE * data.asked.close[:, 0]
    assert ranked == sorted(sources, key=lambda name: -order[predictor.names.index(name)])
    assert len({p.gain for p in predictor.rank(world, target, sources)}) == 1, "no gain is claimed"
