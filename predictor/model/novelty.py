"""Novelty: is a dataset unlike those that the predictor has seen in that role?

The distance of its standardised trait profile to the nearest training dataset is compared with the same distances among
the training datasets. An extrapolation is flagged, never hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# One training dataset in twenty is farther than this from its nearest neighbour.
PERCENTILE = 95.0
# Intervals widen with the distance over that at which a dataset counts as novel, up to this many times.
FARTHEST = 4.0


@dataclass(frozen=True, slots=True)
class Seen:
    """Standardised trait profiles of the datasets seen in one role. profiles: (datasets, traits), NaN undefined.

    limit: the 95th percentile of the distances of the training datasets to their nearest other one.
    """

    names: tuple[str, ...]
    profiles: np.ndarray
    limit: float

    def distance(self, profiles: np.ndarray) -> np.ndarray:
        """Root-mean-square distance, in training standard deviations, to the nearest seen dataset: (datasets,)."""
        return _distances(profiles, self.profiles).min(axis=1)

    def far(self, profiles: np.ndarray) -> np.ndarray:
        """That distance over the limit, at most FARTHEST, (datasets,); above 1 a dataset is novel."""
        distance = self.distance(profiles)
        far = distance / self.limit if self.limit > 0 else np.where(distance > 0, np.inf, 0.0)
        return np.asarray(np.where(np.isfinite(far), np.minimum(far, FARTHEST), FARTHEST))

    def novel(self, profiles: np.ndarray) -> np.ndarray:
        """True where a profile is farther from everything seen than seen datasets are from each other."""
        distance = self.distance(profiles)
        return ~(distance <= self.limit)


def remember(names: Sequence[str], profiles: np.ndarray) -> Seen:
    """Remember the datasets of one role, at least two. profiles: standardised, (datasets, traits)."""
    apart = _distances(profiles, profiles)
    np.fill_diagonal(apart, np.inf)
    return Seen(tuple(names), profiles, float(np.percentile(apart.min(axis=1), PERCENTILE)))


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All distances, (len(a), len(b)); infinite where two profiles share no defined trait."""
    from sklearn.metrics.pairwise import nan_euclidean_distances

    if not a.shape[1]:
        return np.full((len(a), len(b)), np.inf)
    # Its squares are scaled up from the traits that both profiles define to all of them.
    apart = nan_euclidean_distances(a, b) / np.sqrt(a.shape[1])
    return np.where(np.isnan(apart), np.inf, apart)
