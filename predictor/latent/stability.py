"""How stable factors are: the same factors of resampled tables, matched with the originals.

Owns congruence, matching, the bootstrap and the jackknife. Tables are as in `predictor.latent.factors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from traitcast.predictor.latent.factors import COARSE, Centre, LowRank, Method, fit_factors, shares, solve

BOOTSTRAPS = 200


@dataclass(frozen=True, slots=True)
class Resamples:
    """Bootstraps of a solution, one row each.

    matched (b, k): Tucker's congruence of every factor with the one it is matched to. space (b,): mean squared cosine
    between the two spaces of k dimensions, 1 when they are equal, however their axes are rotated. vectors (b, n, k):
    the resampled factors, matched, with the sign of the original.
    """

    matched: np.ndarray
    space: np.ndarray
    vectors: np.ndarray


def congruence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Tucker's congruence of the columns of two tables (n, k) -> (k, k): the cosine, without subtracting the mean."""
    norms = np.sqrt((a**2).sum(axis=0))[:, None] * np.sqrt((b**2).sum(axis=0))
    return np.divide(a.T @ b, norms, out=np.zeros_like(norms), where=norms > 0)


def match(original: np.ndarray, found: np.ndarray, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """The column of `found` that matches each column of `original`, (k,), and its sign (k,); all 1 for "nmf".

    Maximises the sum of absolute congruences (Hungarian method). Shapes (n, k).
    """
    from scipy.optimize import linear_sum_assignment

    cosines = congruence(original, found)
    if method == "nmf":
        return linear_sum_assignment(-cosines)[1], np.ones(len(cosines))
    columns = linear_sum_assignment(-np.abs(cosines))[1]
    return columns, np.where(np.diag(cosines[:, columns]) < 0, -1.0, 1.0)


def bootstrap(
    table: np.ndarray,
    fit: LowRank,
    k: int,
    method: Method,
    centre: Centre,
    axis: int,
    rng: np.random.Generator,
    *,
    bootstraps: int = BOOTSTRAPS,
    advance: Callable[[], None] = lambda: None,
) -> Resamples:
    """Factors of tables whose rows (axis 0) or columns (axis 1) are drawn with replacement.

    The side that was not drawn is compared: scores when columns are drawn, loadings when rows are.
    """
    whole = solve(fit, k, method)
    original = whole.scores if axis == 1 else whole.loadings
    matched, space, vectors = [], [], []
    for drawn in _draws(np.isfinite(table), axis, bootstraps, rng):
        start = np.take(fit.filled, drawn, axis)
        again = fit_factors(np.take(table, drawn, axis), k, method, centre, start=start, tolerance=COARSE)
        solution = solve(again, k, method)
        found = solution.scores if axis == 1 else solution.loadings
        columns, sign = match(original, found, method)
        found = found[:, columns] * sign
        matched.append(np.diag(congruence(original, found)))
        space.append(_overlap(original, found))
        vectors.append(found)
        advance()
    return Resamples(np.array(matched), np.array(space), np.array(vectors))


def jackknife(
    table: np.ndarray,
    fit: LowRank,
    k: int,
    method: Method,
    centre: Centre,
    *,
    advance: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, float]:
    """Standard errors of `shares` by leaving out rows and columns one by one: of each factor (k,), of all together.

    The variances over rows and over columns are added. A bootstrap is biased here: a row drawn twice agrees with
    itself, so that the share of the first factor rises.
    """
    whole = solve(fit, k, method)
    variance = np.zeros(k + 1)
    for axis in (0, 1):
        n = table.shape[axis]
        found = []
        for i in range(n):
            part = np.delete(table, i, axis)
            again = fit_factors(part, k, method, centre, start=np.delete(fit.filled, i, axis), tolerance=COARSE)
            solution = solve(again, k, method)
            sides = (whole.scores, solution.scores) if axis == 1 else (whole.loadings, solution.loadings)
            each, every = shares(part, again, solution)
            found.append([*each[match(*sides, method)[0]], every])
            advance()
        variance += (n - 1) * np.var(found, axis=0)
    error = np.sqrt(variance)
    return error[:-1], float(error[-1])


def _draws(known: np.ndarray, axis: int, bootstraps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draws of at least three different lines that leave two measured cells in every line of the other side."""
    n = known.shape[axis]
    for _ in range(bootstraps):
        for _ in range(100):
            drawn = np.asarray(rng.integers(0, n, n))
            distinct = np.unique(drawn)
            if distinct.size > 2 and np.take(known, distinct, axis).sum(axis).min() > 1:
                break
        yield drawn


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared cosine of the principal angles between two column spaces, 0..1."""
    p, q = np.linalg.qr(a)[0], np.linalg.qr(b)[0]
    return float(((p.T @ q) ** 2).sum() / a.shape[1])
