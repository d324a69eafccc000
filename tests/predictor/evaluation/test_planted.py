"""What was planted over the profiles of the shipped datasets is found, and nothing where nothing was planted.

The evaluations with ablations take minutes; `test_evaluate` has their small twin.
"""

from __future__ import annotations

import json
import time
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.conftest import load_benchmark
from traitcast.predictor.api import profiles_of
from traitcast.predictor.evaluation.evaluate import Evaluation, evaluate, seed_noise
from traitcast.predictor.evaluation.metrics import METRICS
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.predictor import Settings
from traitcast.predictor.model.trees import TreeSettings
from traitcast.warehouse.console import as_json
from traitcast.warehouse.database.warehouse import Warehouse

# As many splits as the inner folds of the full matrix choose, in a few large steps: choosing it again, and 300 small
# steps, would take most of the time of the tests.
SETTINGS = Settings(trees=TreeSettings(depth=3, rounds=50, learning_rate=0.15, choose_from=10**9))
DATASETS = 33


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_benchmark("planted")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> ProfileSet:
    with Warehouse.open(tmp_path_factory.mktemp("none") / "none.duckdb", read_only=True) as warehouse:
        return profiles_of(warehouse)


def run(benchmark: ModuleType, shipped: ProfileSet, kind: str, **options: Any) -> Evaluation:
    # 33 datasets instead of 84, three of them ranked at a time: a clearer law makes up for it.
    law = benchmark.Law(planted=5.0, source=0.3, pair=0.5, noise=1.0)
    observations = observe(benchmark.planted(shipped, kind, law=law, datasets=DATASETS), shipped)
    return evaluate(observations, shipped, "new-source", settings=SETTINGS, **options)


@pytest.fixture(scope="module")
def traits(benchmark: ModuleType, shipped: ProfileSet) -> Evaluation:
    return run(benchmark, shipped, "traits", with_ablations=True)


