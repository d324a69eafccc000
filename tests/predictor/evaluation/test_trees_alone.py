"""The gain model: what centring takes off, and how far the level of a target is trusted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from traitcast.predictor.evaluation.trees_alone import centre
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import observe
from traitcast.warehouse.records import Cells


def test_a_level_is_averaged_with_two_sources_at_the_overall_mean(law: Cells, world: ProfileSet) -> None:
    observations = observe(law, world)
    few = observations.take(np.flatnonzero((observations.target > 0) | (observations.source < 4)))
    levels, centred = centre(few)
    for target, sources in ((0, 3), (1, 17)):
        own = few.gain[few.target == target]
        assert own.size == sources
        pulled = np.append(own, [few.gain.mean()] * 2)
        assert levels[target] == pytest.approx(pulled.mean() - few.gain.mean())
        assert centred[few.target == target] == pytest.approx(own - own.mean() + few.gain.mean())


def test_models_of_one_pair_are_replicates_for_a_level(cells_of: Callable[..., Cells], world: ProfileSet) -> None:
    one, two = (centre(observe(cells_of(world, noise=0.0, models=models), world))[0] for models in (("m",), ("m", "n")))
    assert two == pytest.approx(one)
