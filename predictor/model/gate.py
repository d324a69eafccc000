"""The gate: which candidate is used, and whether there is any signal to use.

Owns the comparison of candidates by held-out orders inside the training rows, and the test against shuffled gains. It
uses the richest candidate that no simpler one beats. Where shuffled gains do as well, it claims no signal: measured
sources then keep the order of closeness and their plain mean, and new ones that of closeness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from traitcast.predictor.model.gain_model import (
    CLOSENESS,
    EVIDENCE,
    KNOWN,
    LIKENESS,
    NOTHING,
    SOURCE_MEAN,
    Training,
    order_weights,
    orders,
)

# A candidate is beaten by another whose lead is more than half its standard error: it is a choice, not a claim.
LEAD = 0.5
# A signal is claimed if fewer shuffled matrices than this do as well.
SURE = 0.05
SHUFFLES = 199
# So many shuffles that do as well settle that there is no signal (Besag and Clifford 1991).
_ENOUGH = 20
# The least share of right orders by which two sources count as told apart.
TOLD_APART = 0.75
_MIN_ORDERS, _BINS = 30, 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found for one regime.

    Attributes
    ----------
    kind
        The candidate that is used.
    chance
        Share of shuffled matrices in which sources are ordered as well.
    scores
        Candidate -> mean held-out Kendall tau over targets.
    resolution
        Least difference of two predictions, in spreads of the target, from which on TOLD_APART of held-out orders
        are right; None where no difference is enough.
    complement
        Whether, without a signal, three sources that complement each other are named (`GainModel.to_try`).
    """

    kind: str
    chance: float
    scores: dict[str, float]
    resolution: float | None = None
    complement: bool = False

    def as_json(self) -> dict[str, Any]:
        """What is stored; without `complement` where it is False, as in predictors that did not know of it."""
        return {key: value for key, value in asdict(self).items() if key != "complement" or value}

    @property
    def abstains(self) -> bool:
        """Whether no signal is claimed."""
        return self.chance > SURE


def kendall(truth: np.ndarray, order: np.ndarray) -> float:
    """Kendall's tau-a of two lists, (m,); a predicted tie counts as half right. NaN if all true values are equal."""
    i, j = np.triu_indices(len(truth), k=1)
    differs = truth[i] != truth[j]
    agrees = np.sign(truth[i] - truth[j]) * np.sign(np.round(order[i] - order[j], 9))
    return float(agrees[differs].mean()) if differs.any() else float("nan")


def chosen(values: Mapping[str, np.ndarray], target: np.ndarray) -> str:
    """The richest candidate that no simpler one beats. values: by candidate, simplest first, (blocks,).

    Where it makes no difference the richer one is used: over 15 settings with few targets each, stepping down needs a
    reason more than stepping up does.
    """
    groups = np.unique(target, return_inverse=True)[1]
    by = {kind: np.bincount(groups, of) / np.bincount(groups) for kind, of in values.items()}
    kinds = list(by)

    def beats(a: str, b: str) -> bool:
        lead = by[a] - by[b]
        error = lead.std(ddof=1) / np.sqrt(lead.size) if lead.size > 1 else np.inf
        return bool(lead.mean() > max(LEAD * error, 1e-12))

    kind = kinds[-1]
    while better := [simpler for simpler in kinds[: kinds.index(kind)] if beats(simpler, kind)]:
        kind = max(better, key=lambda one: by[one].mean())
    return kind


def regret(gain: np.ndarray, order: np.ndarray, k: int = 3) -> float:
    """How many spreads the best of the first k misses the best of all, (sources,) each; the spread may not be 0."""
    return float((gain.max() - gain[np.argsort(-np.round(order, 9), kind="stable")[:k]].max()) / gain.std())


