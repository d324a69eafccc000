"""The comparison of two precisions with two seeds, on cells made by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from precision import Measured, compare, markdown


def cell(score: float, nll: float, picks: list[int]) -> Measured:
    return Measured({"score": score, "gold_nll": nll, "gold_nll_calibrated": nll / 2}, np.array(picks))


def test_differences_by_precision_and_by_seed() -> None:
    cells = {
        (None, -1, "bfloat16", "t"): cell(0.5, 1.0, [0, 0, 1, 1]),
        (None, -1, "float32", "t"): cell(0.75, 1.1, [0, 1, 1, 1]),
        ("a", 0, "bfloat16", "t"): cell(0.5, 2.0, [0, 0, 0, 0]),
        ("a", 0, "float32", "t"): cell(0.5, 2.2, [0, 0, 0, 1]),
        ("a", 1, "float32", "t"): cell(1.0, 3.0, [1, 1, 0, 0]),
        ("b", 0, "bfloat16", "t"): cell(0.5, 1.0, [0, 0, 1, 1]),
        ("b", 0, "float32", "t"): cell(0.25, 1.1, [1, 1, 1, 1]),
        ("a", 0, "float32", "u"): cell(0.25, 1.1, [1, 1, 1, 1]),
    }
    found = {one.what: one for one in compare(cells)}
    assert list(found) == [
        "base model, precision",
        "precision, same sources and targets",
        "seed, same sources and targets",
        "precision, all",
        "seed, all",
    ]
    assert found["base model, precision"].gain is None
    everything = found["precision, all"]
    assert (everything.pairs, everything.sources) == (2, 2)
    assert everything.score == pytest.approx((12.5, 12.5))
    # Over bases that are 25 pp apart: 0 against -25 for a, 0 against -50 for b.
    assert everything.gain == pytest.approx((37.5, 12.5))
    assert everything.gold_nll == pytest.approx((0.15, 0.05))
    assert everything.flips == pytest.approx((0.375, 0.125))
    same, seed = (found[f"{name}, same sources and targets"] for name in ("precision", "seed"))
    assert same.pairs == seed.pairs == 1, "only source a has two seeds and two precisions on a target"
    assert same.gold_nll is not None
    assert same.gold_nll[0] == pytest.approx(0.2)
    assert seed.gold_nll is not None
    assert seed.gold_nll[0] == pytest.approx(0.8)
    assert seed.flips is not None
    assert seed.flips[0] == pytest.approx(0.75)
    assert markdown(list(found.values())).count("\n") == 6
