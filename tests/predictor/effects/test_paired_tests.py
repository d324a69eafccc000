"""Paired comparisons against scipy, against simulation, and against shuffled data."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from traitcast.predictor.effects.paired_tests import (
    LEAST_ROWS,
    Stratum,
    adjusted,
    association,
    difference,
    label_shift,
    mean_change,
    mean_of_seeds,
)


def test_one_seed_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.normal(0, 1, 60), rng.normal(0.3, 1, 60)
    found, expected = mean_change((after - before)[None]), stats.ttest_rel(after, before)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.value / found.standard_error == pytest.approx(expected.statistic)
    assert (found.n, found.seeds) == (60, 1)


def test_rows_and_seeds_both_count() -> None:
    """Simulated from the model: the error is that of the mean, and no change is found as often as it may be."""
    rng = np.random.default_rng(1)
    values, errors, p = [], [], []
    for _ in range(1500):
        rows, seeds = rng.normal(0, 1, 50), rng.normal(0, 0.15, 3)
        found = mean_change(rows + seeds[:, None] + rng.normal(0, 0.5, (3, 50)))
        values.append(found.value)
        errors.append(found.standard_error**2)
        p.append(found.p)
    assert np.mean(errors) == pytest.approx(np.var(values), rel=0.12)
    assert 0.03 < np.mean(np.array(p) <= 0.05) < 0.07


def test_more_seeds_on_the_same_rows_do_not_make_rows() -> None:
    changes = np.random.default_rng(2).choice([-1.0, 0.0, 1.0], 80)
    once, thrice = mean_change(changes[None]), mean_change(np.stack([changes] * 3))
    assert thrice.standard_error == pytest.approx(once.standard_error)


def test_equal_changes_are_no_surer_than_a_sign_test() -> None:
    found = mean_change(np.ones((1, 6)))
    assert (found.value, found.standard_error) == (1.0, 0.0)
    assert found.p == 2.0**-5
    assert mean_change(np.zeros((2, 6))).p == 1.0
    assert math.isnan(mean_change(np.ones((1, 1))).p)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(2, 30), st.integers(0, 2**31))
def test_back_and_forth_are_alike(seeds: int, rows: int, seed: int) -> None:
    changes = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], (seeds, rows))
    one, other = mean_change(changes), mean_change(-changes)
    assert one.value == pytest.approx(-other.value)
    assert one.p == pytest.approx(other.p)
    assert 0 <= one.p <= 1
    assert one.standard_error >= np.sqrt(changes.mean(axis=0).var(ddof=1) / rows) - 1e-12


def test_from_seeds_alone() -> None:
    values = np.array([1.0, 2.0, 4.0])
    unknown = np.full(3, np.nan)
    expected = stats.ttest_1samp(values, 0.0)
    assert mean_of_seeds(values, unknown).p == pytest.approx(expected.pvalue)
    both = mean_of_seeds(values, np.full(3, 2.0))
    assert both.standard_error == pytest.approx(math.sqrt(values.var(ddof=1) / 3 + 4))
    only = mean_of_seeds(values[:1], np.array([0.5]))
    assert only.p == pytest.approx(2 * stats.norm.sf(2), rel=1e-4)
    assert math.isnan(mean_of_seeds(values[:1], unknown[:1]).p)


def test_the_difference_of_two() -> None:
    first, second = (mean_of_seeds(np.array([v]), np.array([1.0])) for v in (3.0, 0.0))
    found = difference(first, second)
    assert (found.value, found.standard_error) == (3.0, pytest.approx(math.sqrt(2)))
    assert found.p == pytest.approx(2 * stats.norm.sf(3 / math.sqrt(2)), rel=1e-4)


def test_a_shift_over_two_labels_is_mcnemars_exact_test() -> None:
    before = np.repeat([0, 1], [30, 20])
    after = before.copy()
    after[:11] = 1  # 11 from 0 to 1, 3 back
    after[30:33] = 0
    found = label_shift(before, after[None], 2)
    assert found.value == pytest.approx(8 / 50)
    assert found.p == pytest.approx(stats.binomtest(3, 14).pvalue, abs=0.01)
    assert found.labels[1].value == pytest.approx(8 / 50)
    assert found.labels[0].value == pytest.approx(-8 / 50)


def test_no_shift_is_found_as_often_as_it_may_be() -> None:
    """Answers that were swapped at random, row by row, with five labels and three seeds."""
    rng = np.random.default_rng(3)
    p = []
    for _ in range(100):
        first, second = rng.integers(0, 5, (2, 60))
        swap = rng.random(60) < 0.5
        before = np.where(swap, first, second)
        after = np.where(swap, second, first)
        noisy = np.where(rng.random((3, 60)) < 0.2, before, after)
        p.append(label_shift(before, noisy, 5, seed=int(rng.integers(1 << 30))).p)
    assert np.mean(np.array(p) <= 0.1) < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 100)
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_chance_is_what_noise_gives() -> None:
    rng = np.random.default_rng(4)
    before, after = rng.integers(0, 3, 90), rng.integers(0, 3, (2, 90))
    found = label_shift(before, after, 3)
    assert found.value < 3 * found.chance
    assert label_shift(before, before[None], 3).p == 1.0


def _stratum(rng: np.random.Generator, rows: int = 80, effect: float = 0.0, seeds: int = 2) -> Stratum:
    trait = np.round(rng.lognormal(1, 1, rows), 1)
    score = (rng.random(rows) < 0.5).astype(float)
    after = rng.random((seeds, rows)) < 0.5 + effect * np.sign(trait - np.median(trait))
    return Stratum(trait, 100 * (after - score), 100 * score)


def test_one_stratum_of_one_seed_is_spearman() -> None:
    stratum = _stratum(np.random.default_rng(5), seeds=1)
    change = stratum.changes[0]
    found, expected = association([stratum]), stats.spearmanr(stratum.trait, change)
    assert found is not None
    assert found.correlation == pytest.approx(expected.statistic)
    permuted = stats.permutation_test(
        (stratum.trait,), lambda t: stats.spearmanr(t, change).statistic, permutation_type="pairings", n_resamples=2000,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert found.p == pytest.approx(permuted.pvalue, abs=0.03)
    above = stratum.trait > np.median(stratum.trait)
    welch = stats.ttest_ind(change[above], change[~above], equal_var=False)
    assert found.difference == pytest.approx(change[above].mean() - change[~above].mean())
    assert found.difference / found.standard_error == pytest.approx(welch.statistic)
    assert found.before_upper == stratum.before[above].mean()


def test_several_seeds_correlate_by_their_mean_ranks() -> None:
    stratum = _stratum(np.random.default_rng(5), seeds=3)
    ranks = np.mean([stats.rankdata(change) for change in stratum.changes], axis=0)
    found = association([stratum])
    assert found is not None
    assert found.correlation == pytest.approx(np.corrcoef(stats.rankdata(stratum.trait), ranks)[0, 1])
    same = association([Stratum(stratum.trait, np.stack([stratum.changes[0]] * 3), stratum.before)])
    alone = association([Stratum(stratum.trait, stratum.changes[:1], stratum.before)])
    assert same is not None
    assert alone is not None
    assert (same.p, same.standard_error) == (pytest.approx(alone.p), pytest.approx(alone.standard_error))


def test_strata_share_the_seeds_that_are_named() -> None:
    """Adapter 7 lifts the upper half of both targets: told by its number, wherever it stands."""
    rng = np.random.default_rng(0)
    trait = np.arange(60.0)
    quirk = np.where(trait > 29.5, 100.0, 0.0) * (rng.random((2, 60)) < 0.8)
    plain = rng.choice([-100.0, 0.0, 100.0], (2, 60))
    first = Stratum(trait, np.stack([quirk[0], plain[0]]), np.zeros(60), (7, 8))
    turned = Stratum(trait, np.stack([plain[1], quirk[1]]), np.zeros(60), (8, 7))
    told, untold = (association([first, second]) for second in (turned, replace(turned, seeds=())))
    assert told is not None
    assert untold is not None
    assert told.standard_error > 2 * untold.standard_error
    assert told.p > untold.p


@pytest.mark.parametrize(("seeds", "spread", "strata"), [(3, 0.12, 1), (3, 0.12, 3), (5, 0.3, 1), (2, 0.12, 1)])
def test_quirks_of_adapters_are_no_kinds_of_rows(seeds: int, spread: float, strata: int) -> None:
    """Every adapter turns rows of the upper half up or down by a chance of its own, of mean zero."""
    rng = np.random.default_rng(2)
    runs, n, found = 200, 120, []
    for _ in range(runs):
        quirks, drawn = rng.normal(0, spread, (seeds, 1)), []
        for _ in range(strata):
            trait = rng.permutation(n)
            turned = (rng.random((seeds, n)) < np.abs(quirks)) & (trait >= n // 2)
            noise = np.where(rng.random((seeds, n)) < 0.2, rng.choice([-1.0, 1.0], (seeds, n)), 0.0)
            drawn.append(Stratum(trait.astype(float), 100 * np.where(turned, np.sign(quirks), noise), np.zeros(n)))
        one = association(drawn)
        assert one is not None
        found.append(one)
    p = np.array([one.p for one in found])
    # The level, and three standard errors of 200 runs; without the seeds' variance it is 0.2 to 0.6.
    assert np.mean(p <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    variance = np.mean([one.standard_error**2 for one in found])
    assert variance == pytest.approx(np.var([one.difference for one in found]), rel=0.35)


@pytest.mark.parametrize("labels", [2, 4])
@pytest.mark.parametrize("seeds", [3, 5])
def test_quirks_of_adapters_are_no_shift_of_labels(labels: int, seeds: int) -> None:
    """Every adapter takes some rows to one label, another one each time."""
    rng = np.random.default_rng(3)
    runs, p = 150, []
    for run in range(runs):
        before = rng.integers(0, labels, 80)
        taken = rng.random((seeds, 80)) < np.abs(rng.normal(0, 0.15, (seeds, 1)))
        after = np.where(taken, rng.integers(0, labels, (seeds, 1)), before)
        p.append(label_shift(before, after, labels, seed=run).p)
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_shift_over_two_labels_of_several_seeds_is_the_test_of_a_mean() -> None:
    rng = np.random.default_rng(4)
    for lift in (0.1, 0.2, 0.3):
        before = rng.integers(0, 2, 100)
        after = np.where(rng.random((4, 100)) < lift + rng.normal(0, 0.05, (4, 1)), 1, before)
        found = label_shift(before, after, 2)
        assert found.p == pytest.approx(found.labels[1].p, rel=1, abs=0.001)


def test_strata_are_not_mixed() -> None:
    """Two targets that differ in trait and in gain, without any association inside: none is found."""
    rng = np.random.default_rng(6)
    low, high = _stratum(rng, seeds=1), _stratum(rng, seeds=1)
    high = Stratum(high.trait + 100, high.changes + 60, high.before)
    trait, changes, before = (
        np.concatenate([getattr(s, name) for s in (low, high)], -1) for name in ("trait", "changes", "before")
    )
    mixed = Stratum(trait, changes, before)
    whole, within = association([mixed]), association([low, high])
    assert whole is not None
    assert within is not None
    assert whole.p < 0.01
    assert within.p > 0.05
    assert (within.strata, within.n) == (2, 160)


@pytest.mark.parametrize("strata", [1, 4])
def test_shuffled_changes_give_false_finds_as_often_as_stated(strata: int) -> None:
    """Twenty traits of the same rows, changes dealt out at random: any find is false, in 5 % of the tables."""
    rng = np.random.default_rng(7)
    tables, false = 120 // strata, 0
    for _ in range(tables):
        drawn = [_stratum(rng, 60) for _ in range(strata)]
        orders = [rng.permutation(60) for _ in drawn]
        p = []
        for _ in range(20):
            # Traits that are ties for the most part, as shares of rare words are.
            traits = [np.where(rng.permutation(60) < 40, 0.0, rng.random(60)) for _ in drawn]
            shuffled = [Stratum(t, s.changes[:, o], s.before[o]) for t, s, o in zip(traits, drawn, orders, strict=True)]
            found = association(shuffled)
            assert found is not None
            p.append(found.p)
        false += min(adjusted(p)) <= 0.05
    assert false / tables <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / tables)


def test_a_planted_effect_is_found() -> None:
    rng = np.random.default_rng(8)
    found = [association([_stratum(rng, 150, effect=0.3)]) for _ in range(20)]
    assert all(one is not None and one.correlation > 0 and one.difference > 0 for one in found)
    assert np.mean([one.p < 0.001 for one in found if one is not None]) > 0.8
    assert all(one.agreement == 1 for one in found if one is not None)


def test_too_little_to_tell() -> None:
    rng = np.random.default_rng(9)
    few = _stratum(rng, LEAST_ROWS - 1)
    assert association([few]) is None
    whole = _stratum(rng)
    nearly_constant = np.where(np.arange(80) < 5, 1.0, 0.0)
    assert association([Stratum(nearly_constant, whole.changes, whole.before)]) is None
    assert association([Stratum(whole.trait, np.zeros((2, 80)), whole.before)]) is None
    assert association([]) is None
    undefined = whole.trait.copy()
    undefined[:40] = np.nan
    found = association([Stratum(undefined, whole.changes, whole.before)])
    assert found is not None
    assert found.n == 40


def test_q_is_benjamini_and_hochbergs() -> None:
    assert adjusted([0.01, math.nan, 0.04, 0.03]) == pytest.approx([0.03, math.nan, 0.04, 0.04], nan_ok=True)
    assert adjusted([]) == []
    assert math.isnan(adjusted([math.nan])[0])
