"""Factors of a table with missing cells: low-rank fits, and the forms in which their factors are reported.

Owns the numerics on plain arrays, (rows, columns) with NaN where nothing was measured. Knows no datasets, warehouse or
traits.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

Method = Literal["pca", "varimax", "nmf"]
Centre = Literal["target", "double"]
METHODS: tuple[Method, ...] = ("pca", "varimax", "nmf")
CENTRES: tuple[Centre, ...] = ("target", "double")
# A fit has converged when no filled cell moves by more than this share of the table's spread. The coarse step is for
# held-out cells and resampled tables, which are many, and whose noise is far larger.
FINE, COARSE = 1e-7, 1e-3
_STEPS = 500


@dataclass(frozen=True, slots=True)
class LowRank:
    """A low-rank fit. filled: the table with its missing cells from the fit. centred: filled minus its means.

    left (rows, k), right (columns, k): orthonormal; strength (k,): singular values of `centred`, largest first.
    """

    filled: np.ndarray
    centred: np.ndarray
    left: np.ndarray
    strength: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, slots=True)
class Solution:
    """Factors in their reported form. scores (rows, k): root mean square 1. loadings (columns, k): the table's unit."""

    scores: np.ndarray
    loadings: np.ndarray

    @property
    def fitted(self) -> np.ndarray:
        """The centred table as the factors give it, (rows, columns)."""
        return self.scores @ self.loadings.T


def means(filled: np.ndarray, centre: Centre) -> np.ndarray:
    """What is subtracted before a fit, (1 or rows, columns): column means, and with "double" the row means as well."""
    offset = filled.mean(axis=0, keepdims=True)
    return offset + (filled - offset).mean(axis=1, keepdims=True) if centre == "double" else offset


def low_rank(
    table: np.ndarray, k: int, centre: Centre = "target", *, start: np.ndarray | None = None, tolerance: float = FINE
) -> LowRank:
    """Fit k factors to the measured cells by regularised iterative PCA (Josse and Husson 2012, JSFdS 153(2)).

    Missing cells start at their column's mean (or `start`) and are replaced by the fit until they converge. In the fit
    every singular value s becomes (s^2 - m) / s, where m is the mean square of those beyond k: otherwise missing cells
    are fitted too well and drift away. The returned factors are those of the filled table, without shrinkage.

    Parameters
    ----------
    table
        (rows, columns), NaN where nothing was measured.
    k
        Number of factors.
    centre
        As in `means`.
    start
        First values of the missing cells, of the shape of `table`.
    tolerance
        Convergence, as a share of the table's spread.
    """
    known = np.isfinite(table)
    begin = np.nanmean(table, axis=0, keepdims=True) if start is None else start
    filled = np.where(known, table, begin)
    spread = float(np.std(filled)) or 1.0
    for _ in range(1 if known.all() else _STEPS):
        offset = means(filled, centre)
        centred = filled - offset
        left, strength, right = _leading(centred, k)
        rest = min(table.shape[0] - 1, table.shape[1] - (centre == "double")) - k
        noise = max(0.0, float((centred**2).sum() - (strength**2).sum())) / rest if rest > 0 else 0.0
        kept = np.divide(np.maximum(strength**2 - noise, 0.0), strength, out=np.zeros(k), where=strength > 0)
        renewed = np.where(known, table, offset + (left * kept) @ right.T)
        moved = float(np.abs(renewed - filled).max())
        filled = renewed
        if moved <= tolerance * spread:
            break
    centred = filled - means(filled, centre)
    return LowRank(filled, centred, *_leading(centred, k))


