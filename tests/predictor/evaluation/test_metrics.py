"""Metrics against scipy, scikit-learn, brute force over tie-breaks, and hand-computed values."""

from __future__ import annotations

from itertools import pairwise, permutations
from math import isnan, log2, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import ndcg_score

from traitcast.predictor.evaluation import metrics
from traitcast.predictor.evaluation.resampling import Block, resampled

small = arrays(np.float64, st.integers(2, 6), elements=st.integers(-3, 3).map(float))
pairs = st.integers(2, 7).flatmap(
    lambda n: st.tuples(*[arrays(np.float64, n, elements=st.integers(-4, 4).map(float))] * 2)
)


@given(pairs)
def test_spearman_is_that_of_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = pair
    if np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        assert isnan(metrics.spearman(truth, predicted))
    else:
        assert metrics.spearman(truth, predicted) == pytest.approx(spearmanr(truth, predicted).statistic)


@given(st.permutations(range(8)), st.permutations(range(8)))
def test_pairwise_accuracy_is_kendalls_tau_without_ties(a: list[int], b: list[int]) -> None:
    tau = kendalltau(a, b).statistic
    assert metrics.pairwise_accuracy(np.array(a, float), np.array(b, float)) == pytest.approx((1 + tau) / 2)


def test_pairwise_accuracy_counts_predicted_ties_half_and_skips_true_ones() -> None:
    truth, predicted = np.array([1.0, 1.0, 2.0, 3.0]), np.array([0.0, 5.0, 0.0, 1.0])
    # Pairs with different truth: (0,2) tie, (0,3) right, (1,2) wrong, (1,3) wrong, (2,3) right.
    assert metrics.pairwise_accuracy(truth, predicted) == pytest.approx(2.5 / 5)
    assert isnan(metrics.pairwise_accuracy(np.ones(3), predicted[:3]))


@given(pairs)
def test_ndcg_is_that_of_scikit_learn_on_scaled_gains(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = pair
    if np.ptp(truth) == 0:
        assert isnan(metrics.ndcg(truth, predicted))
        return
    relevance = (truth - truth.min()) / np.ptp(truth)
    assert metrics.ndcg(truth, predicted) == pytest.approx(ndcg_score([relevance], [predicted]))


def test_ndcg_by_hand() -> None:
    truth, predicted = np.array([0.0, 5.0, 10.0]), np.array([3.0, 2.0, 1.0])
    expected = (0 / log2(2) + 0.5 / log2(3) + 1 / log2(4)) / (1 / log2(2) + 0.5 / log2(3))
    assert metrics.ndcg(truth, predicted) == pytest.approx(expected)


@given(small, st.data(), st.integers(1, 5))
def test_regret_is_the_mean_over_all_ways_to_break_ties(truth: np.ndarray, data: st.DataObject, k: int) -> None:
    predicted = data.draw(arrays(np.float64, truth.size, elements=st.integers(0, 2).map(float)))
    orders = [o for o in permutations(range(truth.size)) if all(predicted[i] >= predicted[j] for i, j in pairwise(o))]
    regrets = [truth.max() - max(truth[list(order[:k])]) for order in orders]
    assert metrics.regret_at(k, truth, predicted) == pytest.approx(np.mean(regrets))


def test_sign_accuracy_by_hand() -> None:
    truth, predicted = np.array([1.0, -1.0, 0.0, 2.0]), np.array([3.0, 1.0, 5.0, 0.0])
    assert metrics.sign_accuracy(truth, predicted) == pytest.approx((1 + 0 + 0.5) / 3)
    assert isnan(metrics.sign_accuracy(np.zeros(2), np.ones(2)))


def test_a_block_is_ranked_alone_and_targets_weigh_the_same() -> None:
    truth = np.array([1.0, 2.0, 3.0, 3.0, 2.0])
    predicted = np.array([1.0, 2.0, 3.0, 1.0, 2.0])
    scored = metrics.score(truth, predicted, np.full(5, 1.5), np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 0]))
    summary = metrics.summarise(scored)
    assert summary["spearman"]["value"] == pytest.approx((1 - 1) / 2)
    assert summary["rmse"]["value"] == pytest.approx(np.sqrt((0 + (4 + 0) / 2) / 2))
    assert summary["coverage_90"]["value"] == pytest.approx((1 + 0.5) / 2)
    split = metrics.score(truth, predicted, np.full(5, 1.5), np.zeros(5, int), np.array([0, 0, 0, 1, 1]))
    assert metrics.summarise(split)["spearman"]["value"] == pytest.approx(0.0)


def test_a_constant_prediction_has_no_spearman_but_counts_as_random_beside_others() -> None:
    truth = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    target, block = np.array([0, 0, 0, 1, 1, 1]), np.zeros(6, int)
    none = np.full(6, nan)
    constant = metrics.summarise(metrics.score(truth, np.zeros(6), none, target, block))
    assert isnan(constant["spearman"]["value"])
    assert constant["pairwise_accuracy"]["value"] == 0.5
    assert isnan(constant["coverage_90"]["value"])
    half = metrics.score(truth, np.array([1.0, 2, 3, 0, 0, 0]), none, target, block)
    assert metrics.summarise(half)["spearman"]["value"] == pytest.approx(0.5)


