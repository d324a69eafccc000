"""Trees alone: what the predictor was before it built on evidence, kept to compare with and for ablations.

Trees on target-centred gains plus the measured level of every target. Owns centring, the shrinkage of levels, and the
choice of the tree size inside the training rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from traitcast.predictor.model import trees
from traitcast.predictor.model.observations import Grouping, Observations, splits
from traitcast.predictor.model.pair_data import Data
from traitcast.predictor.model.trees import Size, TreeSettings

if TYPE_CHECKING:
    import xgboost

_INNER_FOLDS = 3
# Pseudo-sources at the overall mean that a target's measured level is averaged with.
LEVEL_SHRINKAGE = 2.0


@dataclass(frozen=True, slots=True)
class TreesAlone:
    """Trees on target-centred gains plus the measured level of each target.

    gain(source, target) = trees(pair features) + level(target). Centring keeps the trees from spending splits on which
    targets are easy to improve, which does not help to choose a source. levels: pp above the mean, (datasets of the
    matrix,); 0 for a dataset that was no training target.
    """

    booster: xgboost.Booster
    levels: np.ndarray
    size: Size

    def predict(self, table: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Gains in pp, (rows,). target: int64 positions in the matrix's datasets, (rows,)."""
        return trees.predict(self.booster, table) + self.levels[target]


def fit_trees_alone(
    data: Data,
    train: np.ndarray,
    grouping: Grouping,
    protocol: str,
    settings: TreeSettings,
    size: Size | None = None,
) -> TreesAlone:
    """Fit to the rows `train`; unless given, the size is chosen within them, under `protocol`."""
    observations = data.observations.take(train)
    levels, centred = centre(observations)
    table, weight = data.table[train], observations.weight
    if size is None:
        inner = _inner_splits(observations, protocol, grouping, settings)
        size = trees.choose_size(table, centred, weight, inner, settings)
    return TreesAlone(trees.grow(table, centred, weight, size, settings), levels, size)


def _inner_splits(
    observations: Observations, protocol: str, grouping: Grouping, settings: TreeSettings
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Three splits under the same protocol (new-pair for random cells, whose own folds leak), largest test first."""
    protocol = protocol if protocol != "random-cell" else "new-pair"
    made = splits(observations, protocol, grouping.group, folds=_INNER_FOLDS, seed=settings.seed)
    largest = sorted(made, key=lambda split: -split.test.size)[:_INNER_FOLDS]
    return [(split.train, split.test) for split in largest]


def centre(observations: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Target levels (datasets,), pp above the mean, and gains centred on their (target, model), pp."""
    n, models = len(observations.names), len(observations.models)
    gain, mean = observations.gain, float(observations.gain.mean())
    key = observations.target * models + observations.model
    counts = np.bincount(key, minlength=n * models)
    own = np.divide(np.bincount(key, gain, minlength=n * models), counts, out=np.zeros(n * models), where=counts > 0)
    rows = np.bincount(observations.target, minlength=n)
    # Cells of several models for one pair are replicates, so they must not reduce the shrinkage.
    shrinkage = LEVEL_SHRINKAGE * models
    levels = np.bincount(observations.target, gain - mean, minlength=n) / (rows + shrinkage)
    return levels, gain - own[key] + mean
