from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.profiler.conftest import averaged
from traitcast.profiler.text.estimates import Estimate, ratio
from traitcast.profiler.text.exact_sums import Moments, PairMoments
from traitcast.profiler.text.histogram import Distribution, ValueCounts
from traitcast.profiler.traits import lengths


def _row_traits(characters: np.ndarray, words: np.ndarray, lines: np.ndarray) -> dict[str, Estimate]:
    per_line = Moments()
    per_line.add(ratio(characters, lines))
    return lengths.row_traits(ValueCounts.of(characters), ValueCounts.of(words), ValueCounts.of(lines), per_line)


def _pair_traits(prompt: np.ndarray, response: np.ndarray) -> dict[str, Estimate]:
    logs = PairMoments()
    logs.add(np.log1p(prompt), np.log1p(response))
    return lengths.pair_traits(logs)


def _sample_traits(tokens: np.ndarray, sentences: np.ndarray, *, rows: int) -> dict[str, Estimate]:
    held = ValueCounts.of(tokens[np.isfinite(tokens)].astype(np.int64))
    return averaged(lengths.document_traits(tokens, sentences), rows) | lengths.token_traits(held)


def test_row_traits_by_hand() -> None:
    words = np.array([1, 2, 3, 10])
    found = _row_traits(words * 5, words, np.array([1, 1, 1, 3]))
    assert found["words_mean"].value == 4
    assert found["words_sd"].value == pytest.approx(math.sqrt(12.5))
    assert found["words_cv"].value == pytest.approx(math.sqrt(12.5) / 4)
    assert found["words_q50"].value == 2.5
    assert found["characters_mean"].value == 20
    assert found["lines_mean"].value == 1.5
    assert found["words_mean"].standard_error is None
    assert found["words_mean"].spread == pytest.approx(math.sqrt(50 / 3))
    assert found["line_characters_mean"].value == pytest.approx((5 + 10 + 15 + 50 / 3) / 4)
    assert found["words_q99"].value == pytest.approx(3 + 0.97 * 7)
    assert found["words_histogram_entropy"].value == 2  # each length has a bin of its own


def test_constant_lengths_have_no_skewness_and_no_correlation() -> None:
    constant = np.array([3, 3, 3])
    assert _row_traits(constant, constant, constant)["words_skewness"].value is None
    assert _row_traits(constant, constant, constant)["words_bimodality"].value is None
    assert _row_traits(constant, constant, constant)["words_histogram_entropy"].value == 0
    assert _pair_traits(constant, np.array([1, 2, 3]))["length_correlation"].value is None


def test_no_documents() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert {e.value for e in _row_traits(none, none, none).values()} == {None}
    assert {e.value for e in _sample_traits(none * 1.0, none * 1.0, rows=0).values()} == {None}
    assert lengths.histogram(ValueCounts(), "prompt") == ()


def test_sample_traits_by_hand() -> None:
    found = _sample_traits(np.array([1.0, 1.0, 4.0, 0.0]), np.array([1.0, 1.0, 2.0, 0.0]), rows=100)
    assert found["tokens_mean"].value == 1.5
    assert found["tokens_mean"].standard_error == pytest.approx(math.sqrt(3) / 2 * math.sqrt(0.96))
    assert found["sentence_tokens_mean"].value == pytest.approx(4 / 3)
    assert found["sentence_tokens_mean"].n == 3
    assert found["tokens_q50"].value == 1


def test_rows_without_the_part_are_drawn_and_not_counted() -> None:
    tokens, sentences = np.array([1.0, np.nan, 1.0, 4.0, np.nan]), np.array([1.0, np.nan, 1.0, 2.0, np.nan])
    found = _sample_traits(tokens, sentences, rows=10) | averaged(
        {"one_token_share": lengths.is_one_token(tokens), **lengths.document_ratios(np.full(5, 2.0), tokens)}, 10
    )
    assert {estimate.n for estimate in found.values()} == {3}
    assert found["tokens_q50"].value == 1
    assert found["tokens_sd"].value == pytest.approx(math.sqrt(3))
    assert found["one_token_share"].value == pytest.approx(2 / 3)
    assert found["length_ratio_mean"].value == 1
    # Five of ten rows were drawn, not three.
    assert found["tokens_mean"].standard_error == pytest.approx(math.sqrt(3) / math.sqrt(3) * math.sqrt(0.5))
    assert found["one_token_share"].standard_error == pytest.approx(math.sqrt(1 / 3) / math.sqrt(3) * math.sqrt(0.5))


def test_one_token() -> None:
    assert lengths.is_one_token(np.array([1.0, 4.0, 0.0])).tolist() == [1, 0, 0]
    assert np.isnan(lengths.is_one_token(np.array([np.nan]))).all()


def test_ratio_traits_by_hand() -> None:
    found = averaged(lengths.document_ratios(np.array([2.0, 4.0, 0.0]), np.array([1.0, 0.0, 3.0])), 3)
    assert found["length_ratio_mean"].value == 0.25
    assert found["length_log_ratio_mean"].value == pytest.approx(math.log(0.5))
    assert found["length_log_ratio_mean"].n == 1


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=60))
def test_skewness_against_scipy(values: list[int]) -> None:
    found = Distribution(ValueCounts.of(np.array(values))).skewness
    if len(set(values)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(stats.skew(values), rel=1e-9, abs=1e-9)


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=60).filter(lambda values: len(set(values)) > 1))
def test_the_shape_of_lengths_against_scipy(words: list[int]) -> None:
    values = np.array(words)
    found = _row_traits(values, values, values)
    kurtosis = stats.kurtosis(words)
    assert found["words_kurtosis"].value == pytest.approx(kurtosis, rel=1e-9, abs=1e-9)
    assert found["words_bimodality"].value == pytest.approx((stats.skew(words) ** 2 + 1) / (kurtosis + 3))


def test_two_lengths_are_as_bimodal_as_can_be() -> None:
    values = np.array([1] * 30 + [9] * 10)
    assert _row_traits(values, values, values)["words_bimodality"].value == pytest.approx(1)


def test_the_line_through_lengths_against_scipy() -> None:
    rng = np.random.default_rng(2)
    prompt = rng.integers(0, 50, 200)
    response = prompt // 2 + rng.integers(0, 9, 200)
    line = stats.linregress(np.log1p(prompt), np.log1p(response))
    found = _pair_traits(prompt, response)
    assert found["length_slope"].value == pytest.approx(line.slope)
    left = np.log1p(response) - line.intercept - line.slope * np.log1p(prompt)
    assert found["length_residual_sd"].value == pytest.approx(left.std())


def test_correlation_against_scipy() -> None:
    rng = np.random.default_rng(1)
    prompt, response = rng.integers(0, 50, 200), rng.integers(0, 50, 200)
    expected = stats.pearsonr(np.log1p(prompt), np.log1p(response)).statistic
    assert _pair_traits(prompt, response)["length_correlation"].value == pytest.approx(expected)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60))
def test_histogram_holds_every_document_once(words: list[int]) -> None:
    bins = lengths.histogram(ValueCounts.of(np.array(words)), "response")
    assert sum(b.n for b in bins) == len(words)
    assert all(b.n == sum(b.low <= w < b.high for w in words) for b in bins)
    assert all(a.high <= b.low for a, b in pairwise(bins))


def test_histogram_edges_double_in_two_steps() -> None:
    bins = lengths.histogram(ValueCounts.of(np.arange(33)), "prompt")
    assert [b.low for b in bins] == [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
