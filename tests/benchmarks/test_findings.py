"""Faults of every kind in planted datasets: every one is found, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conftest import load_benchmark
from traitcast.profiler.findings.checks import CHECKS

planting = load_benchmark("findings")


@pytest.mark.parametrize("number", range(len(planting.KINDS)), ids=[kind.__name__ for kind in planting.KINDS])
def test_what_is_planted_is_found_and_nothing_else(tmp_path: Path, number: int) -> None:
    planted = planting.KINDS[number](random.Random(number))
    found = planting.found_in(planted, tmp_path / "data")
    assert found == {check: rows for check, rows in planted.expected.items() if rows}


def test_every_check_is_planted_somewhere() -> None:
    planted = [kind(random.Random(number)) for number, kind in enumerate(planting.KINDS)]
    assert {name for one in planted for name in one.expected} == {check.name for check in CHECKS}


def test_a_missed_row_and_a_wrong_one_lower_the_score() -> None:
    score = planting.Score(planted=4, found=5, right=3, datasets=1)
    (row,) = planting.table({"markup": score})
    assert row == ("`markup`", "1", "4", "5", "0.60", "0.75")
