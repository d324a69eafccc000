"""Evidence: what was measured of a source, carried over to another target. Closed form, nothing is searched for.

Owns the standardised gains of a matrix and their weighted means. A gain is centred on its target and divided by the
target's spread, so that a target on which everything moves by 20 pp does not outvote ten on which it moves by 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traitcast.predictor.model.observations import Observations

# Spreads of the target for a deviation of closeness: the mean slope over 17 settings is .55.
CLOSE = 0.5
# Share of all models in the evidence of one: alone they are noisier, together they hide what differs.
POOLED = 0.5
# Cells without a noise estimate count fully; a target that is all noise keeps this much of a say.
_LEAST_RELIABLE = 0.1
# Pseudo-sources of typical spread that the spread of a target is averaged with.
_SPREAD_SHRINKAGE = 2.0
# Pseudo-targets: a source that was measured on few targets is taken to be like its like.
_SOURCE_SHRINKAGE = 2.0


@dataclass(frozen=True, slots=True)
class Gains:
    """The measured gains of a matrix by (model, source, target), n datasets in either role.

    z: (models, n, n), gain less its target's level over the target's spread, NaN where not measured. level, spread: pp,
    (models, n), NaN where the target was not measured. reliability: 0..1, (models, n), share of the variance between
    the sources of a target that other seeds (or rows, where there is one seed) would repeat.
    """

    z: np.ndarray
    level: np.ndarray
    spread: np.ndarray
    reliability: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        """Whether a dataset was measured as a target, bool (n,)."""
        return np.asarray((~np.isnan(self.z)).any(axis=(0, 1)))

    @property
    def sources(self) -> np.ndarray:
        """Whether a dataset was measured as a source, bool (n,)."""
        return np.asarray((~np.isnan(self.z)).any(axis=(0, 2)))


def standardise(observations: Observations) -> Gains:
    """The gains in units of their target's spread."""
    n, models = len(observations.names), len(observations.models)
    where = (observations.model, observations.source, observations.target)
    gain, variance = np.full((2, models, n, n), np.nan)
    gain[where], variance[where] = observations.gain, observations.noise
    known = ~np.isnan(gain)
    counts = known.sum(axis=1)
    level = np.divide(
        np.where(known, gain, 0.0).sum(axis=1), counts, out=np.full(counts.shape, np.nan), where=counts > 0
    )
    apart = np.where(known, gain - level[:, None], 0.0)
    squares = (apart**2).sum(axis=1)
    own = squares[counts > 1] / (counts[counts > 1] - 1)
    typical = float(np.median(own)) if own.size else 1.0
    # A constant column would be divided by nothing.
    typical = typical if typical > 1e-12 else 1.0
    between = (squares + _SPREAD_SHRINKAGE * typical) / (np.maximum(counts - 1, 0) + _SPREAD_SHRINKAGE)
    noisy = ~np.isnan(variance)
    mean_noise = np.divide(
        np.where(noisy, variance, 0.0).sum(axis=1),
        noisy.sum(axis=1),
        out=np.zeros(counts.shape),
        where=noisy.any(axis=1),
    )
    reliability = np.clip(1 - mean_noise / between, _LEAST_RELIABLE, 1.0)
    spread = np.where(counts > 0, np.sqrt(between), np.nan)
    return Gains(np.where(known, apart / spread[:, None], np.nan), level, spread, reliability)


def carried(gains: Gains, weight: np.ndarray) -> np.ndarray:
    """Weighted mean of what a source did on the measured targets, (models, n sources, asked); NaN without any.

    weight: (asked, n targets), 0 where a target may not be used; it is multiplied by the reliability of the target.
    """
    known = ~np.isnan(gains.z)
    each = np.nan_to_num(gains.reliability)[:, None]
    sums = np.where(known, gains.z, 0.0) * each @ weight.T
    total = (known * each) @ weight.T
    own = _ratio(sums, total)
    if len(own) == 1:
        return own
    of_all = np.broadcast_to(_ratio(sums.sum(axis=0), total.sum(axis=0)), own.shape)
    return np.where(np.isnan(own), of_all, (1 - POOLED) * own + POOLED * of_all)


def _ratio(sums: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 1e-12)


def source_mean(gains: Gains, allowed: np.ndarray) -> np.ndarray:
    """Mean gain of a source over the allowed targets, less the mean of these over all sources.

    In typical spreads; shaped as `carried`.

    Targets are not centred first: this is the baseline `source_mean` to the letter.
    """
    known = ~np.isnan(gains.z)
    gain = np.where(known, np.nan_to_num(gains.level)[:, None] + gains.z * np.nan_to_num(gains.spread)[:, None], 0.0)
    weight = allowed.astype(np.float64)
    mean = _ratio((gain @ weight.T).sum(axis=0), (known @ weight.T).sum(axis=0))
    here = ~np.isnan(mean)
    centre = _ratio(np.where(here, mean, 0.0).sum(axis=0), here.sum(axis=0))
    return np.broadcast_to((mean - centre) / np.nanmedian(gains.spread), (len(gain), *mean.shape))


def complements(gains: Gains, source: np.ndarray, close: np.ndarray, first: int, k: int) -> list[int]:
    """Up to `k` of S sources, whose best one did best on the measured targets; the first of them is given.

    Each next one, of those that were measured, raises the mean over measured targets (of every model) of the highest
    gain most.

    Parameters
    ----------
    gains
        What was measured; a cell that was not, as all of a source that is new, counts as an average one.
    source
        int64 positions of the sources, -1 for any other dataset, (S,).
    close
        What each is expected to add on the asked target whatever it did elsewhere, in spreads, (S,).
    first, k
        Position of the first among the S, and how many to choose.
    """
    measured = (source >= 0) & gains.sources[source]
    z = np.where(measured[:, None], np.nan_to_num(gains.z).swapaxes(0, 1)[source].reshape(len(source), -1), 0.0)
    reached = z[:, (~np.isnan(gains.z)).any(axis=1).ravel()] + close[:, None]
    chosen, best = [first], reached[first]
    open_to = measured & (np.arange(len(source)) != first)
    while len(chosen) < k and open_to.any():
        means = np.where(open_to, np.maximum(reached, best).mean(axis=1), -np.inf)
        chosen.append(int(np.argmax(means)))
        open_to[chosen[-1]] = False
        best = np.maximum(best, reached[chosen[-1]])
    return chosen


def like_sources(known: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted mean of what the like of a source are said to do, (models, asked sources, asked targets); 0 without any.

    known: (models, n sources, asked targets). weight: (asked sources, n sources).
    """
    here = ~np.isnan(known)
    sums, total = weight @ np.where(here, known, 0.0), weight @ here.astype(np.float64)
    return np.divide(sums, total, out=np.zeros(sums.shape), where=total > 1e-12)


def own_share(gains: Gains, source: np.ndarray) -> np.ndarray:
    """How far a source is judged by its own gains, not by its like: 0 without any, towards 1 with many, (models, S).

    source: int64 positions, -1 for any other dataset.
    """
    counts = np.where(source >= 0, (~np.isnan(gains.z)).sum(axis=2)[:, source], 0)
    return np.asarray(counts / (counts + _SOURCE_SHRINKAGE))
