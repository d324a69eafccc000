"""Traits that go with a factor: the reference's numbers, and few false finds among many questions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from traitcast.predictor.effects.paired_tests import LEVEL, adjusted
from traitcast.predictor.latent.associations import associate, chances, ties
from traitcast.predictor.model.features import ProfileSet
from traitcast.warehouse.records import TraitMatrix


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    return float(stats.spearmanr(x, y).statistic)


def matrix_of(values: np.ndarray, families: tuple[str | None, ...] | None = None) -> TraitMatrix:
    """Datasets with these traits, no relatives unless said."""
    from traitcast.warehouse.records import TraitDefinition

    names = tuple(f"d{i:02d}" for i in range(len(values)))
    definitions = tuple(
        TraitDefinition(f"t{j}", "prompt", "made_up", "share", "A trait.", "this test", None, None, "all rows")
        for j in range(values.shape[1])
    )
    own = families or (None,) * len(names)
    return TraitMatrix(names, ("generation",) * len(names), own, (100,) * len(names), definitions, values)


def untied(rho: float, n: int) -> float:
    """The chance of a correlation of n pairs without ties."""
    return chances([(rho, (1,) * n, (1,) * n)])[0]


def test_the_chance_is_that_of_all_orders() -> None:
    ranks = np.arange(7)
    exact = np.array([abs(np.corrcoef(ranks, order)[0, 1]) for order in permutations(range(7))])
    for rho in (0.5, 0.75, 1.0):
        assert untied(rho, 7) == pytest.approx((exact >= rho - 1e-9).mean(), rel=0.1)
    assert untied(0.3, 2) == 1.0
    assert untied(-0.75, 7) == untied(0.75, 7)


@pytest.mark.parametrize(("n", "upper"), [(5, 2), (5, 1), (8, 4), (8, 3), (10, 5), (13, 6), (13, 3)])
def test_the_chance_of_a_trait_of_two_values_is_that_of_all_orders(n: int, upper: int) -> None:
    """Without its ties the best that 8 datasets can show had a chance 5 times smaller than it is."""
    exact = []
    for chosen in combinations(range(n), upper):
        trait = np.zeros(n)
        trait[list(chosen)] = 1
        exact.append(abs(spearman(trait, np.arange(n))))
    for rho in np.quantile(exact, [0.5, 0.9, 0.97, 1.0]):
        (p,) = chances([(float(rho), (n - upper, upper), (1,) * n)])
        true = float(np.mean(np.array(exact) >= rho - 1e-9))
        # Four standard errors of 400,000 draws.
        assert p == pytest.approx(true, abs=4 * np.sqrt(true / 400_000) + 3e-6)


@pytest.mark.parametrize(("first", "second"), [((6, 1, 1, 1, 1), (1,) * 10), ((4, 3, 3), (5, 1, 1, 1, 2))])
def test_the_chance_with_ties_on_either_side_is_that_of_shuffles(
    first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    x, y = (np.repeat(np.arange(len(side)), side) for side in (first, second))
    drawn = np.array([abs(spearman(x, rng.permutation(y))) for _ in range(8000)])
    for share in (0.7, 0.95, 0.99):
        rho = float(np.quantile(drawn, share))
        true = float((drawn >= rho - 1e-9).mean())
        assert chances([(rho, first, second)])[0] == pytest.approx(true, abs=4 * np.sqrt(true / 8000))


def test_questions_do_not_disturb_one_another() -> None:
    one, other = (0.7, (5, 5), (1,) * 10), (0.6, (1,) * 8, (4, 1, 1, 1, 1))
    assert chances([one, other, one]) == [*chances([one]), *chances([other]), *chances([one])]
    assert chances([(0.9, (5,), (1,) * 5), (0.9, (1,) * 5, (5,))]) == [1.0, 1.0]


def test_ties_are_those_of_families() -> None:
    alone = np.arange(6).astype(str)
    assert ties(np.array([0.0, 0, 0, 2, 1, 1]), alone) == (3, 2, 1)
    # Three relatives that share a value are one witness of it.
    assert ties(np.array([0.0, 0, 0, 1, 1, 1]), np.array(list("aaabcd"))) == (1, 3)
    assert ties(np.array([0.0, 0, 0, 0, 0, 1]), np.array(list("aaaaaa"))) == (1,)
    rng = np.random.default_rng(0)
    for _ in range(50):
        families = rng.integers(0, 7, 20).astype(str)
        assert ties(rng.normal(size=20), families) == (1,) * len(set(families))
        assert sum(ties(rng.integers(0, 3, 20), families)) == len(set(families))


def test_the_chance_of_many_is_that_of_scipy() -> None:

    rng = np.random.default_rng(0)
    for n, tolerance in ((90, 0.1), (150, 1e-6)):
        x, y = rng.normal(size=n), rng.normal(size=n)
        y = y + 0.25 * x
        rho, p = stats.spearmanr(x, y)
        assert untied(float(rho), n) == pytest.approx(p, rel=tolerance)


@pytest.mark.parametrize("first", [(60, 60), (110, *(1,) * 10), (117, 3)])
def test_of_many_with_ties_the_t_distribution_is_careful_enough(first: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    x = np.repeat(np.arange(len(first)), first)
    drawn = np.array([abs(spearman(x, rng.permutation(120))) for _ in range(4000)])
    for share in (0.9, 0.99):
        rho = float(np.quantile(drawn, share))
        assert chances([(rho, first, (1,) * 120)])[0] > (1 - share) * 0.75


def test_correlations_are_those_of_scipy_and_a_planted_trait_is_found() -> None:

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


def test_a_few_families_are_never_surer_than_their_orders() -> None:
    """Seven datasets of three families: a trait with ties has a perfect order in one of three at best."""
    trait = np.array([0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 3.0])[:, None]
    for families in (tuple("aaabbcc"), tuple("abcabca"), tuple("aaaaabc")):
        for score in (np.arange(7.0), -np.arange(7.0), np.array([0.0, 1, 2, 3, 4, 6, 5])):
            known = matrix_of(trait, families)
            (found,) = associate([("source", known.names, score[:, None])], known)
            assert found.families == 3
            assert found.p > 0.3


def test_permuted_traits_are_found_no_more_often_than_promised(profiles_of_count: Callable[..., ProfileSet]) -> None:
    traits = profiles_of_count(40).traits
    rng = np.random.default_rng(0)
    score = np.nan_to_num(traits.values[:, :1]) + 0.3 * rng.normal(size=(40, 1))
    runs, questions = 100, []
    for _ in range(runs):
        order = rng.permutation(40)
        for trait in traits.values[order].T:
            has = np.isfinite(trait)
            own = ties(trait[has], np.flatnonzero(has))
            if len(own) > 1:
                questions.append((spearman(trait[has], score[has, 0]), own, (1,) * int(has.sum())))
    p = np.array(chances(questions)).reshape(runs, -1)
    some = sum(min(adjusted(of.tolist())) <= LEVEL for of in p)
    # Where nothing is true, the rate of false finds is the chance of any; 12 or more in 100 come once in 250 times.
    assert some <= 11
    assert LEVEL == 0.05
    assert associate([("source", traits.names, score)], traits)[0].found


def test_unprofiled_datasets_are_passed_over() -> None:
    traits = matrix_of(np.random.default_rng(0).normal(size=(6, 2)))
    assert associate([("source", ("x", "y"), np.zeros((2, 1)))], traits) == ()
    names = (*traits.names, "x")
    assert {a.n for a in associate([("source", names, np.arange(7.0)[:, None])], traits)} == {6}
