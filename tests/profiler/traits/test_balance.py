from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from traitcast.profiler.text.histogram import ValueCounts
from traitcast.profiler.traits import balance


def test_label_traits_by_hand() -> None:
    found = balance.label_traits(np.array([6, 2]))
    values = {name: estimate.value for name, estimate in found.items()}
    entropy = 0.75 * math.log2(4 / 3) + 0.25 * 2
    assert values == {
        "class_count": 2,
        "entropy_bits": pytest.approx(entropy),
        "entropy_normalised": pytest.approx(entropy),
        "majority_share": 0.75,
        "minority_share": 0.25,
        "imbalance_ratio": 3,
        "effective_classes": pytest.approx(2**entropy),
        "gini_simpson": 0.375,
    }
    assert {estimate.n for estimate in found.values()} == {8}
    assert {estimate.standard_error for estimate in found.values()} == {None}


def test_one_class_has_no_evenness() -> None:
    found = balance.label_traits(np.array([5]))
    assert found["entropy_normalised"].value is None
    assert found["entropy_bits"].value == 0
    assert found["imbalance_ratio"].value == 1
    assert found["effective_classes"].value == 1


def test_no_labels_means_undefined_and_not_zero() -> None:
    none = np.zeros(0, dtype=np.int64)
    for found in (balance.label_traits(none), balance.response_traits(ValueCounts())):
        assert {estimate.value for estimate in found.values()} == {None}


def test_response_traits_by_hand() -> None:
    values = {
        name: estimate.value for name, estimate in balance.response_traits(ValueCounts.of(np.array([1, 1, 2]))).items()
    }
    assert values["distinct_count"] == 3
    assert values["distinct_share"] == 0.75
    assert values["majority_share"] == 0.5
    assert values["gini_simpson"] == pytest.approx(1 - (1 + 1 + 4) / 16)
    assert values["effective_values"] == pytest.approx(2**1.5)


counts = st.lists(st.integers(1, 10**6), min_size=1, max_size=50).map(np.array)


@given(counts)
def test_entropy_against_scipy(counts: np.ndarray) -> None:
    assert balance.entropy(counts) == pytest.approx(stats.entropy(counts, base=2), abs=1e-9)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=50).map(np.array))
def test_counts_that_are_alike_may_be_given_once(counts: np.ndarray) -> None:
    often, alike = np.unique(counts, return_counts=True)
    for function in (balance.entropy, balance.entropy_normalised, balance.gini_simpson):
        assert function(often, alike) == pytest.approx(function(counts), rel=1e-12, abs=1e-12, nan_ok=True)


@given(counts)
def test_every_trait_is_in_its_range(counts: np.ndarray) -> None:
    values = {name: estimate.value for name, estimate in balance.label_traits(counts).items()}
    assert 0 <= values["gini_simpson"] <= 1  # type: ignore[operator]
    assert 1 - 1e-9 <= values["effective_classes"] <= len(counts) * (1 + 1e-9)  # type: ignore[operator]
    assert values["entropy_normalised"] is None or 0 <= values["entropy_normalised"] <= 1


def test_value_counts_order_and_nulls() -> None:
    column = pa.chunked_array([["b", None, "a"], ["c", "c"]])
    assert balance.by_frequency(balance.value_counts(column)) == (("c", 2), ("a", 1), ("b", 1))
    assert balance.value_counts(pa.chunked_array([pa.array([None], pa.string())])) == {}