def lower(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> bool:
    """Whether a regret falls by more than LEAD standard errors over targets, (blocks,) each.

    A third of shuffled worlds pass, where a choice by it is as good as any.
    """
    groups = np.unique(target, return_inverse=True)[1]
    fall = np.bincount(groups, before - after) / np.bincount(groups)
    return fall.size > 1 and bool(fall.mean() > max(LEAD * fall.std(ddof=1) / np.sqrt(fall.size), 1e-12))


def chance_of_known(training: Training, seed: int) -> float:
    """Share of matrices with gains shuffled within targets whose closed forms order held-out targets as well."""
    rng, g = np.random.default_rng(seed), training.gains
    n, given = len(g.targets), order_weights(g, training.asked, training.same, training.same)

    def statistic(z: np.ndarray, ranks: np.ndarray) -> float:
        found = orders(replace(g, z=z), training.asked, KNOWN, training.same, training.same, given)
        close = found[CLOSENESS]
        forms = (found[LIKENESS], found[SOURCE_MEAN] + close, found[EVIDENCE] + close)
        return max(_correlation(ranks, form) for form in forms)

    ranks = np.where(np.isnan(g.z), np.nan, np.argsort(np.argsort(g.z, axis=1), axis=1))
    seen, above = statistic(g.z, ranks), 0
    for done in range(SHUFFLES):
        if above >= _ENOUGH:
            return (1 + above) / (done + 1)
        above += statistic(*_shuffled((g.z, ranks), rng.random((n, n)))) >= seen
    return (1 + above) / (SHUFFLES + 1)


def _shuffled(tables: Sequence[np.ndarray], draw: np.ndarray) -> list[np.ndarray]:
    """Tables (models, n, n) with the sources of each target shuffled, alike in all models. draw: uniform, (n, n).

    That models agree on a target is no sign of a law over targets. What no model measured stays where it is: a gain may
    not come to lie where source and target are one, whose closeness is beyond that of any pair.
    """
    known = np.broadcast_to((~np.isnan(tables[0])).any(axis=0), tables[0].shape)
    to, of = (np.argsort(np.where(known, keys, 1.0), axis=1, kind="stable") for keys in (0.0, draw))
    made = [np.empty(table.shape) for table in tables]
    for into, table in zip(made, tables, strict=True):
        np.put_along_axis(into, to, np.take_along_axis(table, of, axis=1), axis=1)
    return made


def _correlation(ranks: np.ndarray, order: np.ndarray) -> float:
    """Mean over targets of the correlation between ranks of gains and an order, both (models, n, n)."""
    known = ~np.isnan(ranks)
    counts = known.sum(axis=1)
    x, y = (_centred(values, known, 1) for values in (ranks, order))
    xx, yy, xy = ((a * b).sum(axis=1) for a, b in ((x, x), (y, y), (x, y)))
    found = np.divide(xy, np.sqrt(xx * yy), out=np.zeros(counts.shape), where=(xx > 1e-12) & (yy > 1e-12))
    return float(found[counts > 2].mean()) if (counts > 2).any() else 0.0


def chance_of_new(
    truth: np.ndarray,
    found: Mapping[str, np.ndarray],
    block: np.ndarray,
    source: np.ndarray,
    column: np.ndarray,
    seed: int,
) -> float:
    """Share of shuffles of held-out sources after which some candidate orders them as well.

    The sources of a block change places on all targets alike: a source that is good or bad moves all targets at once,
    so its cells are not independent witnesses.

    Parameters
    ----------
    truth
        Standardised gains, (cells,).
    found
        Candidate -> its predictions, (cells,).
    block
        Which sources were held out together, (cells,).
    source, column
        Source and target (of one model) of each cell, (cells,).
    seed
        Of the shuffles.
    """
    kinds = [kind for kind, values in found.items() if np.ptp(values) > 1e-12]
    every, blocks = np.array([truth, *(found[kind] for kind in kinds)]), []
    for b in np.unique(block):
        mine = block == b
        sources, row = np.unique(source[mine], return_inverse=True)
        columns, place = np.unique(column[mine], return_inverse=True)
        tables = np.full((len(every), len(sources), len(columns)), np.nan)
        tables[:, row, place] = every[:, mine]
        centred = _centred(tables, np.broadcast_to(~np.isnan(tables[0]), tables.shape), 1)
        blocks.append((centred[0], centred[1:]))
    lengths = np.sqrt(sum((values**2).sum(axis=(1, 2)) for _, values in blocks)) if kinds else np.zeros(0)
    if not (lengths > 1e-12).any():
        return 1.0

    def statistic(draw: Callable[[int], np.ndarray]) -> float:
        sums = sum(np.einsum("st,kst->k", x[draw(len(x))], values) for x, values in blocks)
        return float((sums / np.where(lengths > 1e-12, lengths, np.inf)).max())

    rng = np.random.default_rng(seed)
    seen = statistic(np.arange)
    return (1 + sum(statistic(rng.permutation) >= seen - 1e-12 for _ in range(SHUFFLES))) / (SHUFFLES + 1)


def _centred(values: np.ndarray, known: np.ndarray, axis: int) -> np.ndarray:
    """Values less their mean over the known ones along an axis, 0 where unknown."""
    filled = np.where(known, values, 0.0)
    mean = filled.sum(axis=axis, keepdims=True) / np.maximum(known.sum(axis=axis, keepdims=True), 1)
    return np.asarray(np.where(known, filled - mean, 0.0))


def resolution(truth: np.ndarray, order: np.ndarray, group: Sequence[np.ndarray]) -> float | None:
    """The predicted difference from which on TOLD_APART of held-out orders are right, by tenths; None if there is none.

    truth, order: (cells,), in spreads. group: row numbers of the cells that were ordered together.
    """
    gaps, right = [np.zeros(0)], [np.zeros(0)]
    for rows in group:
        i, j = np.triu_indices(len(rows), k=1)
        gap = order[rows[i]] - order[rows[j]]
        gaps.append(np.abs(gap))
        right.append(np.sign(truth[rows[i]] - truth[rows[j]]) * np.sign(gap) > 0)
    size, correct = np.concatenate(gaps), np.concatenate(right)
    ascending = np.argsort(size, kind="stable")
    bins = np.array_split(ascending, min(_BINS, size.size // _MIN_ORDERS) or 1)
    told = [rows.size >= _MIN_ORDERS and correct[rows].mean() >= TOLD_APART for rows in bins]
    if not told[-1]:
        return None
    first = max((k for k, apart in enumerate(told) if not apart), default=-1) + 1
    return float(size[bins[first][0]])


def nothing(chance: float = 1.0) -> Verdict:
    """The verdict where nothing could be held out."""
    return Verdict(NOTHING, chance, {})
