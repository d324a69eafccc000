"""Associations: which traits of datasets go with a number per dataset, held to account for having asked so often.

Owns the rank correlation, its null distribution and the correction over all questions. It says what goes together,
never what causes what.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from predictor.metrics import spearman
from predictor.paired import adjusted
from warehouse.records import TraitMatrix

# With fewer datasets even a perfect order comes up by chance once in 60 times.
MIN_DATASETS = 5
# Below this false-discovery rate a correlation is called one.
FALSE_DISCOVERY_RATE = 0.05
_ORDERS = 400_000
_CHUNK = 20_000
# Beyond so many the t distribution is right to a tenth in the far tail; at 10 it promises half the chance there is.
_SIMULATED = 100


@dataclass(frozen=True, slots=True)
class Association:
    """One trait of the source or target datasets held against one factor.

    n: datasets with both. families: how many of them are no relatives; p takes these for the independent ones.
    q: the false-discovery rate at which it would be called found, over all asked (`predictor.paired.adjusted`).
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
        return self.q <= FALSE_DISCOVERY_RATE


def associate(sides: Iterable[tuple[str, Sequence[str], np.ndarray]], profiles: TraitMatrix) -> tuple[Association, ...]:
    """Spearman of every trait with every factor, smallest q first, the strongest of those that are level first.

    sides: (side, names of the datasets, values (datasets, k)); datasets without a profile are passed over. Traits that
    are defined for fewer than MIN_DATASETS of them, or are the same for all, are not asked.
    """
    row_of = {name: i for i, name in enumerate(profiles.names)}
    asked: list[tuple[int, str, str, str, float, int, int]] = []
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
            for f in range(values.shape[1]):
                rho = spearman(trait[has], values[known, f][has])
                if np.isfinite(rho):
                    asked.append((f + 1, side, definition.trait, definition.family, rho, n, families))
    p = [chance(row[4], row[6]) for row in asked]
    found = [Association(*row, p[i], q) for i, (row, q) in enumerate(zip(asked, adjusted(p), strict=True))]
    return tuple(sorted(found, key=lambda a: (a.q, a.p, -abs(a.spearman), a.factor, a.side, a.trait)))


def chance(rho: float, n: int) -> float:
    """Chance that n independent pairs in random order give |Spearman| as large; 1 for fewer than three.

    From simulated orders, up to _SIMULATED of them: the t distribution that is often used is too sure for few datasets.
    """
    if n < 3:
        return 1.0
    if n > _SIMULATED:
        from scipy import stats

        return float(2 * stats.t.sf(abs(rho) * np.sqrt((n - 2) / max(1 - rho**2, 1e-15)), n - 2))
    drawn = _null(n)
    reached = drawn.size - np.searchsorted(drawn, abs(rho) - 1e-9)
    return float((1 + reached) / (1 + drawn.size))


@lru_cache(maxsize=128)
def _null(n: int) -> np.ndarray:
    """|Spearman| of _ORDERS random orders of n ranks, ascending. Always the same draws."""
    rng = np.random.default_rng(n)
    ranks = np.arange(n) - (n - 1) / 2
    lines = np.tile(ranks, (_CHUNK, 1))
    drawn = [rng.permuted(lines, axis=1) @ ranks for _ in range(_ORDERS // _CHUNK)]
    return np.sort(np.abs(np.concatenate(drawn))) / (ranks @ ranks)
