"""Associations: which traits of datasets correlate with one number per dataset, corrected for the number of tests.

Owns the null distribution of the rank correlation and the correction over all tests. It reports correlations, never
causes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from traitcast.predictor.effects.paired_tests import LEVEL, adjusted
from traitcast.warehouse.records import TraitMatrix

# With fewer datasets, even a perfect order occurs by chance once in 60 times.
MIN_DATASETS = 5
_ORDERS = 400_000
_CHUNK = 20_000
# Above this number the t distribution is accurate to a tenth in the far tail, and if anything too careful with ties; at
# 10 datasets its p is half of the true one.
_SIMULATED = 100
# How many datasets share each value, the smallest value first.
Ties = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Association:
    """The correlation of one trait of the source or target datasets with one factor.

    n: datasets with both. families: how many groups of relatives they form; p counts these as the independent datasets,
    tied as the datasets are. q: false discovery rate over all tests (`predictor.effects.paired_tests.adjusted`).
    """

    factor: int
    side: str
    trait: str
    family: str
    spearman: float
    n: int
    families: int
    p: float
    q: float

    @property
    def found(self) -> bool:
        """Whether it survives the correction."""
        return self.q <= LEVEL


def associate(sides: Iterable[tuple[str, Sequence[str], np.ndarray]], profiles: TraitMatrix) -> tuple[Association, ...]:
    """Spearman's correlation of every trait with every factor, smallest q first.

    Parameters
    ----------
    sides
        (side, names of the datasets, values (datasets, k)); datasets without a profile are skipped.
    profiles
        Their traits. Traits that are defined for fewer than MIN_DATASETS, or constant, are not tested.
    """
    from scipy import stats

    row_of = {name: i for i, name in enumerate(profiles.names)}
    asked: list[tuple[int, str, str, str, float, int, int]] = []
    questions: list[tuple[float, Ties, Ties]] = []
    for side, names, values in sides:
        known = [i for i, name in enumerate(names) if name in row_of]
        rows = [row_of[names[i]] for i in known]
        relatives = np.array([profiles.families[row] or profiles.names[row] for row in rows], dtype=object)
        for j, definition in enumerate(profiles.definitions):
            trait = profiles.values[rows, j] if rows else np.empty(0)
            has = np.isfinite(trait)
            n, families = int(has.sum()), len(set(relatives[has]))
            if n < MIN_DATASETS or np.ptp(trait[has]) == 0:
                continue
            trait_ties = ties(trait[has], relatives[has])
            for f in range(values.shape[1]):
                factor = values[known, f][has]
                if np.ptp(factor) > 0:
                    rho = float(stats.spearmanr(trait[has], factor).statistic)
                    asked.append((f + 1, side, definition.trait, definition.family, rho, n, families))
                    questions.append((rho, trait_ties, ties(factor, relatives[has])))
    p = chances(questions)
    found = [Association(*row, p[i], q) for i, (row, q) in enumerate(zip(asked, adjusted(p), strict=True))]
    return tuple(sorted(found, key=lambda a: (a.q, a.p, -abs(a.spearman), a.factor, a.side, a.trait)))


def ties(values: np.ndarray, families: np.ndarray) -> Ties:
    """How many independent datasets share each value; sums to the number of families.

    A dataset counts as one over the size of its family, and sums are rounded from the smallest value up: different
    values stay different, and a value that relatives share counts once.
    """
    _, family, size = np.unique(families.astype(str), return_inverse=True, return_counts=True)
    _, level = np.unique(values, return_inverse=True)
    up_to = np.cumsum(np.bincount(level, weights=1 / size[family]))
    counts = np.diff(np.floor(up_to + 0.5 + 1e-9).astype(int), prepend=0)
    return tuple(counts[counts > 0].tolist())


def chances(questions: Sequence[tuple[float, Ties, Ties]]) -> list[float]:
    """p values: the chance that independent pairs in random order reach |Spearman|, for each (rho, first, second).

    first, second: the ties of the two sides. 1 for fewer than three pairs, and for a constant side. By simulated
    orders up to _SIMULATED pairs: the usual t distribution gives too small p for few datasets, and orders without ties
    give too small p for a trait with many.
    """
    from scipy import stats

    p = [1.0] * len(questions)
    simulated: dict[Ties, list[int]] = {}
    for at, (rho, first, second) in enumerate(questions):
        n = sum(first)
        if n < 3 or min(len(first), len(second)) < 2:
            continue
        if n > _SIMULATED:
            p[at] = float(2 * stats.t.sf(abs(rho) * np.sqrt((n - 2) / max(1 - rho**2, 1e-15)), n - 2))
        else:
            simulated.setdefault(second, []).append(at)
    for second, some in simulated.items():
        reached = _reached([questions[at][:2] for at in some], second)
        for at, times in zip(some, reached.tolist(), strict=True):
            p[at] = (1 + times) / (1 + _ORDERS)
    return p


def _reached(asked: Sequence[tuple[float, Ties]], second: Ties) -> np.ndarray:
    """How many of _ORDERS random orders of `second` reach each (rho, first). The same draws for the same length.

    A rho that no order reaches counts as the largest possible one: it came from more datasets, among them relatives.
    """
    firsts = list(dict.fromkeys(first for _, first in asked))
    mine = [np.array([q for q, (_, own) in enumerate(asked) if own == first]) for first in firsts]
    ranks = _unit_ranks(second)
    against = np.stack([_unit_ranks(first) for first in firsts], axis=1)
    most = dict(zip(firsts, np.maximum(ranks @ against, -(ranks[::-1] @ against)).tolist(), strict=True))
    least = np.array([min(abs(rho), most[first]) - 1e-9 for rho, first in asked])
    rng = np.random.default_rng(len(ranks))
    lines = np.tile(ranks, (_CHUNK, 1))
    reached = np.zeros(len(asked), dtype=np.int64)
    for _ in range(_ORDERS // _CHUNK):
        drawn = np.abs(rng.permuted(lines, axis=1) @ against)
        for i, some in enumerate(mine):
            reached[some] += (drawn[:, i, None] >= least[some]).sum(axis=0)
    return reached


def _unit_ranks(ties: Ties) -> np.ndarray:
    """Average ranks of values so tied, (n,), of mean 0 and length 1: a product of two such is Spearman's."""
    counts = np.array(ties)
    ranks = np.repeat(np.cumsum(counts) - (counts - 1) / 2, counts)
    ranks = ranks - ranks.mean()
    return np.asarray(ranks / np.sqrt(ranks @ ranks))
