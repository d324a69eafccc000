"""How many factors a table has, by parallel analysis and by cross-validation.

Owns the two rules and their numbers. Tables are as in `predictor.latent.factors`: NaN where nothing was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traitcast.predictor.latent.factors import COARSE, Centre, LowRank, low_rank

# More factors are not readable, and each costs a round of permutations.
MAX_FACTORS = 10
PERMUTATIONS = 199
ALPHA = 0.05
FOLDS = 10
# A cell that a factor fits almost alone has no residual to scale up.
_LEVERAGE = 0.1
# Cross-validation stops when so many numbers of factors in a row are worse than the best by a standard error.
_WORSE = 2


@dataclass(frozen=True, slots=True)
class Parallel:
    """Parallel analysis, one entry per tested factor; the last one failed unless the limit was reached.

    share: of the factor, in what the earlier factors leave. threshold: its 95th percentile over permuted tables. p:
    (1 + permutations that reach it) / (1 + permutations). factors: how many passed.
    """

    share: tuple[float, ...]
    threshold: tuple[float, ...]
    p: tuple[float, ...]
    factors: int


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Held-out cells: mean squared error per number of factors (0, 1, ...), its standard error against the best one.

    factors: the fewest whose error is within one standard error of the smallest.
    """

    error: tuple[float, ...]
    standard_error: tuple[float, ...]
    factors: int


def limit(shape: tuple[int, int]) -> int:
    """Most factors that a table of (rows, columns) allows: half its smaller side, at most MAX_FACTORS."""
    return max(1, min(MAX_FACTORS, (min(shape) - 1) // 2))


def parallel_analysis(
    table: np.ndarray, centre: Centre, most: int, rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> Parallel:
    """How many factors are stronger than chance: Horn (1965) with permuted cells (Buja and Eyuboglu 1992), in steps.

    Step j removes the first j - 1 factors and compares the strongest factor of the rest, as a share of the rest, with
    that of tables whose cells are shuffled within every column (missing ones stay in place, as 0). Cells are first
    divided by the spread that the factors leave in them, and the shuffled table is projected off the same factors and
    means, since the rest has no room there either. The first step with p > ALPHA is the last one. So a strong first
    factor hides no second one, and pure noise yields a factor in one of 20 tables.
    """
    known = np.isfinite(table)
    share, threshold, p = [], [], []
    for j in range(most):
        fit = low_rank(table, j, centre)
        rest = np.where(known, fit.centred - (fit.left * fit.strength) @ fit.right.T, 0.0)
        seen = _first_share(rest, fit, centre)
        even = rest / _left_spread(fit)
        drawn = np.array([_first_share(_shuffled(even, known, rng), fit, centre) for _ in range(permutations)])
        share.append(seen)
        threshold.append(float(np.quantile(drawn, 1 - ALPHA)))
        p.append((1 + int((drawn >= seen).sum())) / (1 + permutations))
        if p[-1] > ALPHA:
            return Parallel(tuple(share), tuple(threshold), tuple(p), j)
    return Parallel(tuple(share), tuple(threshold), tuple(p), most)


def _left_spread(fit: LowRank) -> np.ndarray:
    """How much of the spread of noise the factors leave in every cell: root of (1 - leverages)."""
    rows = 1 - (fit.left**2).sum(axis=1, keepdims=True) - 1 / fit.left.shape[0]
    columns = 1 - (fit.right**2).sum(axis=1)
    return np.sqrt(np.maximum(rows, _LEVERAGE) * np.maximum(columns, _LEVERAGE))


def _shuffled(table: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Measured cells in random order within their column; the others stay 0."""
    keys = np.where(known, rng.random(table.shape), 2.0)
    order, slots = np.argsort(keys, axis=0), np.argsort(~known, axis=0, kind="stable")
    made = np.zeros_like(table)
    np.put_along_axis(made, slots, np.take_along_axis(table, order, axis=0), axis=0)
    return made


def _first_share(rest: np.ndarray, fit: LowRank, centre: Centre) -> float:
    """Square of the first singular value over the sum of all, off the factors and means of `fit`."""
    rest = rest - rest.mean(axis=0)
    if centre == "double":
        rest = rest - rest.mean(axis=1, keepdims=True)
    rest = rest - fit.left @ (fit.left.T @ rest)
    rest = rest - (rest @ fit.right) @ fit.right.T
    total = float((rest**2).sum())
    if total <= 0:
        return 0.0
    gram = rest.T @ rest if rest.shape[1] <= rest.shape[0] else rest @ rest.T
    return float(np.linalg.eigvalsh(gram)[-1]) / total


def cross_validation(
    table: np.ndarray, centre: Centre, most: int, rng: np.random.Generator, repeats: int = 2
) -> CrossValidation:
    """How many factors predict held-out cells best: random cells in FOLDS folds (Wold 1978), repeated.

    Held-out cells are filled in as missing ones are. The rule is the fewest factors whose error is within one standard
    error (of paired differences of cells) of the smallest error.
    """
    known = np.isfinite(table)
    folds = [f for _ in range(repeats) for f in _folds(known, rng)]
    squared: list[np.ndarray] = []
    for k in range(most + 1):
        squared.append(_held_out(table, folds, k, centre) / repeats)
        best = min(squared, key=np.mean)
        differences = [each - best for each in squared[-_WORSE:]]
        if len(squared) > _WORSE and all(d.mean() > _standard_error(d) for d in differences):
            break
    error = np.array([each.mean() for each in squared])
    paired = np.array([_standard_error(each - best) for each in squared])
    factors = int(np.flatnonzero(error <= error.min() + paired)[0])
    return CrossValidation(tuple(error.tolist()), tuple(paired.tolist()), factors)


def _folds(known: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Random folds of the measured cells as masks; a fold leaves out the cells without which a line would be empty."""
    cells = np.argwhere(known)
    fold = rng.permutation(len(cells)) % min(FOLDS, len(cells))
    made = []
    for f in range(int(fold.max()) + 1):
        held = np.zeros_like(known)
        held[tuple(cells[fold == f].T)] = True
        left = known & ~held
        held &= left.any(axis=0) & left.any(axis=1, keepdims=True)
        made.append(held)
    return made


def _held_out(table: np.ndarray, folds: list[np.ndarray], k: int, centre: Centre) -> np.ndarray:
    """Squared errors of the held-out cells, summed over the folds, one per measured cell."""
    squared = np.zeros(table.shape)
    for held in folds:
        fit = low_rank(np.where(held, np.nan, table), k, centre, tolerance=COARSE)
        squared[held] += (fit.filled[held] - table[held]) ** 2
    return squared[np.isfinite(table)]


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(values.size))
