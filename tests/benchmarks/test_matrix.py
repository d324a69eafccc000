"""The arithmetic of benchmarks/matrix.py; its runs are for people with time."""

from __future__ import annotations

import pytest

from tests.conftest import load_benchmark


def test_a_peer_that_ran_fewer_seeds_is_compared_by_the_adapter_and_the_cell() -> None:
    """Two targets and sources: twelve seeds of the engine against one of the peer."""
    accuracy = {"base.s0>a": 0.5, "a.s0>a": 0.75}
    engine = {"cells": (2 * 12 + 1) * 2, "train_seconds": 48.0, "score_seconds": 50.0, "accuracy": accuracy}
    naive = {"cells": 6, "train_seconds": 40.0, "score_seconds": 60.0, "accuracy": {**accuracy, "a.s0>a": 0.5}}
    found = load_benchmark("matrix").compare(engine, naive, 2)
    assert found["times_faster"] == pytest.approx(
        {"training": 20 / 2, "scoring": 10 / 1, "whole": (100 / 6) / (98 / 50)}
    )
    assert found["cells_per_hour"] == pytest.approx({"engine": 3600 * 50 / 98, "naive": 216})
    assert found["accuracy_difference"] == {"base_max": 0.0, "adapters_mean": 0.25, "adapters_max": 0.25}