def _leading(centred: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k leading singular vectors and values, through the smaller Gram matrix: half the time of a whole SVD."""
    wide = centred.shape[0] < centred.shape[1]
    table = centred.T if wide else centred
    squares, vectors = np.linalg.eigh(table.T @ table)
    right = vectors[:, ::-1][:, :k]
    image = table @ right
    strength = np.sqrt(np.maximum(squares[::-1][:k], 0.0))
    # A direction without spread has no image to normalise, and becomes zero.
    floor = 1e-9 * max(float(np.sqrt(max(squares[-1], 0.0))), 1e-300)
    strength = np.where(strength > floor, strength, 0.0)
    left = np.divide(image, strength, out=np.zeros_like(image), where=strength > 0)
    return (right, strength, left) if wide else (left, strength, right)


def per_direction(method: Method) -> int:
    """Factors for one direction of the table: two non-negative ones, one for each end; else one."""
    return 2 if method == "nmf" else 1


def fit_factors(
    table: np.ndarray,
    k: int,
    method: Method,
    centre: Centre,
    *,
    start: np.ndarray | None = None,
    tolerance: float = FINE,
) -> LowRank:
    """The low-rank fit behind k factors: one direction each, or one for two non-negative ones."""
    return low_rank(table, -(-k // per_direction(method)), centre, start=start, tolerance=tolerance)


def solve(fit: LowRank, k: int, method: Method) -> Solution:
    """The k factors of a fit: as they are, rotated, or non-negative; largest sum of squared loadings first."""
    rows = fit.centred.shape[0]
    if method == "nmf":
        scores, loadings = _nonnegative(fit.centred, k)
    else:
        scores, loadings = fit.left * np.sqrt(rows), fit.right * fit.strength / np.sqrt(rows)
        if method == "varimax":
            turn = varimax(loadings)
            scores, loadings = scores @ turn, loadings @ turn
    order = np.argsort(-(loadings**2).sum(axis=0), kind="stable")
    scores, loadings = scores[:, order], loadings[:, order]
    if method != "nmf":
        # The sign of a factor is arbitrary: the end with the longer tail of targets is positive.
        sign = np.where((loadings**3).sum(axis=0) < 0, -1.0, 1.0)
        scores, loadings = scores * sign, loadings * sign
    return Solution(scores, loadings)


def varimax(loadings: np.ndarray) -> np.ndarray:
    """The rotation (k, k) that makes the squared loadings of each factor most unequal (Kaiser 1958).

    With Kaiser's normalisation: rows of equal length, so that no variable counts more than another. Starts from the
    identity, so the criterion never ends lower than it began.
    """
    k = loadings.shape[1]
    turn = np.eye(k)
    if k < 2:
        return turn
    length = np.sqrt((loadings**2).sum(axis=1, keepdims=True))
    rows = np.divide(loadings, length, out=np.zeros_like(loadings), where=length > 0)
    reached = 0.0
    for _ in range(_STEPS):
        turned = rows @ turn
        u, s, v = np.linalg.svd(rows.T @ (turned**3 - turned * (turned**2).mean(axis=0)))
        turn = u @ v
        if s.sum() <= reached * (1 + 1e-13):
            break
        reached = float(s.sum())
    return turn


def _nonnegative(centred: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative factors of a signed table: every column becomes two, what is above 0 and what is below it.

    Folding after Kim and Tidor (2003, Genome Research 13:1706). A loading is the one minus the other.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    columns = centred.shape[1]
    folded = np.concatenate([np.maximum(centred, 0.0), np.maximum(-centred, 0.0)], axis=1)
    model = NMF(k, init="nndsvda", max_iter=1000, random_state=0)
    with warnings.catch_warnings():
        # The last digits take thousands of steps to converge; resampling moves factors by far more.
        warnings.simplefilter("ignore", ConvergenceWarning)
        weights = model.fit_transform(folded)
    loadings = model.components_[:, :columns] - model.components_[:, columns:]
    size = np.sqrt((weights**2).mean(axis=0))
    scores = np.divide(weights, size, out=np.zeros_like(weights), where=size > 0)
    return scores, (loadings * size[:, None]).T


def shares(table: np.ndarray, fit: LowRank, solution: Solution) -> tuple[np.ndarray, float]:
    """Share of the squared centred gains of the measured cells: of each factor (k,), and of all of them together."""
    known = np.isfinite(table)
    total = float((fit.centred[known] ** 2).sum())
    parts = solution.scores.T[:, :, None] * solution.loadings.T[:, None, :]
    each = np.array([(part[known] ** 2).sum() for part in parts]) / total
    rest = fit.centred[known] - solution.fitted[known]
    return each, 1.0 - float((rest**2).sum()) / total