def rows(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    assert evaluation.claim is not None
    return {row["features"]: row for row in evaluation.claim}


@pytest.mark.slow
def test_planted_traits_beat_similarity_and_planted_similarity_beats_nothing_else(
    benchmark: ModuleType, shipped: ProfileSet, traits: Evaluation
) -> None:
    of_traits = rows(traits)
    # Over 33 sources, drawn anew too, only everything together is clear of similarity.
    assert traits.model["spearman"]["low"] > 0.2
    assert of_traits["everything"]["advantage"]["low"] > 0.0
    assert of_traits["these three together"]["advantage"]["value"] > 0.15
    assert of_traits["generation length"]["advantage"]["value"] > 0.05
    assert of_traits["everything"]["share"] == 1.0
    assert abs(of_traits["everything, gains permuted"]["spearman"]["value"]) < 0.25
    other = rows(run(benchmark, shipped, "similarity", with_baselines=False, with_ablations=True))
    assert other["surface similarity"]["spearman"]["low"] > 0.2
    assert other["these three together"]["advantage"]["value"] < 0.05


@pytest.mark.slow
def test_ablations_take_away_what_they_say(traits: Evaluation) -> None:
    assert traits.ablations is not None
    found = {name: part["spearman"]["value"] for name, part in traits.ablations.items()}
    worst = min((k for k in found if k.startswith("without ")), key=lambda k: found[k])
    assert worst == "without generation_length"
    assert traits.ablations[worst]["loss"]["value"] > 0.1
    assert found["only generation_length"] > max(found["only surface"], found["only size"], found["only similarity"])
    for name, part in traits.ablations.items():
        assert part["loss"]["value"] == pytest.approx(
            traits.baselines["trees_alone"]["spearman"]["value"] - found[name]
        )


@pytest.mark.slow
def test_the_report_holds_them_as_json(traits: Evaluation) -> None:
    document = json.loads(as_json(traits.as_json()))
    families = ("class_balance", "generation_length", "linguistic", "readability", "similarity")
    assert {f"{what} {family}" for what in ("only", "without") for family in families} < set(document["ablations"])
    assert set(document["ablations"]["only linguistic"]) == {*METRICS, "loss"}
    assert [row["features"] for row in document["claim"]] == [
        "class distribution",
        "generation length",
        "linguistic features",
        "these three together",
        "all traits",
        "surface similarity",
        "everything",
        "everything, gains permuted",
    ]
    assert set(document["claim"][0]["advantage"]) == {"value", "low", "high"}
    assert document["claim"][5]["advantage"] is None
    assert set(document["harm"]) == {"brier", "base", "error", "bins"}
    assert document["noise"]["seeds"] == 3


@pytest.mark.slow
def test_where_nothing_was_planted_nothing_is_found(benchmark: ModuleType, shipped: ProfileSet) -> None:
    law = benchmark.Law(source=0.0)
    observations = observe(benchmark.planted(shipped, "nothing", law=law, datasets=DATASETS), shipped)
    made = evaluate(observations, shipped, "new-pair", settings=SETTINGS)
    # NaN where no source is put before another.
    assert not abs(made.model["spearman"]["value"]) >= 0.1
    assert made.advantage is None or not made.advantage["low"] >= 0.0


@pytest.mark.slow
def test_intervals_cover_and_the_chance_of_harm_is_what_happens(traits: Evaluation) -> None:
    assert 0.86 <= traits.model["coverage_90"]["value"] <= 0.94
    assert traits.harm["error"] < 0.08
    assert traits.harm["brier"] < 0.9 * traits.harm["base"]
    assert sum(b["cells"] for b in traits.harm["bins"]) == DATASETS * (DATASETS - 1)
    assert 4 < traits.interval_width < 14


def test_the_noise_of_the_seeds_caps_what_the_truth_itself_reaches(benchmark: ModuleType, shipped: ProfileSet) -> None:
    law = benchmark.Law(noise=4.0)
    measured = observe(benchmark.planted(shipped, law=law, datasets=DATASETS), shipped)
    true = observe(benchmark.planted(shipped, law=benchmark.Law(noise=0.0), datasets=DATASETS), shipped)
    noise = seed_noise(measured)
    assert noise is not None
    assert noise["seeds"] == 3
    assert noise["standard_deviation"] == pytest.approx(4.0, abs=0.2)
    reached = [
        np.corrcoef(measured.gain[measured.target == t], true.gain[true.target == t])[0, 1] for t in range(DATASETS)
    ]
    assert noise["attainable"] == pytest.approx(np.mean(reached), abs=0.03)
    assert seed_noise(observe(benchmark.planted(shipped, seeds=1, datasets=DATASETS), shipped)) is None


def test_noisier_cells_weigh_less(benchmark: ModuleType, shipped: ProfileSet) -> None:
    observations = observe(benchmark.planted(shipped, datasets=DATASETS), shipped)
    assert np.allclose(observations.weight, observations.weight[0])
    assert 0.9 < observations.weight[0] < 1.0
    noisy = observe(benchmark.planted(shipped, law=benchmark.Law(noise=6.0), datasets=DATASETS), shipped)
    assert noisy.weight[0] < observations.weight[0]


def test_an_unknown_law_is_refused(benchmark: ModuleType, shipped: ProfileSet) -> None:
    with pytest.raises(ValueError, match="unknown law 'magic'. Allowed: traits, similarity, mixed, nothing"):
        benchmark.planted(shipped, "magic")


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["new-target", "new-source", "new-pair"])
def test_84_by_84_by_3_takes_at_most_three_minutes(benchmark: ModuleType, shipped: ProfileSet, protocol: str) -> None:
    observations = observe(benchmark.planted(shipped), shipped)
    assert len(observations) == 84 * 83
    started = time.perf_counter()
    made = evaluate(observations, shipped, protocol, with_ablations=True)
    assert time.perf_counter() - started < 180
    assert made.model["spearman"]["low"] > 0.3
    assert 0.88 <= made.model["coverage_90"]["value"] <= 0.92
