"""Verdicts: sentences follow from the numbers, and claim nothing whose interval holds zero."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any

import pytest

from traitcast.predictor.evaluation.evaluate import Evaluation, evaluate
from traitcast.predictor.evaluation.verdict import verdict
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.outcomes import GAIN, LABEL_SHIFT
from traitcast.warehouse.records import Cells


@pytest.fixture(scope="module")
def found(law: Cells, world: ProfileSet) -> Evaluation:
    return evaluate(observe(law, world), world, "one-target")


def with_values(found: Evaluation, name: str, low: float, value: float, high: float) -> Evaluation:
    estimate: Any = {"value": value, "low": low, "high": high}
    if name == "over":
        return replace(found, over_source_mean={"spearman": estimate})
    return replace(found, model=found.model | {name: estimate})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ((0.1, 0.3, 0.5), "It orders sources for unseen targets better than chance: Spearman 0.30 [0.10, 0.50]."),
        ((-0.1, 0.3, 0.5), "It is not shown to order sources for unseen targets better than chance"),
        ((-0.5, -0.3, -0.1), "worse than chance: Spearman -0.30 [-0.50, -0.10]. Do not use it"),
        ((nan, 0.3, nan), "Spearman 0.30, too few targets for an interval."),
        ((nan, nan, nan), "It cannot be judged how well it orders sources for unseen targets"),
    ],
)
def test_the_order_is_judged_by_its_interval(found: Evaluation, values: tuple[float, float, float], says: str) -> None:
    assert says in verdict(with_values(found, "spearman", *values), GAIN)[0]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ((0.01, 0.1, 0.2), "better than the order by the mean gain of each source (+0.10 [+0.01, +0.20])."),
        ((-0.01, 0.1, 0.2), "not clearly different from"),
        ((-0.2, -0.1, -0.01), "worse than the order"),
        ((0.0, 0.0, 0.0), "It is the order by the mean gain of each source."),
    ],
)
def test_the_source_mean_is_compared_by_the_interval(
    found: Evaluation, values: tuple[float, float, float], says: str
) -> None:
    assert says in verdict(with_values(found, "over", *values), GAIN)[1]


def test_regret_and_intervals_are_those_of_the_tables(found: Evaluation) -> None:
    words = " ".join(verdict(found, GAIN))
    regret = [m["regret_at_3"]["value"] for m in (found.model, found.baselines["source_mean"], found.baselines["zero"])]
    assert (
        "misses the best of all by {:.1f} pp (the three of highest mean by {:.1f}, three at random by".format(*regret)
        in words
    )
    assert f"Its 90 % intervals hold {100 * found.model['coverage_90']['value']:.0f} % and" in words
    narrow = replace(found, interval_width=0.8 * found.constant_width)
    assert "20 % narrower than" in verdict(narrow, GAIN)[-1]
    assert "which is too few, and" in verdict(with_values(narrow, "coverage_90", 0.7, 0.8, 0.9), GAIN)[-1]
    assert "no signal" in verdict(replace(found, gate={"used": {}, "abstained": 0.6}), GAIN)[-1]
    assert "no signal" not in verdict(replace(found, gate={"used": {}, "abstained": 0.5}), GAIN)[-1]


def test_three_of_a_few_sources_say_nothing_and_unseen_sources_have_no_mean(found: Evaluation) -> None:
    assert "first three" not in " ".join(verdict(replace(found, candidates=3.3), GAIN))
    unseen = " ".join(verdict(replace(found, protocol="new-source"), GAIN))
    assert "three at random" in unseen
    assert "highest mean" not in unseen


def test_a_bound_that_leaves_out_zero_is_not_written_as_zero(found: Evaluation) -> None:
    assert "(+0.004 [+0.001, +0.008])" in verdict(with_values(found, "over", 0.001, 0.004, 0.008), GAIN)[1]


def test_a_side_effect_has_no_best_sources(found: Evaluation) -> None:
    assert "first three" in " ".join(verdict(found, GAIN))
    assert "first three" not in " ".join(verdict(found, LABEL_SHIFT))
