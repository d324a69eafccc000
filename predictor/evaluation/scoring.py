"""The score of a predictor: its metrics over all targets, with their uncertainty.

Every metric is computed over the sources of one target that were held out together (a block: one split of one
model's cells), then averaged over the blocks of all targets. Intervals are percentile bootstraps over families of
related targets where the sources are known, and over families of targets and of sources (the pigeonhole bootstrap of
Owen 2007) where sources are held out too: relatives share what makes a prediction right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import nan

import numpy as np

from traitcast.predictor.evaluation.metrics import METRICS, Block, values_of

BOOTSTRAPS = 1000
# Each draw of sources scores every block again, so there are fewer.
TWO_WAY_BOOTSTRAPS = 300
# Percentiles over fewer targets than this would pretend to knowledge.
MIN_BOOTSTRAP_TARGETS = 3

Estimate = dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Metrics per (target, block).

    values: (groups, metrics), NaN where undefined; the rmse column holds mean squared errors until they are averaged.
    target: int64, (groups,), the family of the target, which is resampled as a whole. blocks: the cells behind every
    group, for resampling sources as well; empty where the sources are not a sample of others.
    """

    values: np.ndarray
    target: np.ndarray
    blocks: tuple[Block, ...] = ()


def pooled(parts: Sequence[Scored]) -> Scored:
    """Several scorings of the same matrix as one."""
    return Scored(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.target for part in parts]),
        tuple(block for part in parts for block in part.blocks),
    )


def score(
    truth: np.ndarray,
    predicted: np.ndarray,
    half_width: np.ndarray,
    target: np.ndarray,
    block: np.ndarray,
    centre: np.ndarray | None = None,
    source: np.ndarray | None = None,
    family: np.ndarray | None = None,
    choice: np.ndarray | None = None,
) -> Scored:
    """All metrics of every (target, block).

    Parameters
    ----------
    truth, predicted
        Measured and predicted gains, pp, (cells,).
    half_width
        Half the width of the 90 % intervals, pp, (cells,); NaN without intervals.
    target, block
        int64, (cells,): the cells of one target in one block are ranked against each other, and no others.
    centre
        pp, (cells,): what a prediction is moved by before its size, its sign and its interval are judged (default 0,
        also for NaN). Orders are judged without, since a predictor moves all of its predictions alike.
    source
        int64, (cells,): family of the source, given where sources were held out, so that intervals are over both.
    family
        int64, (cells,): family of the target; None if every target is one of its own.
    choice
        (cells,): by what the first of a list are chosen (default `predicted`).

    Returns
    -------
    Scored
        A target whose predictions are all equal gets Spearman 0 (the mean over random orders) as long as the predictor
        orders the sources of some other target; one that never orders anything has no Spearman at all.
    """
    order = np.lexsort((block, target))
    changes = np.flatnonzero((np.diff(target[order]) != 0) | (np.diff(block[order]) != 0)) + 1
    groups = np.split(order, changes)
    moved = predicted if centre is None else predicted + np.nan_to_num(centre)
    columns = (
        truth,
        predicted,
        predicted if choice is None else choice,
        moved,
        half_width,
        target if source is None else source,
    )
    blocks = tuple(Block(*(column[cells] for column in columns)) for cells in groups)
    values = np.concatenate([values_of(each) for each in blocks])
    if not any(each.orders for each in blocks):
        values[:, 0] = nan
    drawn = target if family is None else family
    targets = np.array([drawn[cells[0]] for cells in groups], dtype=np.int64)
    return Scored(values, targets, () if source is None else blocks)


def summarise(scored: Scored, seed: int = 0) -> dict[str, Estimate]:
    """Mean over targets and 95 % percentile bootstrap: metric -> {"value", "low", "high"}."""
    point = _means(scored.values)
    low = high = np.full(len(METRICS), np.nan)
    if _enough(scored):
        low, high = _percentiles(bootstrap(scored, seed))
    return {
        name: {"value": float(point[i]), "low": float(low[i]), "high": float(high[i])} for i, name in enumerate(METRICS)
    }


def difference(ours: Scored, theirs: Scored, metric: str, seed: int = 0) -> Estimate:
    """Paired difference ours - theirs of one metric, with the same draws for both."""
    i = METRICS.index(metric)
    value = _means(ours.values)[i] - _means(theirs.values)[i]
    low = high = np.array([nan])
    if _enough(ours):
        low, high = _percentiles(bootstrap(ours, seed)[:, [i]] - bootstrap(theirs, seed)[:, [i]])
    return {"value": float(value), "low": float(low[0]), "high": float(high[0])}


def _enough(scored: Scored) -> bool:
    return len(set(scored.target.tolist())) >= MIN_BOOTSTRAP_TARGETS


@lru_cache(maxsize=64)
def bootstrap(scored: Scored, seed: int = 0) -> np.ndarray:
    """Metrics of many draws, (draws, metrics): of the targets, and of the sources too where they were held out.

    Cached, since the model is compared with every baseline and every part.
    """
    return _over_both(scored, seed) if scored.blocks else _over_targets(scored, seed)


def _over_both(scored: Scored, seed: int) -> np.ndarray:
    """Targets and sources are drawn independently; a cell counts as often as the product of both says.

    The intervals are a little wide: the variance of single cells counts up to three times (Owen 2007, theorem 3.1).
    """
    rng = np.random.default_rng(seed)
    targets, group = np.unique(scored.target, return_inverse=True)
    sources = np.unique(np.concatenate([block.source for block in scored.blocks]))
    of_target, of_source = (
        rng.multinomial(n, np.full(n, 1 / n), TWO_WAY_BOOTSTRAPS) for n in (len(targets), len(sources))
    )
    sums, counts = np.zeros((2, TWO_WAY_BOOTSTRAPS, len(METRICS)))
    never_orders = bool(np.isnan(scored.values[:, 0]).all())
    for block, target in zip(scored.blocks, group, strict=True):
        found = values_of(block, of_source[:, np.searchsorted(sources, block.source)])
        if never_orders:
            found[:, 0] = nan
        known, weight = ~np.isnan(found), of_target[:, [target]]
        sums += np.where(known, found, 0.0) * weight
        counts += known * weight
    return _finish(sums, counts)


def _over_targets(scored: Scored, seed: int) -> np.ndarray:
    targets, group = np.unique(scored.target, return_inverse=True)
    known = ~np.isnan(scored.values)
    sums = np.zeros((len(targets), len(METRICS)))
    counts = np.zeros((len(targets), len(METRICS)))
    np.add.at(sums, group, np.where(known, scored.values, 0.0))
    np.add.at(counts, group, known)
    drawn = np.random.default_rng(seed).multinomial(len(targets), np.full(len(targets), 1 / len(targets)), BOOTSTRAPS)
    return _finish(drawn @ sums, drawn @ counts)


def _means(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    return _finish(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0))


def _finish(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    rmse = METRICS.index("rmse")
    means[..., rmse] = np.sqrt(means[..., rmse])
    return means


def _percentiles(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    for i, column in enumerate(draws.T):
        defined = column[~np.isnan(column)]
        if defined.size:
            low[i], high[i] = np.percentile(defined, [2.5, 97.5])
    return low, high