def test_bootstrap_is_over_targets() -> None:
    rng = np.random.default_rng(1)
    target = np.repeat(np.arange(30), 6)
    truth = rng.normal(size=180)
    predicted = truth + rng.normal(size=180)
    scored = metrics.score(truth, predicted, np.full(180, nan), target, np.zeros(180, int))
    per_target = scored.values[:, metrics.METRICS.index("spearman")]
    estimate = metrics.summarise(scored)["spearman"]
    standard_error = per_target.std(ddof=1) / np.sqrt(30)
    assert estimate["value"] == pytest.approx(per_target.mean())
    assert estimate["high"] - estimate["low"] == pytest.approx(2 * 1.96 * standard_error, rel=0.15)


def test_two_targets_have_no_interval() -> None:
    scored = metrics.score(
        np.array([1.0, 2, 1, 2]), np.array([1.0, 2, 1, 2]), np.full(4, nan), np.array([0, 0, 1, 1]), np.zeros(4, int)
    )
    assert isnan(metrics.summarise(scored)["spearman"]["low"])
    assert isnan(metrics.difference(scored, scored, "spearman")["high"])


def test_a_difference_of_a_predictor_with_itself_is_zero() -> None:
    rng = np.random.default_rng(2)
    target = np.repeat(np.arange(5), 4)
    scored = metrics.score(rng.normal(size=20), rng.normal(size=20), np.full(20, nan), target, np.zeros(20, int))
    assert metrics.difference(scored, scored, "spearman") == {"value": 0.0, "low": 0.0, "high": 0.0}


def draws_of(size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, size - 1), min_size=size, max_size=size)


@given(pairs, st.data())
def test_a_resampled_block_is_the_list_with_its_repeats(
    pair: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    truth, predicted = pair
    half = np.full(truth.size, 2.0)
    chosen = data.draw(draws_of(truth.size))
    drawn = np.bincount(chosen, minlength=truth.size)[None]
    block = Block(truth, predicted, predicted, half, np.arange(truth.size))
    found = dict(zip(metrics.METRICS, resampled(block, drawn)[0], strict=True))
    repeated = metrics.score(
        truth[chosen], predicted[chosen], half[chosen], np.zeros(len(chosen), int), np.zeros(len(chosen), int)
    )
    wanted = dict(zip(metrics.METRICS, repeated.values[0], strict=True))
    if np.isnan(wanted["spearman"]) and not np.isnan(wanted["pairwise_accuracy"]):
        wanted["spearman"] = 0.0
    for name in ("spearman", "pairwise_accuracy", "ndcg", "rmse", "sign_accuracy", "coverage_90"):
        assert found[name] == pytest.approx(wanted[name], nan_ok=True, abs=1e-9), name
    distinct = np.unique(chosen)
    if np.unique(predicted).size == predicted.size and distinct.size > 1:
        for k in (1, 3, 5):
            assert found[f"regret_at_{k}"] == pytest.approx(metrics.regret_at(k, truth[distinct], predicted[distinct]))


def scores_of_sources(seed: int, sources: int = 24, targets: int = 16) -> tuple[metrics.Scored, metrics.Scored]:
    """Sources with levels that nothing foretells, in folds of six: over targets alone, and over both."""
    rng = np.random.default_rng(seed)
    source, target = (axis.ravel() for axis in np.indices((sources, targets)))
    truth = rng.normal(size=sources)[source] + 0.5 * rng.normal(size=source.size)
    predicted = rng.normal(size=sources)[source] + 0.5 * rng.normal(size=source.size)
    none = np.full(source.size, nan)
    known, sampled = (metrics.score(truth, predicted, none, target, source // 6, source=s) for s in (None, source))
    return known, sampled


def test_a_bootstrap_over_sources_too_covers_what_one_over_targets_does_not() -> None:
    """Nothing foretells anything, so the true Spearman is 0; the levels of sources are shared by all targets."""
    covered = {"targets": 0, "both": 0}
    for seed in range(20):
        for name, scored in zip(covered, scores_of_sources(seed), strict=True):
            estimate = metrics.summarise(scored)["spearman"]
            covered[name] += estimate["low"] <= 0 <= estimate["high"]
    assert covered["both"] >= 18
    assert covered["targets"] <= 12


def test_both_bootstraps_agree_on_the_value_and_draw_a_difference_together() -> None:
    known, sampled = scores_of_sources(0)
    one, two = (metrics.summarise(scored) for scored in (known, sampled))
    assert {name: m["value"] for name, m in one.items() if name != "coverage_90"} == {
        name: m["value"] for name, m in two.items() if name != "coverage_90"
    }
    assert metrics.difference(sampled, sampled, "spearman") == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert metrics.bootstrap(sampled, 0) is metrics.bootstrap(sampled, 0)


def test_a_constant_prediction_has_no_spearman_in_any_draw() -> None:
    source, target = (axis.ravel() for axis in np.indices((6, 5)))
    truth = np.random.default_rng(0).normal(size=30)
    constant = metrics.score(truth, np.zeros(30), np.full(30, nan), target, np.zeros(30, int), source=source)
    estimate = metrics.summarise(constant)["spearman"]
    assert isnan(estimate["value"])
    assert isnan(estimate["low"])
    assert metrics.summarise(constant)["pairwise_accuracy"]["low"] == 0.5
