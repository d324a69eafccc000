"""Scores over targets: what is ranked together, what weighs the same, and what the bootstraps cover."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest

from traitcast.predictor.evaluation import scoring
from traitcast.predictor.evaluation.metrics import METRICS


def test_a_block_is_ranked_alone_and_targets_weigh_the_same() -> None:
    truth = np.array([1.0, 2.0, 3.0, 3.0, 2.0])
    predicted = np.array([1.0, 2.0, 3.0, 1.0, 2.0])
    scored = scoring.score(truth, predicted, np.full(5, 1.5), np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 0]))
    summary = scoring.summarise(scored)
    assert summary["spearman"]["value"] == pytest.approx((1 - 1) / 2)
    assert summary["rmse"]["value"] == pytest.approx(np.sqrt((0 + (4 + 0) / 2) / 2))
    assert summary["coverage_90"]["value"] == pytest.approx((1 + 0.5) / 2)
    split = scoring.score(truth, predicted, np.full(5, 1.5), np.zeros(5, int), np.array([0, 0, 0, 1, 1]))
    assert scoring.summarise(split)["spearman"]["value"] == pytest.approx(0.0)


def test_a_constant_prediction_has_no_spearman_but_counts_as_random_beside_others() -> None:
    truth = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    target, block = np.array([0, 0, 0, 1, 1, 1]), np.zeros(6, int)
    none = np.full(6, nan)
    constant = scoring.summarise(scoring.score(truth, np.zeros(6), none, target, block))
    assert isnan(constant["spearman"]["value"])
    assert constant["pairwise_accuracy"]["value"] == 0.5
    assert isnan(constant["coverage_90"]["value"])
    half = scoring.score(truth, np.array([1.0, 2, 3, 0, 0, 0]), none, target, block)
    assert scoring.summarise(half)["spearman"]["value"] == pytest.approx(0.5)


def test_bootstrap_is_over_targets() -> None:
    rng = np.random.default_rng(1)
    target = np.repeat(np.arange(30), 6)
    truth = rng.normal(size=180)
    predicted = truth + rng.normal(size=180)
    scored = scoring.score(truth, predicted, np.full(180, nan), target, np.zeros(180, int))
    per_target = scored.values[:, METRICS.index("spearman")]
    estimate = scoring.summarise(scored)["spearman"]
    standard_error = per_target.std(ddof=1) / np.sqrt(30)
    assert estimate["value"] == pytest.approx(per_target.mean())
    assert estimate["high"] - estimate["low"] == pytest.approx(2 * 1.96 * standard_error, rel=0.15)


def test_two_targets_have_no_interval() -> None:
    scored = scoring.score(
        np.array([1.0, 2, 1, 2]), np.array([1.0, 2, 1, 2]), np.full(4, nan), np.array([0, 0, 1, 1]), np.zeros(4, int)
    )
    assert isnan(scoring.summarise(scored)["spearman"]["low"])
    assert isnan(scoring.difference(scored, scored, "spearman")["high"])


def test_a_difference_of_a_predictor_with_itself_is_zero() -> None:
    rng = np.random.default_rng(2)
    target = np.repeat(np.arange(5), 4)
    scored = scoring.score(rng.normal(size=20), rng.normal(size=20), np.full(20, nan), target, np.zeros(20, int))
    assert scoring.difference(scored, scored, "spearman") == {"value": 0.0, "low": 0.0, "high": 0.0}


def scores_of_sources(seed: int, sources: int = 24, targets: int = 16) -> tuple[scoring.Scored, scoring.Scored]:
    """Sources with levels that nothing predicts, in folds of six: over targets alone, and over both."""
    rng = np.random.default_rng(seed)
    source, target = (axis.ravel() for axis in np.indices((sources, targets)))
    truth = rng.normal(size=sources)[source] + 0.5 * rng.normal(size=source.size)
    predicted = rng.normal(size=sources)[source] + 0.5 * rng.normal(size=source.size)
    none = np.full(source.size, nan)
    known, sampled = (scoring.score(truth, predicted, none, target, source // 6, source=s) for s in (None, source))
    return known, sampled


def test_a_bootstrap_over_sources_too_covers_what_one_over_targets_does_not() -> None:
    """Nothing predicts anything, so the true Spearman is 0; the levels of sources are shared by all targets."""
    covered = {"targets": 0, "both": 0}
    for seed in range(20):
        for name, scored in zip(covered, scores_of_sources(seed), strict=True):
            estimate = scoring.summarise(scored)["spearman"]
            covered[name] += estimate["low"] <= 0 <= estimate["high"]
    assert covered["both"] >= 18
    assert covered["targets"] <= 12


def test_both_bootstraps_agree_on_the_value_and_draw_a_difference_together() -> None:
    known, sampled = scores_of_sources(0)
    one, two = (scoring.summarise(scored) for scored in (known, sampled))
    assert {name: m["value"] for name, m in one.items() if name != "coverage_90"} == {
        name: m["value"] for name, m in two.items() if name != "coverage_90"
    }
    assert scoring.difference(sampled, sampled, "spearman") == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert scoring.bootstrap(sampled, 0) is scoring.bootstrap(sampled, 0)


def test_a_constant_prediction_has_no_spearman_in_any_draw() -> None:
    source, target = (axis.ravel() for axis in np.indices((6, 5)))
    truth = np.random.default_rng(0).normal(size=30)
    constant = scoring.score(truth, np.zeros(30), np.full(30, nan), target, np.zeros(30, int), source=source)
    estimate = scoring.summarise(constant)["spearman"]
    assert isnan(estimate["value"])
    assert isnan(estimate["low"])
    assert scoring.summarise(constant)["pairwise_accuracy"]["low"] == 0.5
