"""The gate: noise makes it abstain, a law is found, and the richest candidate that no simpler one beats is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from traitcast.predictor.model import evidence, gate
from traitcast.predictor.model.features import FeatureSettings, ProfileSet
from traitcast.predictor.model.gain_model import EVIDENCE, FULL, KNOWN, NOTHING, SOURCE_MEAN, Training, orders
from traitcast.predictor.model.likeness import weights
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.pair_data import Data, pair_data
from traitcast.warehouse.records import Cells


@pytest.fixture(scope="module")
def data(law: Cells, world: ProfileSet) -> Data:
    return pair_data(observe(law, world), world, FeatureSettings())


def training(data: Data, gain: np.ndarray | None = None) -> Training:
    o = data.observations if gain is None else replace(data.observations, gain=gain)
    block = np.arange(len(o.names))
    return Training(evidence.standardise(o), data.asked, o.model, o.source, o.target, data.table, block)


def test_shuffled_gains_are_no_signal_and_a_law_is_one(data: Data) -> None:
    o, rng = data.observations, np.random.default_rng(0)
    assert gate.chance_of_known(training(data), 0) == pytest.approx(1 / 200)
    chances = []
    for _ in range(12):
        gain = o.gain.copy()
        for target in np.unique(o.target):
            rows = np.flatnonzero(o.target == target)
            gain[rows] = gain[rng.permutation(rows)]
        chances.append(gate.chance_of_known(training(data, gain), 0))
    assert np.mean(np.array(chances) <= gate.SURE) <= 1 / 12
    assert 0.2 < np.mean(chances) < 0.8


def test_a_held_out_source_effect_is_found_only_if_it_is_predicted() -> None:
    rng = np.random.default_rng(1)
    source, column = (axis.ravel() for axis in np.indices((8, 20)))
    effect, block = rng.normal(size=8), np.zeros(160, dtype=int)
    truth = effect[source] + 0.3 * rng.normal(size=160)
    sure = gate.chance_of_new(truth, {EVIDENCE: effect[source]}, block, source, column, 0)
    # One number per source: 160 cells, but eight witnesses.
    other = [
        gate.chance_of_new(truth, {EVIDENCE: rng.normal(size=8)[source]}, block, source, column, 0) for _ in range(20)
    ]
    assert sure < 0.02
    assert 0.25 < np.mean(other) < 0.75
    assert gate.chance_of_new(truth, {NOTHING: np.zeros(160)}, block, source, column, 0) == 1.0


def test_the_richest_that_no_simpler_one_beats() -> None:
    rng = np.random.default_rng(0)
    target, noise = np.arange(30), 0.1 * rng.normal(size=30)
    values = {NOTHING: np.zeros(30), SOURCE_MEAN: 0.3 + noise, EVIDENCE: 0.3 + noise[::-1], FULL: 0.5 + noise}
    assert gate.chosen(values, target) == FULL
    assert gate.chosen(values | {FULL: 0.3 + noise}, target) == FULL
    assert gate.chosen(values | {FULL: 0.25 + noise}, target) in (SOURCE_MEAN, EVIDENCE)
    assert gate.chosen(values | {FULL: 0.25 + noise, EVIDENCE: 0.2 + noise}, target) == SOURCE_MEAN
    assert gate.chosen({NOTHING: np.zeros(30), SOURCE_MEAN: noise - 0.2}, target) == NOTHING


def test_the_resolution_is_the_least_difference_that_is_right_three_times_out_of_four() -> None:
    rng = np.random.default_rng(0)
    order = rng.normal(size=400)
    lists = [np.arange(k, k + 20) for k in range(0, 400, 20)]
    least = gate.resolution(order + 2 * rng.normal(size=400), order, lists)
    assert least is not None
    i, j = np.triu_indices(20, k=1)
    gaps = np.concatenate([np.abs(order[rows[i]] - order[rows[j]]) for rows in lists])
    assert 0.1 < least < gaps.max()
    assert gate.resolution(rng.normal(size=400), order, lists) is None
    assert gate.resolution(order, order, lists) == pytest.approx(gaps.min())


def test_evidence_by_hand(data: Data) -> None:
    found = training(data)
    gains = found.gains
    allowed = gains.targets & ~found.same
    weight = weights(data.asked.of_target, allowed)
    assert weight.sum(axis=1) == pytest.approx(1.0)
    assert np.diag(weight).max() == 0.0
    made = evidence.carried(gains, weight)[0, 3, 5]
    known = [t for t in range(18) if t not in (3, 5)]
    assert made == pytest.approx(weight[5, known] @ gains.z[0, 3, known] / weight[5, known].sum())
    # 16 other targets stand against two pseudo-targets of like sources.
    closed = orders(gains, data.asked, KNOWN, found.same, found.same)[EVIDENCE][0, 3, 5]
    like = evidence.like_sources(
        evidence.carried(gains, weight), weights(data.asked.of_source, gains.sources & ~found.same)
    )
    share = 17 / 19
    expected = share * made + (1 - share) * like[0, 3, 5]
    assert closed == pytest.approx(expected)


def test_a_noisy_target_counts_less(world: ProfileSet, cells_of: Callable[..., Cells]) -> None:
    observations = observe(cells_of(world, seeds=3), world)
    noisy = observations.target == 4
    assert np.isfinite(observations.noise).all()
    louder = replace(observations, noise=np.where(noisy, observations.gain[noisy].var(), observations.noise))
    calm, loud = (evidence.standardise(o).reliability[0] for o in (observations, louder))
    assert loud[4] < 0.3 < 0.9 < calm[4]
    assert np.delete(loud, 4) == pytest.approx(np.delete(calm, 4))


def test_a_shuffle_moves_the_sources_of_a_target_alike_in_all_models() -> None:
    rng = np.random.default_rng(0)
    table = np.broadcast_to(np.arange(7.0)[:, None], (2, 7, 7)).copy()
    table[:, np.arange(7), np.arange(7)] = np.nan
    table[1, 2:4, 5] = np.nan  # measured in one model only
    made, again = gate._shuffled((table, 10 * table), rng.random((7, 7)))
    assert np.array_equal(np.sort(made, axis=1), np.sort(table, axis=1), equal_nan=True)
    assert np.array_equal(again, 10 * made, equal_nan=True)
    assert not np.array_equal(made, table, equal_nan=True)
    assert np.isnan(made[:, np.arange(7), np.arange(7)]).all(), "never where source and target are one"
    both = ~np.isnan(made).any(axis=0)
    assert np.array_equal(made[0][both], made[1][both])
    assert np.isnan(made[1]).sum(axis=0).tolist() == [1, 1, 1, 1, 1, 3, 1]
