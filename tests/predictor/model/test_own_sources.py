"""Sources that hold the target's own rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.likeness import sharing


def test_parts_and_copies_of_a_target_share_its_prompts(profiles_of_count: Callable[..., ProfileSet]) -> None:
    world = profiles_of_count(4)
    hashes = np.sort(np.random.default_rng(0).random((3, 64)), axis=1)
    part = np.concatenate([hashes[0][:30], np.full(34, np.nan)])
    sketches = dict(zip(("d00", "d01", "d02", "d03"), (hashes[0], part, hashes[1], hashes[2]), strict=True))
    found = replace(world, sketches={**world.sketches, ("prompt", "texts_bottom"): sketches})
    assert sharing(found, "d00", ["d00", "d01", "d02", "d03"]) == ["d01"]
    assert sharing(world, "d00", ["d01"]) == [], "without a sketch nothing is known"
