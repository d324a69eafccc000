"""The metrics of a predicted transfer matrix: one formula each, for a list and for many resamples of it at once.

A list holds the sources of one target that were ranked together. `weight` (draws, m) says how often each of its m
sources counts in each draw: ones for the list itself, the numbers of a bootstrap for its resamples, so that a bootstrap
over sources does not score hundreds of lists one by one. A source drawn twice counts twice in averages and orders, and
once as a choice (regret). Predictions that tie are never ordered by position: ranking metrics take the mean over all
orders. Every function returns (draws,), NaN where the metric is undefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

METRICS = (
    "spearman",
    "pairwise_accuracy",
    "ndcg",
    "regret_at_1",
    "regret_at_3",
    "regret_at_5",
    "regret_at_3_spreads",
    "rmse",
    "sign_accuracy",
    "coverage_90",
)


@dataclass(frozen=True, slots=True)
class Block:
    """The cells of one target that were ranked together; all arrays have shape (m,).

    Parameters
    ----------
    truth, predicted
        Measured and predicted gains, pp.
    choice
        By what the first k are chosen, whose regret counts; a predictor may choose otherwise than it orders.
    moved
        Predictions moved to the median of their errors, pp: their size, sign and interval are judged.
    half_width
        Half the width of the 90 % intervals around `moved`, pp; NaN without intervals.
    source
        int64: the dataset behind every cell, with which it is resampled.
    """

    truth: np.ndarray
    predicted: np.ndarray
    choice: np.ndarray
    moved: np.ndarray
    half_width: np.ndarray
    source: np.ndarray

    @property
    def orders(self) -> bool:
        """Whether both the gains and the predictions put the sources in some order."""
        return bool(np.ptp(self.truth) > 0 and np.ptp(self.predicted) > 0)


def values_of(block: Block, drawn: np.ndarray | None = None) -> np.ndarray:
    """All metrics of a block under draws of its sources.

    Parameters
    ----------
    block
        The cells.
    drawn
        How often each source was drawn, (draws, m); None: once each, in one draw.

    Returns
    -------
    np.ndarray
        (draws, metrics) in the order of METRICS. The column of the rmse holds mean squared errors, whose root is taken
        after averaging.
    """
    truth, predicted, moved = block.truth, block.predicted, block.moved
    weight = np.ones((1, truth.size)) if drawn is None else drawn.astype(np.float64)
    regrets = list(_regrets((1, 3, 5), weight, truth, block.choice))
    columns = [
        spearman(weight, truth, predicted),
        pairwise_accuracy(weight, truth, predicted),
        ndcg(weight, truth, predicted),
        *regrets,
        regrets[1] / (truth.std() or nan),
        _average(weight, (truth - moved) ** 2),
        sign_accuracy(weight, truth, moved),
        coverage(weight, truth, moved, block.half_width),
    ]
    return np.column_stack(columns)


def spearman(weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation, ties by average rank; 0 for equal predictions, undefined for equal gains."""
    x, y = (_centred_ranks(weight, values) for values in (truth, predicted))
    xx, yy, xy = ((weight * a * b).sum(axis=1) for a, b in ((x, x), (y, y), (x, y)))
    varies = xx > 1e-9
    found = np.divide(xy, np.sqrt(xx * yy), out=np.zeros(len(weight)), where=varies & (yy > 1e-9))
    return np.where(varies, found, nan)


