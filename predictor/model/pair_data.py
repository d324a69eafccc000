"""The measured gains of a matrix with everything that profiles say of their pairs: what all that learns is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traitcast.predictor.model.features import FeatureSettings, PairSpace, ProfileSet, fit_space
from traitcast.predictor.model.gain_model import Asked
from traitcast.predictor.model.likeness import LikenessScale, likeness_scale
from traitcast.predictor.model.observations import Observations


@dataclass(frozen=True, slots=True)
class Data:
    """Observations with what is known of their pairs.

    Attributes
    ----------
    observations
        The measured gains.
    space
        The pair features.
    table
        Their values, (rows, features).
    standardised
        Traits of the matrix's datasets, (datasets, traits), NaN where undefined.
    scale
        By which likeness is measured.
    asked
        The datasets of the matrix, in both roles.
    """

    observations: Observations
    space: PairSpace
    table: np.ndarray
    standardised: np.ndarray
    scale: LikenessScale
    asked: Asked


def pair_data(observations: Observations, profiles: ProfileSet, settings: FeatureSettings) -> Data:
    """The observations with their features. Features are chosen from the profiles alone; no gain is looked at."""
    names = observations.names
    sources, targets = (len(set(role.tolist())) for role in (observations.source, observations.target))
    space = fit_space(profiles, names, settings, sources=sources, targets=targets)
    table = space.table(profiles, observations.source_names, observations.target_names)
    scale = likeness_scale(profiles, names, space.word_weights)
    like, positions = scale.of(profiles, names, names), np.arange(len(names))
    asked = Asked(like, like, scale.deviations(like), scale.closeness(like, like, positions), positions, positions)
    return Data(observations, space, table, space.standardised(profiles, names), scale, asked)
