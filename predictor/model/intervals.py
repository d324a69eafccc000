"""Intervals: how far a prediction for a pair of unseen datasets may be off, from out-of-fold residuals.

Split-conformal in spirit, with every target weighing the same: cells of one target err together, so the target
and not the cell is the unit that is exchangeable with a new one (the pooled distribution of Dunn, Wasserman
and Ramdas 2023, "Distribution-free prediction sets for two-layer hierarchical models", without its point mass
at infinity, which would make every interval of a matrix with fewer than ten targets infinite).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.9
_KEPT = 401
_MIN_APART = 10
# Cells of one target err together: with fewer targets than this, a median away from 0 is chance. Moving intervals to
# the median on a matrix of three targets lowered the coverage from .95 to .12.
_MIN_TARGETS = 20
_BINS = 5


@dataclass(frozen=True, slots=True)
class Residuals:
    """Measured gain minus out-of-fold prediction, pp, sorted; share: weight of each (sums to 1); n: number of cells.

    With few targets, every residual is included with both signs.
    """

    values: np.ndarray
    share: np.ndarray
    n: int

    @property
    def centre(self) -> float:
        """The median residual (middle of the lower and the upper one), pp: it moves a predicted mean to the median."""
        return (weighted_quantile(self.values, self.share, 0.5) - weighted_quantile(-self.values, self.share, 0.5)) / 2

    def half_width(self, level: float = LEVEL) -> float:
        """Half the width of an interval around prediction + centre that covers `level` of the residuals, pp.

        As in split conformal prediction, the level is raised by a factor 1 + 1/n.
        """
        return weighted_quantile(np.abs(self.values - self.centre), self.share, min(1.0, level * (1 + 1 / self.n)))

    def harm(self, gain: np.ndarray) -> np.ndarray:
        """Chance that the true gain is below zero, (pairs,): the share of residuals r with gain + r < 0, smoothed.

        Half a residual is added on both sides, so that no chance is exactly 0 or 1.
        """
        below = np.concatenate([[0.0], np.cumsum(self.share)])
        share = below[np.searchsorted(self.values, -gain, side="left")]
        return (share * self.n + 0.5) / (self.n + 1.0)

    def compressed(self) -> Residuals:
        """At most 401 residuals of equal weight with the same distribution, for storing."""
        if self.values.size <= _KEPT:
            return self
        positions = (np.arange(_KEPT) + 0.5) / _KEPT
        middle = np.cumsum(self.share) - self.share / 2
        values = np.interp(positions, middle, self.values)
        return Residuals(values, np.full(_KEPT, 1 / _KEPT), self.n)


def residuals(errors: np.ndarray, target: np.ndarray) -> Residuals:
    """Residuals from out-of-fold errors, with the same weight for every target.

    Parameters
    ----------
    errors
        Gain minus prediction, pp, (cells,); NaN is skipped.
    target
        int64 from 0, (cells,).
    """
    known = ~np.isnan(errors)
    errors, target = errors[known], target[known]
    counts = np.bincount(target)
    targets, n = np.count_nonzero(counts), errors.size
    share = 1.0 / (counts[target] * targets)
    if targets < _MIN_TARGETS:
        errors, share = np.concatenate([errors, -errors]), np.concatenate([share, share]) / 2
    order = np.argsort(errors, kind="stable")
    return Residuals(errors[order], share[order], int(n))


def weighted_quantile(values: np.ndarray, share: np.ndarray, level: float) -> float:
    """Smallest value whose cumulated share reaches `level`."""
    order = np.argsort(values, kind="stable")
    position = int(np.searchsorted(np.cumsum(share[order]), level - 1e-12, side="left"))
    return float(values[order][min(position, values.size - 1)])


def cross_conformal(
    errors: np.ndarray, source_group: np.ndarray, target_group: np.ndarray, target: np.ndarray, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half-width for every cell, from the out-of-fold errors of cells that share neither of its groups.

    This measures coverage without a second round of fitting: the interval of a cell never uses errors of its own source
    or target group.

    Parameters
    ----------
    errors
        Gain minus prediction, pp, (cells,).
    source_group, target_group, target
        int64, (cells,).
    level
        Share of errors to cover.

    Returns
    -------
    tuple of np.ndarray
        `Residuals.centre` and `Residuals.half_width`, (cells,); NaN with fewer than ten such cells.
    """
    centre, half = np.full(errors.shape, np.nan), np.full(errors.shape, np.nan)
    for cells, others in _apart(errors, source_group, target_group, target):
        centre[cells], half[cells] = others.centre, others.half_width(level)
    return centre, half


def cross_harm(
    errors: np.ndarray, predicted: np.ndarray, source_group: np.ndarray, target_group: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Chance of a negative gain for every cell, as `Residuals.harm`, from cells that share no group, (cells,)."""
    chance = np.full(errors.shape, np.nan)
    for cells, others in _apart(errors, source_group, target_group, target):
        chance[cells] = others.harm(predicted[cells])
    return chance


def _apart(
    errors: np.ndarray, source_group: np.ndarray, target_group: np.ndarray, target: np.ndarray
) -> Iterator[tuple[np.ndarray, Residuals]]:
    """For each pair of groups: its cells (mask), and the residuals of the cells that share neither."""
    # Sorted once: sorting what is in order already costs next to nothing, and there are thousands of pairs.
    order = np.argsort(errors, kind="stable")
    sources, targets, dataset, values = source_group[order], target_group[order], target[order], errors[order]
    for s, t in np.unique(np.column_stack([source_group, target_group]), axis=0):
        apart = (sources != s) & (sources != t) & (targets != s) & (targets != t)
        if int(apart.sum()) >= _MIN_APART:
            yield (source_group == s) & (target_group == t), residuals(values[apart], dataset[apart])


def reliability(chance: np.ndarray, happened: np.ndarray) -> dict[str, Any]:
    """How reliable predicted chances are.

    Parameters
    ----------
    chance
        Predicted chances, 0..1, (cells,); NaN is skipped.
    happened
        bool, (cells,).

    Returns
    -------
    dict
        brier: mean squared error of the chance (Brier 1950). base: that of always answering with the overall share.
        error: mean |chance - share| over bins, weighted by their cells (expected calibration error). bins: fifths of
        the range as {"chance", "share", "cells"}, without empty ones.
    """
    known = ~np.isnan(chance)
    chance, happened = chance[known], happened[known].astype(np.float64)
    if not chance.size:
        return {"brier": math.nan, "base": math.nan, "error": math.nan, "bins": []}
    number = np.minimum((chance * _BINS).astype(np.int64), _BINS - 1)
    bins = [
        {
            "chance": float(chance[number == k].mean()),
            "share": float(happened[number == k].mean()),
            "cells": int((number == k).sum()),
        }
        for k in np.unique(number)
    ]
    return {
        "brier": float(np.mean((chance - happened) ** 2)),
        "base": float(happened.var()),
        "error": sum(abs(b["chance"] - b["share"]) * b["cells"] for b in bins) / chance.size,
        "bins": bins,
    }