def pairwise_accuracy(weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Share of source pairs with different gains that are put in the right order; a predicted tie counts half."""
    above = np.sign(truth[:, None] - truth[None, :])
    right = np.where(above != 0, (above * np.sign(predicted[:, None] - predicted[None, :]) + 1) / 2, 0.0)
    differs = (weight @ (above != 0).astype(np.float64) * weight).sum(axis=1)
    agrees = (weight @ right * weight).sum(axis=1)
    return np.divide(agrees, differs, out=np.full(len(weight), nan), where=differs > 0)


def ndcg(weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """NDCG over the whole list: relevance (gain - worst) / (best - worst) of the target, discount 1/log2(rank+1).

    Tied predictions share the mean discount of their ranks (McSherry and Najork 2008). Undefined for equal gains.
    """
    present = weight > 0
    worst = np.where(present, truth, np.inf).min(axis=1)
    best = np.where(present, truth, -np.inf).max(axis=1)
    spread = best - worst
    varies = np.isfinite(spread) & (spread > 0)
    relevance = np.zeros(weight.shape)
    np.divide(truth - worst[:, None], spread[:, None], out=relevance, where=varies[:, None] & present)
    mass = weight * relevance
    found, ideal = ((mass * _discount(weight, values)).sum(axis=1) for values in (predicted, truth))
    return np.divide(found, ideal, out=np.full(len(weight), nan), where=varies)


def regret_at(k: int, weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Best gain of all sources minus the best of the first k (of those to try first, where some are named).

    Expected over random tie-breaks.
    """
    return _regrets((k,), weight, truth, predicted)[0]


def _regrets(ks: Sequence[int], weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(truth, kind="stable")
    here, gain = weight[:, order] > 0, truth[order]
    ahead, tied = _places(here.astype(np.float64), predicted[order])
    several = here.sum(axis=1) > 1
    best = np.where(several, np.where(here, gain, -np.inf).max(axis=1), 0.0)
    found = []
    for k in ks:
        sure = here & (ahead + tied <= k)
        # The best choice is the i-th gain at most if no sure choice is above it, nor any of those drawn from a tie.
        below = (np.cumsum(sure[:, ::-1], axis=1)[:, ::-1] - sure == 0).astype(np.float64)
        edge = here & (ahead < k) & (ahead + tied > k)
        if edge.any():
            below *= _none_drawn_above(edge, np.where(edge, k - ahead, 0).max(axis=1, keepdims=True))
        found.append(np.where(several, best - np.diff(below, axis=1, prepend=0.0) @ gain, nan))
    return found


def _none_drawn_above(tied: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Chance that none of `drawn` (draws, 1) random choices among `tied` (draws, m) is after a place, (draws, m)."""
    from scipy.special import comb

    return np.asarray(comb(np.cumsum(tied, axis=1), drawn) / comb(tied.sum(axis=1, keepdims=True), drawn))


def sign_accuracy(weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Share of gains whose sign is right; gains of exactly 0 do not count, a prediction of 0 counts half."""
    return _average(np.where(truth != 0, weight, 0.0), (np.sign(truth) * np.sign(predicted) + 1) / 2)


def coverage(weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray, half_width: np.ndarray) -> np.ndarray:
    """Share of measured gains inside their 90 % interval; undefined unless every cell has one."""
    if np.isnan(half_width).any():
        return np.full(len(weight), nan)
    return _average(weight, (np.abs(truth - predicted) <= half_width).astype(np.float64))


def _average(weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    total = weight.sum(axis=1)
    return np.divide(weight @ values, total, out=np.full(len(weight), nan), where=total > 0)


def _centred_ranks(weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Average ranks within each draw minus their mean, (draws, m)."""
    below = values[None, :] < values[:, None]
    level = values[None, :] == values[:, None]
    ranks = weight @ (below + 0.5 * level).T
    count = np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    return ranks - (weight * ranks).sum(axis=1, keepdims=True) / count


def _places(weight: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many values lie above each value, and how many equal it (itself counts), int64 (draws, m)."""
    above, level = (
        np.rint(weight @ (compared.T).astype(np.float64)).astype(np.int64)
        for compared in (values[None, :] > values[:, None], values[None, :] == values[:, None])
    )
    return above, level


def _discount(weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean discount 1/log2(rank+1) over the ranks that a value and those equal to it take, (draws, m)."""
    ahead, tied = _places(weight, values)
    longest = int((ahead + tied).max())
    summed = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(longest) + 2.0))])
    return np.divide(summed[ahead + tied] - summed[ahead], tied, out=np.zeros(weight.shape), where=tied > 0)
