from __future__ import annotations

import math

import numpy as np
import pytest

from tests.profiler.conftest import averaged
from traitcast.profiler.text.estimates import Estimate, exact, ratio


def mean(values: np.ndarray, *, rows: int) -> Estimate:
    return averaged({"trait": values}, rows)["trait"]


def test_mean_skips_undefined_documents_and_counts_the_rest() -> None:
    estimate = mean(np.array([1.0, np.nan, 3.0]), rows=3)
    assert (estimate.value, estimate.standard_error, estimate.n) == (2.0, None, 2)


def test_standard_error_is_corrected_for_the_share_of_rows_drawn() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    estimate = mean(values, rows=16)
    assert estimate.standard_error == pytest.approx(values.std(ddof=1) / 2 * math.sqrt(1 - 4 / 16))


def test_no_error_is_invented() -> None:
    assert mean(np.array([1.0, 2.0]), rows=2).standard_error is None
    assert mean(np.array([1.0]), rows=50).standard_error is None
    assert mean(np.array([np.nan]), rows=50).value is None


def test_standard_error_covers_the_true_mean() -> None:
    rng = np.random.default_rng(0)
    population = rng.gamma(2.0, 3.0, size=1000)
    inside = 0
    for _ in range(400):
        estimate = mean(rng.choice(population, 300, replace=False), rows=1000)
        assert estimate.value is not None
        assert estimate.standard_error is not None
        inside += abs(estimate.value - population.mean()) < 1.96 * estimate.standard_error
    assert 0.92 <= inside / 400 <= 0.98


def test_standard_error_of_a_mean_over_the_rows_that_have_a_value() -> None:
    """Against the spread of the mean itself over many draws, with how many values are defined left to chance."""
    rng = np.random.default_rng(1)
    population = np.where(rng.random(1000) < 0.4, rng.gamma(2.0, 3.0, size=1000), np.nan)
    draws = [mean(rng.choice(population, 600, replace=False), rows=1000) for _ in range(2000)]
    spread = np.array([estimate.value for estimate in draws], dtype=np.float64).std()
    errors = np.array([estimate.standard_error for estimate in draws], dtype=np.float64)
    assert errors.mean() == pytest.approx(spread, rel=0.05)
    assert min(estimate.n for estimate in draws) < max(estimate.n for estimate in draws)


def test_ratio_is_undefined_over_zero() -> None:
    np.testing.assert_array_equal(ratio(np.array([1, 0, 3]), np.array([2, 0, 0])), [0.5, np.nan, np.nan])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_a_number_becomes_none(value: float) -> None:
    assert exact(value, 5).value is None
