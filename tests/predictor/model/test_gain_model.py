"""The gain model: the spread and the level of a target that was not measured, and how far they may be off."""

from __future__ import annotations

import numpy as np
import pytest

from traitcast.predictor.model.evidence import Gains
from traitcast.predictor.model.gain_model import KNOWN, SOURCE_MEAN, Asked, GainModel, Training, fit_gain_model, orders

N = 24
KIND = np.arange(N) % 2  # targets of kind 1 spread ten times as far as those of kind 0
SPREAD = np.where(KIND == 1, 10.0, 1.0)
SELF = np.eye(N, dtype=bool)


def asked() -> Asked:
    """All datasets in both roles."""
    like = np.broadcast_to(np.where(KIND[:, None] == KIND, 1.0, -1.0), (3, N, N))
    return Asked(like, like, np.zeros((N, N)), np.zeros((N, N)), np.arange(N), np.arange(N))


def model_of(spread: np.ndarray, seed: int = 0) -> tuple[GainModel, Asked]:
    """A matrix of N datasets in two kinds that are alike within, without any order of sources."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(1, N, N))
    z[:, np.arange(N), np.arange(N)] = np.nan
    gains = Gains(z, (rng.normal(size=N) * spread)[None], spread[None] * 1.0, np.ones((1, N)))
    every = asked()
    model, source, target = (of.ravel() for of in np.indices(z.shape))
    kept = source != target
    training = Training(gains, every, model[kept], source[kept], target[kept], np.zeros((kept.sum(), 0)), np.arange(N))
    new = Asked(every.of_source, every.of_target, every.own, every.close, np.full(N, -1), np.full(N, -1))
    return fit_gain_model(training, {}), new


def test_a_new_target_has_the_spread_and_the_uncertainty_of_its_kind() -> None:
    model, new = model_of(SPREAD)
    level, spread, variance = model.levels(new)
    # A fifth of the weight is spread over both kinds.
    assert spread[0] == pytest.approx(10 ** np.where(KIND == 1, 0.9, 0.1), rel=0.01)
    # Levels were drawn with the spread of their target.
    assert np.sqrt(variance[0]) == pytest.approx(SPREAD, rel=0.5)
    assert model.scale(new)[0, 0] == pytest.approx(np.sqrt(variance[0] + spread[0] ** 2))
    assert np.abs(level).max() < 10


def test_spreads_that_have_nothing_to_do_with_likeness_are_averaged() -> None:
    model, new = model_of(np.where(np.arange(N) // 2 % 2, 10.0, 1.0))
    assert model.levels(new)[1][0] == pytest.approx(np.sqrt(10.0), rel=0.01)
    assert not model.spread.by_likeness


def test_a_source_mean_is_in_spreads_whatever_the_unit_of_the_gains() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1, N, N))
    kinds = [
        orders(
            Gains(z, np.full((1, N), 3.0 * unit), np.full((1, N), unit), np.ones((1, N))), asked(), KNOWN, SELF, SELF
        )
        for unit in (1.0, 300.0)
    ]
    np.testing.assert_allclose(kinds[0][SOURCE_MEAN], kinds[1][SOURCE_MEAN])
    assert 0.1 < kinds[0][SOURCE_MEAN].std() < 1
