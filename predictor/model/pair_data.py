"""The measured gains of a matrix with the features of their pairs: the input of everything that learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traitcast.predictor.model.features import FeatureSettings, PairSpace, ProfileSet, fit_space
from traitcast.predictor.model.observations import Observations


@dataclass(frozen=True, slots=True)
class Data:
    """Observations with their pair features.

    table: (rows, features). standardised: traits of the matrix's datasets, (datasets, traits), NaN undefined.
    """

    observations: Observations
    space: PairSpace
    table: np.ndarray
    standardised: np.ndarray


def pair_data(observations: Observations, profiles: ProfileSet, settings: FeatureSettings) -> Data:
    """The observations with their features, which are chosen from the profiles alone; no gain is used.

    Raises
    ------
    UserError
        As `fit_space` does.
    """
    sources, targets = (len(set(role.tolist())) for role in (observations.source, observations.target))
    space = fit_space(profiles, observations.names, settings, sources=sources, targets=targets)
    table = space.table(profiles, observations.source_names, observations.target_names)
    return Data(observations, space, table, space.standardised(profiles, observations.names))
