"""The gain model: evidence, a correction by trees, the level of the target, and how far all that may be off.

Owns the candidates between which the gate chooses, from "nothing" to "full", each fitted to training rows alone. What
is known of a cell's own target never enters its evidence while slopes and trees are fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from traitcast.predictor.model import evidence, trees
from traitcast.predictor.model.evidence import CLOSE, Gains
from traitcast.predictor.model.likeness import weights
from traitcast.predictor.model.trees import Size, TreeSettings

if TYPE_CHECKING:
    import xgboost

KNOWN, NEW = "measured source", "new source"
NOTHING, LIKENESS, SOURCE_MEAN, EVIDENCE, FULL = "nothing", "likeness", "source mean", "evidence", "full"
# Simplest first.
CANDIDATES = {KNOWN: (NOTHING, SOURCE_MEAN, LIKENESS, EVIDENCE, FULL), NEW: (NOTHING, LIKENESS, EVIDENCE, FULL)}
# No candidate of its own. It is added to the others as it is: what it says was found on many matrices, and one without
# a signal does not weaken it.
CLOSENESS = "closeness"
# Even the flattest slope keeps an order. Clipped at 0, orders would vanish just where the held-out target confirms them
# (a target that agrees with the others raises their slope), which cost .2 of Spearman on matrices without a signal.
_FLATTEST, _STEEPEST = 0.05, 1.5
# The spread of a target is that of its closest kin, so weights fall faster. On the matrix that ships this misses its
# logarithm by .39 where the mean misses by .71 and the weights of evidence by .63; elsewhere it changes little.
_SPREAD_SHARPNESS = 4.0
# Of fewer targets, which of their levels and spreads are alike is chance: intervals came out a fifth wider.
LEAST_TARGETS = 10
# So many sources are tried before one is chosen, as regret at 3 has it.
_TO_TRY = 3
# Pseudo-sources: the measured level of a target is averaged with its expected one.
_LEVEL_SHRINKAGE = 1.0
# Pseudo-cells of typical error that the error of a source is averaged with.
_ERROR_SHRINKAGE = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What S sources and A targets look like to a gain model of a matrix of n datasets.

    Attributes
    ----------
    of_source, of_target
        Likeness to the datasets of the matrix, (kinds, S, n) and (kinds, A, n).
    own, close
        Likeness of each pair, in deviations, and its closeness (`LikenessScale.closeness`), (S, A).
    source, target
        int64 positions among the n datasets, -1 for any other dataset.
    """

    of_source: np.ndarray
    of_target: np.ndarray
    own: np.ndarray
    close: np.ndarray
    source: np.ndarray
    target: np.ndarray


@dataclass(frozen=True, slots=True)
class Layer:
    """What orders sources: a closed form times its slope, closeness, and the trees if its kind is FULL."""

    kind: str
    slope: float = 0.0
    booster: xgboost.Booster | None = None

    def of(self, forms: Mapping[str, np.ndarray]) -> np.ndarray:
        """What it says of each pair but for the trees, in spreads, from the output of `orders`."""
        found = self.slope * forms[EVIDENCE if self.kind == FULL else self.kind]
        return found + forms[CLOSENESS] if self.is_close else found

    @property
    def is_close(self) -> bool:
        """Whether closeness is added: not to likeness, which has it in it."""
        return self.kind != LIKENESS


def target_weights(gains: Gains, asked: Asked, not_target: np.ndarray) -> np.ndarray:
    """How much each measured target counts for an asked one, (A, n). not_target: bool (A, n), which may not count."""
    return weights(asked.of_target, gains.targets & ~not_target)


