"""Traits that go with a factor: the reference's numbers, and few false finds among many questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from predictor.associations import FALSE_DISCOVERY_RATE, associate, chance
from predictor.features import ProfileSet
from warehouse.records import TraitMatrix


def matrix_of(values: np.ndarray, families: tuple[str | None, ...] | None = None) -> TraitMatrix:
    """Datasets with these traits, no relatives unless said."""
    from warehouse.records import TraitDefinition

    names = tuple(f"d{i:02d}" for i in range(len(values)))
    definitions = tuple(
        TraitDefinition(f"t{j}", "prompt", "made_up", "share", "A trait.", "this test", None, None, "all rows")
        for j in range(values.shape[1])
    )
    own = families or (None,) * len(names)
    return TraitMatrix(names, ("generation",) * len(names), own, (100,) * len(names), definitions, values)


def test_the_chance_is_that_of_all_orders() -> None:
    ranks = np.arange(7)
    exact = np.array([abs(np.corrcoef(ranks, order)[0, 1]) for order in permutations(range(7))])
    for rho in (0.5, 0.75, 1.0):
        assert chance(rho, 7) == pytest.approx((exact >= rho - 1e-9).mean(), rel=0.1)
    assert chance(0.3, 2) == 1.0
    assert chance(-0.75, 7) == chance(0.75, 7)


def test_the_chance_of_many_is_that_of_scipy() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    for n, tolerance in ((90, 0.1), (150, 1e-6)):
        x, y = rng.normal(size=n), rng.normal(size=n)
        y = y + 0.25 * x
        rho, p = stats.spearmanr(x, y)
        assert chance(float(rho), n) == pytest.approx(p, rel=tolerance)


def test_correlations_are_those_of_scipy_and_a_planted_trait_is_found() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 40))
    values[:5, 3] = np.nan
    values[:, 4] = 7.0
    values[4:, 5] = np.nan
    score = (values[:, 0] + 0.2 * rng.normal(size=30))[:, None]
    traits = matrix_of(values)
    found = associate([("source", traits.names, score)], traits)
    assert len(found) == 38
    assert (found[0].trait, found[0].side, found[0].factor, found[0].n) == ("t0", "source", 1, 30)
    assert found[0].found
    by_name = {a.trait: a for a in found}
    assert {"t4", "t5"} & set(by_name) == set()
    assert by_name["t3"].n == 25
    assert by_name["t3"].spearman == pytest.approx(stats.spearmanr(values[5:, 3], score[5:, 0]).statistic)
    p = [a.p for a in found]
    assert [a.q for a in found] == pytest.approx(stats.false_discovery_control(p).tolist())


def test_relatives_count_once() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 1))
    score = values + 0.5 * rng.normal(size=(30, 1))
    alone = associate([("target", matrix_of(values).names, score)], matrix_of(values))[0]
    related = matrix_of(values, tuple(f"f{i % 6}" for i in range(30)))
    together = associate([("target", related.names, score)], related)[0]
    assert (alone.families, together.families, together.n) == (30, 6, 30)
    assert together.spearman == alone.spearman
    assert together.p > 100 * alone.p


def test_permuted_traits_are_found_no_more_often_than_promised(profiles_of_count: Callable[..., ProfileSet]) -> None:
    traits = profiles_of_count(40).traits
    rng = np.random.default_rng(0)
    score = np.nan_to_num(traits.values[:, :1]) + 0.3 * rng.normal(size=(40, 1))
    runs = 100
    some = 0
    for _ in range(runs):
        shuffled = replace(traits, values=traits.values[rng.permutation(40)])
        some += any(a.found for a in associate([("source", traits.names, score)], shuffled))
    # Where nothing is true, the rate of false finds is the chance of any; 12 or more in 100 come once in 250 times.
    assert some <= 11
    assert FALSE_DISCOVERY_RATE == 0.05
    assert associate([("source", traits.names, score)], traits)[0].found


def test_unprofiled_datasets_are_passed_over() -> None:
    traits = matrix_of(np.random.default_rng(0).normal(size=(6, 2)))
    assert associate([("source", ("x", "y"), np.zeros((2, 1)))], traits) == ()
    names = (*traits.names, "x")
    assert {a.n for a in associate([("source", names, np.arange(7.0)[:, None])], traits)} == {6}
