"""Metrics against scikit-learn, scipy, direct definitions, and odd input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitcast.training.results.metrics import (
    Metric,
    batch_calibrated,
    exact_match,
    generation_rows,
    gold_nll,
    last_number,
    macro_f1,
    mean,
    numeric_match,
    option_rows,
    predictions,
    rouge_l,
    text_scores,
)


def means(rows: dict[str, np.ndarray]) -> dict[str, Metric]:
    return {name: mean(name, values) for name, values in rows.items()}


def test_metrics_of_options_by_hand() -> None:
    found = means(
        option_rows(
            [np.array([-1.0, -4.0]), np.array([-2.0, -3.0]), np.array([-5.0, -6.0])],
            [0, 1, 1],
            tokens=[np.array([1, 4])] * 3,
            characters=[np.array([2, 12])] * 3,
            priors=[np.array([-1.0, -5.0])] * 3,
        )
    )
    assert found["accuracy"].value == pytest.approx(1 / 3)
    assert found["accuracy"].standard_error == pytest.approx(np.std([1, 0, 0], ddof=1) / np.sqrt(3))
    # Per character: -.5/-.33, -1/-.25, -2.5/-.5: the second option every time.
    assert found["accuracy_character"].value == pytest.approx(2 / 3)
    # Per token: -1/-1 is a tie and goes to the first, then -2/-.75, -5/-1.5.
    assert found["accuracy_token"].value == pytest.approx(1.0)
    # Over the prior: 0/1, -1/2, -4/-1.
    assert found["calibrated_accuracy"].value == pytest.approx(2 / 3)
    nll = [np.log(1 + np.exp(-3)), np.log(1 + np.exp(1)), np.log(1 + np.exp(1))]
    assert found["gold_nll"].value == pytest.approx(np.mean(nll))
    assert macro_f1(np.array([0, 1, 1]), np.array([0, 0, 0])) == pytest.approx(0.25)
    assert all(metric.n == 3 for metric in found.values())


def test_rows_may_have_unlike_numbers_of_options() -> None:
    found = means(
        option_rows(
            [np.array([-1.0, -2.0, -3.0]), np.array([-2.0, -1.0])],
            [0, 1],
            tokens=[np.ones(3), np.ones(2)],
            characters=[np.ones(3), np.ones(2)],
        )
    )
    assert found["accuracy"].value == 1.0
    assert "calibrated_accuracy" not in found


def test_undefined_is_not_a_number() -> None:
    empty = means(option_rows([], [], tokens=[], characters=[]))
    assert all(np.isnan(metric.value) and metric.n == 0 for metric in empty.values())
    lone = means(option_rows([np.array([-1.0])], [0], tokens=[np.ones(1)], characters=[np.ones(1)]))
    assert all(np.isnan(metric.standard_error) for metric in lone.values())
    broken = means(option_rows([np.array([np.nan, np.nan])], [0], tokens=[np.ones(2)], characters=[np.ones(2)]))
    assert broken["accuracy"].value == 0.0
    assert np.isnan(broken["gold_nll"].value)
    assert predictions([np.array([np.nan, -1.0])]).tolist() == [1]


@settings(deadline=None)  # the first call imports scikit-learn
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_macro_f1_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed beside torch here")
    truth, picks = (np.array(column) for column in zip(*pairs, strict=True))
    assert macro_f1(truth, picks) == pytest.approx(metrics.f1_score(truth, picks, average="macro", zero_division=0))


@settings(deadline=None)  # the first call imports scipy
@given(st.lists(st.booleans(), min_size=2, max_size=40))
def test_standard_errors_equal_scipy(hits: list[bool]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed beside torch here")
    rows = [np.array([0.0, -1.0]) if hit else np.array([-1.0, 0.0]) for hit in hits]
    ones = [np.ones(2)] * len(rows)
    found = means(option_rows(rows, [0] * len(rows), tokens=ones, characters=ones))
    assert found["accuracy"].standard_error == pytest.approx(float(stats.sem(hits)))


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_rouge_l_equals_its_definition(output: list[str], reference: list[str]) -> None:
    subsequences = {picked for size in range(len(output) + 1) for picked in itertools.combinations(output, size)} & {
        picked for size in range(len(reference) + 1) for picked in itertools.combinations(reference, size)
    }
    longest = max(map(len, subsequences))
    wanted = 2 * longest / (len(output) + len(reference)) if longest else 0.0
    assert rouge_l(" ".join(output), " ".join(reference)) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["", "#", "word", "🙂", "\x00"])
def test_texts_without_content(text: str) -> None:
    assert exact_match(text, text)
    assert last_number(text) is None
    assert not numeric_match(text, text)
    assert rouge_l(text, "two words") == 0.0


def test_matches() -> None:
    assert exact_match(" The  Answer. ", "the answer")
    assert not exact_match("the answer is", "the answer")
    assert numeric_match("so 3 * 4 = 12\n#### 1,012.0", "#### 1012")
    assert not numeric_match("no idea", "#### 3")
    assert numeric_match("it is -.5", "-0.50")
    assert numeric_match("pages 5-10", "10")
    assert numeric_match("x = -3", "-3")
    assert numeric_match("either 3,4", "4")
    assert numeric_match("$1,234,567.", "1234567")
    assert rouge_l("The cat sat.", "the cat sat") == 1.0


def test_metrics_of_generations_by_hand() -> None:
    found = means(
        generation_rows(
            text_scores(["4", "a b"], ["4", "b"]),
            output_tokens=[1, 2],
            finished=[True, False],
            reference_nll=[2.0, 3.0],
            reference_tokens=[1, 2],
        )
    )
    values = {name: metric.value for name, metric in found.items()}
    assert values == pytest.approx(
        {
            "exact_match": 0.5,
            "numeric_match": 0.5,
            "rouge_l": (1 + 2 / 3) / 2,
            "reference_nll": 1.75,
            "output_tokens": 1.5,
            "finished": 0.5,
        }
    )


@given(st.lists(st.lists(st.sampled_from([-3.0, -2.0, -2.0, 0.0, np.nan, -np.inf]), max_size=5), max_size=12))
def test_predictions_are_made_row_by_row(rows: list[list[float]]) -> None:
    arrays = [np.array(row, dtype=np.float64) for row in rows]
    expected = [int(np.nanargmax(row)) if np.isfinite(row).any() else -1 for row in arrays]
    assert predictions(arrays).tolist() == expected


def test_batch_calibration_takes_off_what_a_model_thinks_of_an_option_anyway() -> None:
    rng = np.random.default_rng(3)
    sums, gold = rng.normal(-3, 1, (40, 3)), rng.integers(0, 3, 40)
    rows = option_rows(list(sums), gold.tolist(), tokens=[np.ones(3)] * 40, characters=[np.ones(3)] * 40)
    shares = sums - np.log(np.exp(sums).sum(axis=1, keepdims=True))
    centred = shares - shares.mean(axis=0)
    again = centred - np.log(np.exp(centred).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(rows["gold_nll_calibrated"], -again[np.arange(40), gold])
    # A bias towards one label moves gold_nll and nothing of this; neither does what a whole row is worth.
    for biased in (sums + np.array([0.0, 5.0, -2.0]), sums + rng.normal(0, 4, (40, 1))):
        np.testing.assert_allclose(gold_nll(batch_calibrated(list(biased)), gold.tolist()), rows["gold_nll_calibrated"])
    assert gold_nll(list(sums + np.array([0.0, 5.0, -2.0])), gold.tolist()).mean() > rows["gold_nll"].mean() + 1


def test_batch_calibration_of_rows_of_several_lengths_and_of_none() -> None:
    assert batch_calibrated([]) == []
    found = batch_calibrated([np.array([-1.0, -1.0]), np.array([-1.0, -1.0, -2.0]), np.array([-np.inf, -np.inf])])
    short, long = np.log([0.5, 0.5]), np.array([-1.0, -1.0, -2.0]) - np.log(2 * np.exp(-1) + np.exp(-2))
    np.testing.assert_allclose(found[0], short - (short + long[:2]) / 2)
    np.testing.assert_allclose(found[1], long - [*((short + long[:2]) / 2), long[2]])
    assert np.isnan(found[2]).all()
    assert batch_calibrated([np.array([-3.0, -1.0])])[0].tolist() == [0.0, 0.0], "a single row is its own mean"
