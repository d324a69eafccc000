"""Texts that two datasets share, from sketches alone."""

from __future__ import annotations

import numpy as np
import pytest

from traitcast.warehouse.overlap import shared_texts


def test_shared_texts_is_the_share_of_the_smaller_set() -> None:
    rng = np.random.default_rng(0)
    pool = rng.random(30_000)

    def sketch(members: np.ndarray) -> np.ndarray:
        kept = np.full(1024, np.nan)
        kept[: min(1024, len(members))] = np.sort(members)[:1024]
        return kept[None]

    large, half, few, apart = (
        sketch(pool[a:b]) for a, b in ((0, 20_000), (15_000, 25_000), (0, 4_000), (25_000, 30_000))
    )
    assert shared_texts(large, half)[0] == pytest.approx(5_000 / 10_000, abs=0.06)
    assert shared_texts(half, large)[0] == shared_texts(large, half)[0]
    assert shared_texts(large, apart)[0] == 0
    assert np.isnan(shared_texts(large, np.full((1, 1024), np.nan)))[0]
    assert shared_texts(large, few)[0] == 1
