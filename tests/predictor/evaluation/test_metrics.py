"""Metrics against scipy, scikit-learn, brute force over tie-breaks, and hand-computed values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise, permutations
from math import isnan, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import ndcg_score

from traitcast.predictor.evaluation import metrics
from traitcast.predictor.evaluation.metrics import Block, values_of
from traitcast.predictor.evaluation.scoring import score, summarise

small = arrays(np.float64, st.integers(2, 6), elements=st.integers(-3, 3).map(float))
pairs = st.integers(2, 7).flatmap(
    lambda n: st.tuples(*[arrays(np.float64, n, elements=st.integers(-4, 4).map(float))] * 2)
)


def value(metric: Callable[..., np.ndarray], truth: np.ndarray, predicted: np.ndarray) -> float:
    """A metric of one list, every source once."""
    (found,) = metric(np.ones((1, truth.size)), truth, predicted)
    return float(found)


@given(pairs)
def test_spearman_is_that_of_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = pair
    found = value(metrics.spearman, truth, predicted)
    if np.ptp(truth) == 0:
        assert isnan(found)
    elif np.ptp(predicted) == 0:
        assert found == 0
    else:
        assert found == pytest.approx(spearmanr(truth, predicted).statistic)


@given(st.permutations(range(8)), st.permutations(range(8)))
def test_pairwise_accuracy_is_kendalls_tau_without_ties(a: list[int], b: list[int]) -> None:
    tau = kendalltau(a, b).statistic
    assert value(metrics.pairwise_accuracy, np.array(a, float), np.array(b, float)) == pytest.approx((1 + tau) / 2)


def test_pairwise_accuracy_counts_predicted_ties_half_and_skips_true_ones() -> None:
    truth, predicted = np.array([1.0, 1.0, 2.0, 3.0]), np.array([0.0, 5.0, 0.0, 1.0])
    # Pairs with different truth: (0,2) tie, (0,3) right, (1,2) wrong, (1,3) wrong, (2,3) right.
    assert value(metrics.pairwise_accuracy, truth, predicted) == pytest.approx(2.5 / 5)
    assert isnan(value(metrics.pairwise_accuracy, np.ones(3), predicted[:3]))


@given(pairs)
def test_ndcg_is_that_of_scikit_learn_on_scaled_gains(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = pair
    if np.ptp(truth) == 0:
        assert isnan(value(metrics.ndcg, truth, predicted))
        return
    relevance = (truth - truth.min()) / np.ptp(truth)
    assert value(metrics.ndcg, truth, predicted) == pytest.approx(ndcg_score([relevance], [predicted]))


def test_ndcg_by_hand() -> None:
    truth, predicted = np.array([0.0, 5.0, 10.0]), np.array([3.0, 2.0, 1.0])
    expected = (0 / log2(2) + 0.5 / log2(3) + 1 / log2(4)) / (1 / log2(2) + 0.5 / log2(3))
    assert value(metrics.ndcg, truth, predicted) == pytest.approx(expected)


@given(small, st.data(), st.integers(1, 5))
def test_regret_is_the_mean_over_all_ways_to_break_ties(truth: np.ndarray, data: st.DataObject, k: int) -> None:
    predicted = data.draw(arrays(np.float64, truth.size, elements=st.integers(0, 2).map(float)))
    orders = [o for o in permutations(range(truth.size)) if all(predicted[i] >= predicted[j] for i, j in pairwise(o))]
    regrets = [truth.max() - max(truth[list(order[:k])]) for order in orders]
    assert value(partial(metrics.regret_at, k), truth, predicted) == pytest.approx(np.mean(regrets))


def test_sign_accuracy_by_hand() -> None:
    truth, predicted = np.array([1.0, -1.0, 0.0, 2.0]), np.array([3.0, 1.0, 5.0, 0.0])
    assert value(metrics.sign_accuracy, truth, predicted) == pytest.approx((1 + 0 + 0.5) / 3)
    assert isnan(value(metrics.sign_accuracy, np.zeros(2), np.ones(2)))


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
    block = Block(truth, predicted, predicted, predicted, half, np.arange(truth.size))
    found = dict(zip(metrics.METRICS, values_of(block, drawn)[0], strict=True))
    repeated = Block(*(column[chosen] for column in (truth, predicted, predicted, predicted, half, block.source)))
    wanted = dict(zip(metrics.METRICS, values_of(repeated)[0], strict=True))
    for name in ("spearman", "pairwise_accuracy", "ndcg", "rmse", "sign_accuracy", "coverage_90"):
        assert found[name] == pytest.approx(wanted[name], nan_ok=True, abs=1e-9), name
    distinct = np.unique(chosen)
    if distinct.size > 1:
        for k in (1, 3, 5):
            assert found[f"regret_at_{k}"] == pytest.approx(
                value(partial(metrics.regret_at, k), truth[distinct], predicted[distinct])
            )


def test_regret_is_of_what_is_chosen_and_the_rest_of_what_is_predicted() -> None:
    truth = np.array([4.0, 3.0, 2.0, 1.0, 0.0])
    order, choice, half = truth.copy(), -truth, np.ones(5)
    found = dict(
        zip(metrics.METRICS, values_of(Block(truth, order, choice, order, half, np.arange(5)))[0], strict=True)
    )
    assert (found["regret_at_1"], found["regret_at_3"], found["regret_at_5"]) == (4.0, 2.0, 0.0)
    assert found["regret_at_3_spreads"] == pytest.approx(2 / truth.std())
    assert (found["spearman"], found["ndcg"], found["pairwise_accuracy"], found["rmse"]) == (1.0, 1.0, 1.0, 0.0)
    scored = score(truth, order, half, np.zeros(5, int), np.zeros(5, int), choice=choice)
    assert summarise(scored)["regret_at_3"]["value"] == 2.0
    assert summarise(score(truth, order, half, np.zeros(5, int), np.zeros(5, int)))["regret_at_3"]["value"] == 0.0