def order_weights(
    gains: Gains, asked: Asked, not_target: np.ndarray, not_source: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of measured targets, (A, n), and of measured sources, (S, n). Arguments as in `orders`."""
    return target_weights(gains, asked, not_target), weights(asked.of_source, gains.sources & ~not_source)


def orders(
    gains: Gains,
    asked: Asked,
    regime: str,
    not_target: np.ndarray,
    not_source: np.ndarray,
    given: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """What every closed form says of each pair, (models, S, A), in spreads of the target but for a slope.

    Parameters
    ----------
    gains
        What was measured.
    asked
        The pairs.
    regime
        KNOWN or NEW: whether sources are judged by their own gains or by those of their like.
    not_target, not_source
        bool, (A, n) and (S, n): whose gains may not be used for an asked dataset.
    given
        Their `order_weights`, if they are known already.
    """
    of_target, of_source = given or order_weights(gains, asked, not_target, not_source)
    carried = evidence.carried(gains, of_target)
    like = evidence.like_sources(carried, of_source)
    own, close = (np.broadcast_to(of, like.shape) for of in (asked.own, CLOSE * asked.close))
    found = {NOTHING: np.zeros(like.shape), LIKENESS: own, CLOSENESS: close}
    if regime == NEW:
        return found | {EVIDENCE: like}
    share = evidence.own_share(gains, asked.source)[:, :, None]
    here = carried[:, asked.source]
    mixed = np.where(np.isnan(here) | (share == 0), like, share * np.nan_to_num(here) + (1 - share) * like)
    mean = evidence.source_mean(gains, gains.targets & ~not_target)[:, asked.source]
    mean = np.where(np.isnan(mean) | (share == 0), 0.0, mean)
    return found | {SOURCE_MEAN: mean, EVIDENCE: mixed}


@dataclass(frozen=True, slots=True)
class Prior:
    """A number per target (its level, or the logarithm of its spread) expected of one that was not measured.

    mean, variance: (models,), the mean over measured targets, and the variance of the error (of a level in squared
    spreads of its target). by_likeness: whether the mean weighted by likeness is closer.
    """

    mean: np.ndarray
    variance: np.ndarray
    by_likeness: bool

    def of(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Expected values, (models, A). values: (models, n), NaN where not measured. weight: (A, n)."""
        if not self.by_likeness:
            return np.repeat(self.mean[:, None], len(weight), axis=1)
        return _weighted(values, weight, self.mean)


def _weighted(values: np.ndarray, weight: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    sums, total = np.where(known, values, 0.0) @ weight.T, known @ weight.T
    return np.where(total > 1e-12, sums / np.maximum(total, 1e-12), otherwise[:, None])


def _prior(values: np.ndarray, weight: np.ndarray, plain: np.ndarray, unit: np.ndarray | float = 1.0) -> Prior:
    """values: (models, n), NaN where not measured. weight, plain: (n, n), 0 within a target's own block. unit: of the
    errors, (models, n)."""
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, values, 0.0).sum(axis=1) / counts
    errors = [np.where(known, np.nan_to_num(values) - _weighted(values, w, mean), 0.0) for w in (plain, weight)]
    squares = [(error / unit) ** 2 for error in errors]
    lead = (squares[0] - squares[1])[:, known.any(axis=0)].mean(axis=0)
    better = lead.size >= LEAST_TARGETS and lead.mean() > lead.std(ddof=1) / np.sqrt(lead.size)
    return Prior(mean, squares[int(better)].sum(axis=1) / counts, bool(better))


@dataclass(frozen=True, slots=True)
class GainModel:
    """gain(source, target) = level(target) + spread(target) x (slope x closed form + closeness + trees), pp.

    Attributes
    ----------
    gains
        What was measured.
    layers
        Regime -> what orders its sources.
    level, spread
        Expected of a target that was not measured: its level in pp, and the logarithm of its spread.
    source_noise
        Squared error of each source relative to that of all, (n,).
    """

    gains: Gains
    layers: Mapping[str, Layer]
    level: Prior
    spread: Prior
    source_noise: np.ndarray

    def levels(self, asked: Asked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Level (pp), spread (pp) and variance of the level (pp²) of the asked targets, each (models, A)."""
        g, allowed = self.gains, self.gains.targets & ~_is(asked.target, len(self.gains.targets))
        expected = self.level.of(g.level, weights(asked.of_target, allowed))
        spread = np.exp(self.spread.of(np.log(g.spread), weights(asked.of_target, allowed, _SPREAD_SHARPNESS)))
        counts = np.where(asked.target >= 0, (~np.isnan(g.z)).sum(axis=1)[:, asked.target], 0)
        measured = counts > 0
        spread = np.where(measured, np.nan_to_num(g.spread[:, asked.target]), spread)
        share = counts / (counts + _LEVEL_SHRINKAGE)
        level = np.where(measured, share * np.nan_to_num(g.level[:, asked.target]) + (1 - share) * expected, expected)
        variance = np.where(measured, 1 / np.maximum(counts, 1), self.level.variance[:, None])
        return level, spread, variance * spread**2

    def known(self, asked: Asked) -> np.ndarray:
        """Whether each source was measured on anything, bool (S,)."""
        return np.where(asked.source >= 0, self.gains.sources[asked.source], False)

    def closed(self, asked: Asked) -> np.ndarray:
        """What layers say but for the trees, by the regime of each source, (models, S, A), in spreads of the target."""
        n, known = len(self.gains.targets), self.known(asked)
        apart = _is(asked.target, n), _is(asked.source, n)
        found = np.zeros((len(self.gains.z), len(asked.source), len(asked.target)))
        for regime, layer in self.layers.items():
            mine = known if regime == KNOWN else ~known
            if mine.any():
                found[:, mine] = layer.of(orders(self.gains, asked, regime, *apart))[:, mine]
        return found

    def close(self, asked: Asked) -> np.ndarray:
        """The part of `closed` that is closeness, (S, A), in spreads of the target."""
        used = {regime: layer.is_close for regime, layer in self.layers.items()}
        counts = np.where(self.known(asked), used.get(KNOWN, False), used.get(NEW, False))
        return np.asarray(CLOSE * asked.close * counts[:, None])

    def to_try(self, order: np.ndarray, source: np.ndarray, close: np.ndarray) -> list[int]:
        """Three sources to try first for one target where no order is claimed; none with fewer than LEAST_TARGETS.

        The first of the order, and the two measured sources with which the best of the three did best on the measured
        targets. In the four settings of 17 in which it acts, three of them of one matrix, regret at 3 is .58 spreads
        so, and .77 by the order alone.

        Parameters
        ----------
        order, close
            What orders the sources, and the part of it that is closeness, in spreads, (S,).
        source
            int64 positions among the datasets of the matrix, (S,).

        Returns
        -------
        list of int
            Positions among the S.
        """
        if int(self.gains.targets.sum()) < LEAST_TARGETS or not len(order):
            return []
        return evidence.complements(self.gains, source, close, int(np.argmax(np.round(order, 9))), _TO_TRY)

    def trees(self, table: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The correction of pairs, (pairs,), in spreads. table: (pairs, features). known: of each pair's source."""
        found = np.zeros(len(table))
        for regime, layer in self.layers.items():
            mine = known if regime == KNOWN else ~known
            if layer.booster is not None and mine.any():
                found[mine] = trees.predict(layer.booster, table[mine])
        return found

    def scale(self, asked: Asked) -> np.ndarray:
        """How far predictions may be off but for a factor that intervals find, pp, (models, S, A)."""
        _, spread, variance = self.levels(asked)
        noise = np.where(asked.source >= 0, self.source_noise[asked.source], 1.0)
        return np.sqrt(variance[:, None] + (spread**2)[:, None] * noise[None, :, None])


def _is(position: np.ndarray, n: int) -> np.ndarray:
    return np.asarray(position[:, None] == np.arange(n))


@dataclass(frozen=True, slots=True)
class Training:
    """What a gain model is fitted to.

    Attributes
    ----------
    gains
        The measured gains of the training cells.
    asked
        All n datasets of the matrix, in both roles.
    model, source, target
        int64, (cells,).
    table
        Pair features of the cells, (cells, features).
    block
        int64, (n,): datasets of one block are kept out of each other's evidence.
    """

    gains: Gains
    asked: Asked
    model: np.ndarray
    source: np.ndarray
    target: np.ndarray
    table: np.ndarray
    block: np.ndarray

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.model, self.source, self.target

    @property
    def same(self) -> np.ndarray:
        return np.asarray(self.block[:, None] == self.block[None, :])

    @property
    def weight(self) -> np.ndarray:
        """Of each cell."""
        return np.asarray(self.gains.reliability[self.model, self.target])

    def orders(self, regime: str) -> dict[str, np.ndarray]:
        """Every closed form, without what was measured of a dataset's own block, (models, n, n)."""
        return orders(self.gains, self.asked, regime, self.same, self.same)

    def left(self, regime: str) -> tuple[np.ndarray, float]:
        """What evidence leaves to the trees, (cells,), in spreads; and its slope."""
        forms = self.orders(regime)
        z, order = (self.gains.z - forms[CLOSENESS])[self.rows], forms[EVIDENCE][self.rows]
        slope = _slope(z, order, self.weight)
        return z - slope * order, slope


def fit_layers(
    training: Training, regime: str, kinds: Sequence[str], settings: TreeSettings, size: Size
) -> dict[str, Layer]:
    """Every candidate of `kinds`, fitted to the training cells."""
    found, made = training.orders(regime), {}
    z = training.gains.z[training.rows]
    for kind in kinds:
        if kind == FULL:
            left, slope = training.left(regime)
            made[kind] = Layer(kind, slope, trees.grow(training.table, left, training.weight, size, settings))
        else:
            left = z - found[CLOSENESS][training.rows] if Layer(kind).is_close else z
            made[kind] = Layer(kind, _slope(left, found[kind][training.rows], training.weight))
    return made


def fit_gain_model(training: Training, layers: Mapping[str, Layer]) -> GainModel:
    """Levels, spreads and errors around layers that are fitted."""
    g, allowed = training.gains, training.gains.targets & ~training.same
    like, plain = training.asked.of_target, allowed.astype(np.float64)
    sharp = weights(like, allowed, _SPREAD_SHARPNESS)
    noise = np.ones(len(g.targets))
    if KNOWN in layers:
        layer, z = layers[KNOWN], g.z[training.rows]
        squares = (z - layer.of(training.orders(KNOWN))[training.rows]) ** 2
        counts, sums = (np.bincount(training.source, w, minlength=len(noise)) for w in (None, squares))
        noise = (sums / max(squares.mean(), 1e-12) + _ERROR_SHRINKAGE) / (counts + _ERROR_SHRINKAGE)
    spread = _prior(np.log(g.spread), sharp, plain)
    level = _prior(g.level, weights(like, allowed), plain, np.exp(spread.of(np.log(g.spread), sharp)))
    return GainModel(g, layers, level, spread, noise)


def _slope(z: np.ndarray, order: np.ndarray, weight: np.ndarray) -> float:
    squares = float(np.sum(weight * order**2))
    return float(np.clip(np.sum(weight * z * order) / squares, _FLATTEST, _STEEPEST)) if squares > 1e-12 else 0.0
