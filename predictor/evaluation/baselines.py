"""Baselines: what a predictor has to beat, each fitted to the training cells of a split and nothing else.

A baseline that does not know a held-out dataset falls back to the mean gain of its training cells, so `source_mean` is
strong only where the source was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from traitcast.predictor.model.features import root_mean_square
from traitcast.predictor.model.observations import TARGET_MEAN, Split
from traitcast.predictor.model.pair_data import Data

# Pseudo-counts that pull an effect estimated from few cells to zero.
_SHRINKAGE = 2.0
_NEIGHBOURS = 5
_ALPHAS = np.logspace(0, 5, 11)

Baseline = Callable[[Data, Split], np.ndarray]


def zero(data: Data, split: Split) -> np.ndarray:
    """No dataset changes anything: a gain of 0."""
    return np.zeros(split.test.size)


def mean(data: Data, split: Split) -> np.ndarray:
    """The mean gain of the training cells."""
    return np.full(split.test.size, _mean(data, split))


def target_mean(data: Data, split: Split) -> np.ndarray:
    """The mean gain of the target over other training sources."""
    return _mean_by(data.observations.target, data, split)


def source_mean(data: Data, split: Split) -> np.ndarray:
    """The mean gain of the source over the training targets."""
    return _mean_by(data.observations.source, data, split)


def additive(data: Data, split: Split) -> np.ndarray:
    """Mean + source effect + target effect, both shrunk, by alternating least squares."""
    observations, train, test = data.observations, split.train, split.test
    centre = _mean(data, split)
    residual = observations.gain[train] - centre
    s, t, n = observations.source, observations.target, len(observations.names)
    of_source, of_target = np.zeros(n), np.zeros(n)
    for _ in range(20):
        of_source = _shrunk(s[train], residual - of_target[t[train]], n)
        of_target = _shrunk(t[train], residual - of_source[s[train]], n)
    return centre + of_source[s[test]] + of_target[t[test]]


def ridge(data: Data, split: Split) -> np.ndarray:
    """Ridge regression on all standardised pair features, undefined ones at their mean; penalty by leave-one-out."""
    from sklearn.linear_model import RidgeCV

    train, test = prepared(data.table, split)
    gain, weight = data.observations.gain[split.train], data.observations.weight[split.train]
    model = RidgeCV(alphas=_ALPHAS).fit(train, gain, weight)
    return np.asarray(model.predict(test), dtype=np.float64)


def prepared(table: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Train and test rows of a pair table in standard deviations of the training rows, for models that take no NaN.

    Undefined features are set to their mean, constant ones to 0, and values are clipped at 5.
    """
    known = ~np.isnan(table[split.train])
    train = np.where(known, table[split.train], 0.0)
    counts = np.maximum(known.sum(axis=0), 1)
    centres = train.sum(axis=0) / counts
    spread = np.sqrt((np.where(known, train - centres, 0.0) ** 2).sum(axis=0) / counts)
    scale = np.where(spread > 1e-9 * np.maximum(1.0, np.abs(centres)), spread, np.inf)

    def of(rows: np.ndarray) -> np.ndarray:
        values = (table[rows] - centres) / scale
        return np.clip(np.where(np.isnan(values), 0.0, values), -5.0, 5.0)

    return of(split.train), of(split.test)


def nearest_profiles(data: Data, split: Split) -> np.ndarray:
    """Mean gain of the five training cells whose two datasets have the nearest trait profiles."""
    observations, traits = data.observations, data.standardised
    n = len(observations.names)
    left, right = np.divmod(np.arange(n * n), n)
    distance = root_mean_square(traits[left] - traits[right]).reshape(n, n)
    distance = np.where(np.isnan(distance), np.nanmax(distance), distance)
    predicted = np.empty(split.test.size)
    gains = observations.gain[split.train]
    k = min(_NEIGHBOURS, split.train.size)
    for i, row in enumerate(split.test):
        to_source = distance[observations.source[row], observations.source[split.train]]
        to_target = distance[observations.target[row], observations.target[split.train]]
        predicted[i] = gains[np.argpartition(to_source + to_target, k - 1)[:k]].mean()
    return predicted


def one_feature(column: int) -> Baseline:
    """Rank by one feature, more is better, scaled to pp by least squares; undefined values are the mean."""

    def predict(data: Data, split: Split) -> np.ndarray:
        x, y = data.table[split.train, column], data.observations.gain[split.train]
        known = ~np.isnan(x)
        centre = float(x[known].mean()) if known.any() else 0.0
        spread = float(np.var(x[known])) if known.any() else 0.0
        # Rounding alone spreads a constant by some 1e-17, which would blow up the slope.
        slope = float(np.mean((x[known] - centre) * y[known])) / spread if spread > 1e-12 else 0.0
        test = data.table[split.test, column]
        # Similarity is claimed to help, so its order stays even where the training cells say the opposite.
        return _mean(data, split) + max(slope, 1e-6) * (np.where(np.isnan(test), centre, test) - centre)

    return predict


def likeness(data: Data, split: Split) -> np.ndarray:
    """Likeness of the pair in curated traits, responses and prompts, scaled by the spread of the training gains."""
    asked, o = data.asked, data.observations
    spread = float(o.gain[split.train].std())
    return _mean(data, split) + 0.1 * spread * asked.own[o.source[split.test], o.target[split.test]]


def rebased(data: Data, split: Split) -> Data:
    """The data as a split may see it: gains over the mean of a target's sources are over its training sources only.

    With held-out sources in that mean, what is left in training says how good they are: a correlation of -1.
    """
    o = data.observations
    if o.matrix.base != TARGET_MEAN:
        return data
    column = o.target * len(o.models) + o.model
    seen = np.isin(o.source, o.source[split.train])
    counts = np.bincount(column, seen, minlength=int(column.max()) + 1)
    sums = np.bincount(column, np.where(seen, o.gain, 0.0), minlength=len(counts))
    base = np.divide(sums, counts, out=np.zeros(len(counts)), where=counts > 0)
    return replace(data, observations=replace(o, gain=o.gain - base[column]))


def baselines(data: Data) -> dict[str, Baseline]:
    """Every baseline that the pair table allows, by name."""
    found: dict[str, Baseline] = {
        "zero": zero,
        "mean": mean,
        "target_mean": target_mean,
        "source_mean": source_mean,
        "additive": additive,
        "ridge": ridge,
        "nearest_profiles": nearest_profiles,
        "likeness": likeness,
    }
    for j, feature in enumerate(data.space.features):
        if feature.family == "similarity":
            found[f"similarity:{feature.trait}"] = one_feature(j)
        elif feature.family == "size":
            found["size"] = one_feature(j)
    return found


def _mean(data: Data, split: Split) -> float:
    return float(data.observations.gain[split.train].mean())


def _mean_by(role: np.ndarray, data: Data, split: Split) -> np.ndarray:
    n = len(data.observations.names)
    counts = np.bincount(role[split.train], minlength=n)
    sums = np.bincount(role[split.train], data.observations.gain[split.train], minlength=n)
    means = np.divide(sums, counts, out=np.full(n, _mean(data, split)), where=counts > 0)
    return means[role[split.test]]


def _shrunk(role: np.ndarray, residual: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(role, residual, minlength=n) / (np.bincount(role, minlength=n) + _SHRINKAGE)
