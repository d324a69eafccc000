"""Intervals: quantiles by hand, coverage on synthetic data, and no look at a cell's own groups."""

from __future__ import annotations

import numpy as np
import pytest

from traitcast.predictor.model import intervals
from traitcast.predictor.model.intervals import Residuals


def test_weighted_quantile_by_hand() -> None:
    values, share = np.array([3.0, 1.0, 2.0]), np.array([0.2, 0.5, 0.3])
    assert intervals.weighted_quantile(values, share, 0.5) == 1.0
    assert intervals.weighted_quantile(values, share, 0.51) == 2.0
    assert intervals.weighted_quantile(values, share, 1.0) == 3.0


def test_every_target_weighs_the_same() -> None:
    # One target of 90 small errors, one of 10 large ones: by cells 90 % are small, by targets half.
    errors = np.concatenate([np.tile([1.0, -1.0], 45), np.tile([5.0, -5.0], 5)])
    made = intervals.residuals(errors, np.repeat([0, 1], [90, 10]))
    assert made.half_width(0.5 - 0.01) == 1.0
    assert made.half_width(0.9) == 5.0


def test_nan_errors_are_skipped() -> None:
    made = intervals.residuals(np.array([1.0, np.nan, -2.0]), np.array([0, 0, 1]))
    assert made.n == 2
    assert made.values.tolist() == [-2.0, -1.0, 1.0, 2.0]


def test_coverage_of_new_targets_is_near_ninety_percent() -> None:
    rng = np.random.default_rng(0)
    spread = rng.lognormal(0, 0.3, 400)
    offset = rng.normal(0, 0.5, 400)
    errors = offset[:, None] + spread[:, None] * rng.standard_t(5, (400, 30))
    made = intervals.residuals(errors[:200].ravel(), np.repeat(np.arange(200), 30))
    covered = np.mean(np.abs(errors[200:]) <= made.half_width())
    assert 0.88 < covered < 0.92


def test_cross_conformal_covers_and_never_sees_the_cells_own_groups() -> None:
    rng = np.random.default_rng(1)
    n = 20
    source, target = np.divmod(np.arange(n * n), n)
    errors = rng.normal(size=n)[target] + rng.normal(size=n * n)
    half = intervals.cross_conformal(errors, source, target, target)[1]
    assert 0.86 < np.mean(np.abs(errors) <= half) < 0.94
    cell = (source == 3) & (target == 7)
    changed = errors.copy()
    related = np.isin(source, [3, 7]) | np.isin(target, [3, 7])
    changed[related] *= 100
    assert intervals.cross_conformal(changed, source, target, target)[1][cell] == half[cell]
    assert intervals.cross_conformal(errors * 2, source, target, target)[1][cell] == pytest.approx(2 * half[cell])


def test_cross_conformal_equals_the_plain_quantile() -> None:
    rng = np.random.default_rng(2)
    n = 9
    source, target = np.divmod(np.arange(n * n), n)
    errors = rng.normal(size=n * n)
    half = intervals.cross_conformal(errors, source, target, target)[1]
    apart = ~np.isin(source, [2, 5]) & ~np.isin(target, [2, 5])
    expected = intervals.residuals(errors[apart], target[apart]).half_width()
    assert half[(source == 2) & (target == 5)] == expected


def test_too_few_other_cells_give_no_interval() -> None:
    source, target = np.array([0, 1, 2]), np.array([1, 2, 0])
    assert np.isnan(intervals.cross_conformal(np.ones(3), source, target, target)[1]).all()


def test_harm_is_the_smoothed_share_of_residuals_below() -> None:
    made = Residuals(np.array([-2.0, -1.0, 0.0, 1.0]), np.full(4, 0.25), 4)
    assert made.harm(np.array([10.0, 1.5, -10.0])).tolist() == [
        pytest.approx(0.5 / 5),
        pytest.approx(1.5 / 5),
        pytest.approx(4.5 / 5),
    ]
    assert (np.diff(made.harm(np.linspace(-3, 3, 50))) <= 0).all()


def test_compression_keeps_the_distribution() -> None:
    rng = np.random.default_rng(3)
    errors = rng.standard_t(4, 5000)
    made = intervals.residuals(errors, rng.integers(0, 30, 5000))
    small = made.compressed()
    assert small.values.size == 401
    assert small.half_width() == pytest.approx(made.half_width(), rel=0.03)
    assert small.harm(np.array([0.7]))[0] == pytest.approx(made.harm(np.array([0.7]))[0], abs=0.01)
    assert small.compressed() is small


def test_a_skewed_error_moves_the_gain_to_the_median_and_keeps_gain_and_harm_of_one_mind() -> None:
    rng = np.random.default_rng(0)
    errors = rng.exponential(10, 4001) - 10  # mean 0, median about -3
    made = intervals.residuals(errors, rng.integers(0, 30, 4001))
    assert made.centre == pytest.approx(10 * np.log(2) - 10, abs=0.5)
    means = np.linspace(-8, 8, 33)
    moved = means + made.centre
    assert ((made.harm(means) < 0.5) == (moved > 0))[np.abs(moved) > 0.1].all()
    assert np.mean(np.abs(errors - made.centre) <= made.half_width()) == pytest.approx(0.9, abs=0.01)


def test_few_targets_say_nothing_about_the_side_of_the_errors() -> None:
    made = intervals.residuals(np.concatenate([np.full(30, 4.0), np.full(10, 6.0)]), np.repeat([0, 1], [30, 10]))
    assert made.centre == 0
    assert made.half_width() == 6
    assert made.harm(np.array([0.0]))[0] == pytest.approx(0.5)
    assert made.n == 40


def test_few_residuals_widen_the_interval_as_split_conformal_prediction_does() -> None:
    errors = np.concatenate([-np.arange(1.0, 11.0)[::-1], np.arange(1.0, 11.0)])
    few, many = (Residuals(errors, np.full(20, 1 / 20), n) for n in (20, 2000))
    # 90 % of the sizes 1 to 10 is 9; of 20 residuals, 90 % * (1 + 1/20) is more than nine tenths.
    assert (few.half_width(), many.half_width(0.895)) == (10.0, 9.0)
    assert few.half_width(0.85) == 9.0
