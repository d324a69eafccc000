"""Resampling: the metrics of one block again, with its sources drawn anew, many draws at a time.

Owns the arithmetic of metrics under multiplicities, so that a bootstrap over sources does not score hundreds of
resampled lists one by one. A source drawn twice counts twice in averages and orders; a choice among sources (regret)
counts it once. It draws nothing itself; `predictor.evaluation.metrics` does, and defines the metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np


@dataclass(frozen=True, slots=True)
class Block:
    """The cells of one target that were ranked together, all (m,). moved: predictions moved to the median, pp.

    source: int64, whose draws these cells follow.
    """

    truth: np.ndarray
    predicted: np.ndarray
    moved: np.ndarray
    half_width: np.ndarray
    source: np.ndarray


def resampled(block: Block, drawn: np.ndarray) -> np.ndarray:
    """The metrics of a block under draws of its sources, (draws, metrics) in the order of `metrics.METRICS`.

    drawn: how often every source of the block was drawn, (draws, m). NaN where a metric is undefined. The column of
    the rmse holds mean squared errors.
    """
    weight = drawn.astype(np.float64)
    truth, predicted, total = block.truth, block.predicted, weight.sum(axis=1)
    error = np.abs(truth - block.moved)
    nonzero = np.where(truth != 0, weight, 0.0)
    sign = (np.sign(truth) * np.sign(block.moved) + 1) / 2
    covered = _average(weight, (error <= block.half_width).astype(np.float64), total)
    columns = [
        _spearman(weight, truth, predicted, total),
        _pairwise(weight, truth, predicted),
        _ndcg(weight, truth, predicted),
        *_regrets(drawn > 0, truth, predicted),
        _average(weight, error**2, total),
        _average(nonzero, sign, nonzero.sum(axis=1)),
        covered if not np.isnan(block.half_width).any() else np.full(len(weight), nan),
    ]
    return np.column_stack(columns)


def _average(weight: np.ndarray, values: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(weight @ values, total, out=np.full(len(weight), nan), where=total > 0)


def _spearman(weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Correlation of the average ranks within each draw; 0 where the truth varies and the prediction does not."""
    count = np.maximum(total, 1.0)[:, None]
    x, y = (_centred(weight, values, count) for values in (truth, predicted))
    xx, yy, xy = ((weight * a * b).sum(axis=1) for a, b in ((x, x), (y, y), (x, y)))
    orders = xx > 1e-9
    found = np.divide(xy, np.sqrt(xx * yy), out=np.zeros(len(weight)), where=orders & (yy > 1e-9))
    return np.where(orders, found, nan)


def _centred(weight: np.ndarray, values: np.ndarray, count: np.ndarray) -> np.ndarray:
    below = values[None, :] < values[:, None]
    level = values[None, :] == values[:, None]
    ranks = weight @ (below + 0.5 * level).T
    return ranks - (weight * ranks).sum(axis=1, keepdims=True) / count


def _pairwise(weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    above = np.sign(truth[:, None] - truth[None, :])
    right = np.where(above != 0, (above * np.sign(predicted[:, None] - predicted[None, :]) + 1) / 2, 0.0)
    differs = (weight @ (above != 0).astype(np.float64) * weight).sum(axis=1)
    agrees = (weight @ right * weight).sum(axis=1)
    return np.divide(agrees, differs, out=np.full(len(weight), nan), where=differs > 0)


def _ndcg(weight: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
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


def _discount(weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean discount 1/log2(rank+1) over the ranks that a value and those equal to it take, (draws, m)."""
    ahead = np.rint(weight @ (values[None, :] > values[:, None]).T.astype(np.float64)).astype(np.int64)
    tied = np.rint(weight @ (values[None, :] == values[:, None]).T.astype(np.float64)).astype(np.int64)
    longest = int((ahead + tied).max())
    summed = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(longest) + 2.0))])
    return np.divide(summed[ahead + tied] - summed[ahead], tied, out=np.zeros(weight.shape), where=tied > 0)


def _regrets(present: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> list[np.ndarray]:
    """Regret at 1, 3 and 5 among the sources drawn. Ties are broken once at random, the same for every draw."""
    shuffled = np.random.default_rng(truth.size).permutation(truth.size)
    order = np.lexsort((shuffled, -predicted))
    here, gain = present[:, order], truth[order]
    place = np.cumsum(here, axis=1)
    best = np.where(here, gain, -np.inf).max(axis=1)
    several = place[:, -1] > 1
    found = []
    for k in (1, 3, 5):
        chosen = np.where(here & (place <= k), gain, -np.inf).max(axis=1)
        found.append(np.where(several, np.subtract(best, chosen, where=several, out=np.zeros(len(best))), nan))
    return found
