"""Evaluation: the law is found, shuffled gains are not, nothing leaks, and baselines are what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from traitcast.predictor.evaluation.baselines import (
    additive,
    baselines,
    nearest_profiles,
    ridge,
    source_mean,
    target_mean,
)
from traitcast.predictor.evaluation.evaluate import Evaluation, evaluate
from traitcast.predictor.evaluation.metrics import METRICS
from traitcast.predictor.evaluation.trees_alone import fit_trees_alone
from traitcast.predictor.model.features import FeatureSettings, ProfileSet
from traitcast.predictor.model.fitting import fit_gated
from traitcast.predictor.model.gain_model import KNOWN, NEW
from traitcast.predictor.model.observations import Split, group_datasets, observe, splits
from traitcast.predictor.model.pair_data import Data, pair_data
from traitcast.predictor.model.predictor import Settings
from traitcast.predictor.model.trees import TreeSettings
from traitcast.warehouse.console import as_json
from traitcast.warehouse.errors import ScoresError
from traitcast.warehouse.records import Cells


def value(evaluation: Evaluation, metric: str, name: str = "model") -> float:
    found = evaluation.model if name == "model" else evaluation.baselines[name]
    return found[metric]["value"]


@pytest.fixture(scope="module")
def data(law: Cells, world: ProfileSet) -> Data:
    return pair_data(observe(law, world), world, FeatureSettings())


@pytest.fixture(scope="module")
def new_pair(law: Cells, world: ProfileSet) -> Evaluation:
    return evaluate(observe(law, world), world, "new-pair")


def test_the_law_is_found_for_pairs_of_unseen_datasets(new_pair: Evaluation) -> None:
    assert value(new_pair, "spearman") > 0.5
    assert value(new_pair, "spearman") > value(new_pair, "spearman", "nearest_profiles")
    assert new_pair.model["spearman"]["low"] > 0.2
    assert isnan(value(new_pair, "spearman", "source_mean")), "an unseen source has no mean"
    assert new_pair.advantage is not None
    best = new_pair.advantage["baseline"]
    assert value(new_pair, "spearman") - value(new_pair, "spearman", best) == new_pair.advantage["value"]
    others = [m["spearman"]["value"] for m in new_pair.baselines.values()]
    assert value(new_pair, "spearman", best) == np.nanmax(others)


def test_intervals_cover_what_they_claim(new_pair: Evaluation) -> None:
    assert 0.84 <= value(new_pair, "coverage_90") <= 0.95


@pytest.mark.parametrize(
    "protocol",
    [
        pytest.param("new-target", marks=pytest.mark.slow),
        "new-source",
        pytest.param("new-pair", marks=pytest.mark.slow),
    ],
)
def test_shuffled_gains_give_nothing(world: ProfileSet, cells_of: Callable[..., Cells], protocol: str) -> None:
    found = []
    for seed in range(4):
        observations = observe(cells_of(world, seed, permute=True), world)
        found.append(value(evaluate(observations, world, protocol, with_baselines=False), "spearman"))
    # A source keeps no effect over targets, so the mean of four worlds has a standard error near .03.
    # Where the gate abstains there is no order, and so no correlation.
    assert abs(np.mean(np.nan_to_num(found))) < 0.1


def test_the_held_out_target_never_influences_its_prediction(data: Data) -> None:
    grouping_size = len(data.observations.names)
    group = np.arange(grouping_size)
    for protocol in ("new-target", "new-source", "new-pair"):
        split = splits(data.observations, protocol, group)[0]
        changed_gain = data.observations.gain.copy()
        changed_gain[split.test] = 1000.0
        changed = replace(data, observations=replace(data.observations, gain=changed_gain))
        for learner in (_model(protocol, group), *baselines(data).values()):
            assert np.array_equal(learner(data, split), learner(changed, split))


def _model(protocol: str, group: np.ndarray) -> Callable[[Data, Split], np.ndarray]:
    def predict(data: Data, split: Split) -> np.ndarray:
        inner = {KNOWN: protocol} if protocol == "new-target" else {NEW: protocol}
        return fit_gated(data, split.train, group, inner, TreeSettings()).predict(data, split.test)[0]

    return predict


def test_a_target_that_changes_moves_others_but_not_itself(data: Data, world: ProfileSet) -> None:
    grouping = group_datasets(data.observations, world)
    split = splits(data.observations, "new-target", grouping.group)[0]
    gain = data.observations.gain.copy()
    gain[split.train] = -gain[split.train]
    flipped = replace(data, observations=replace(data.observations, gain=gain))
    models = [fit_trees_alone(d, split.train, grouping, "new-target", TreeSettings()) for d in (data, flipped)]
    a, b = (m.predict(data.table[split.test], data.observations.target[split.test]) for m in models)
    assert np.corrcoef(a, b)[0, 1] < 0


@pytest.mark.slow
def test_random_cells_flatter_and_are_labelled_so(law: Cells, world: ProfileSet, new_pair: Evaluation) -> None:
    leaky = evaluate(observe(law, world), world, "random-cell")
    assert leaky.leaky
    assert not new_pair.leaky
    assert "leaks" in leaky.groups
    assert value(leaky, "rmse") < value(new_pair, "rmse")
    assert value(leaky, "spearman", "additive") > value(new_pair, "spearman")


def test_the_report_has_the_contracted_shape(new_pair: Evaluation) -> None:
    document = new_pair.as_json()
    assert list(document)[:6] == ["protocol", "cells", "targets", "model", "baselines", "ceiling"]
    assert document["cells"] == 18 * 17
    assert document["targets"] == 18
    assert tuple(document["model"]) == METRICS
    assert all(set(estimate) == {"value", "low", "high"} for estimate in document["model"].values())
    assert {"zero", "mean", "target_mean", "source_mean", "additive", "ridge", "nearest_profiles", "size"} <= set(
        document["baselines"]
    )
    assert sum(name.startswith("similarity:") for name in document["baselines"]) == 7
    assert document["ceiling"] is None
    assert document["diagonal"]["cells"] == 18


def test_the_ceiling_comes_from_seeds_else_from_models_else_is_unknown(
    profiles_of_count: Callable[..., ProfileSet], cells_of: Callable[..., Cells]
) -> None:
    world = profiles_of_count(9)
    ceilings = {}
    for noise in (0.5, 3.0):
        observations = observe(cells_of(world, seeds=4, noise=noise), world)
        made = evaluate(observations, world, "new-target", with_baselines=False)
        assert made.ceiling_kind == "seeds"
        assert made.ceiling is not None
        ceilings[noise] = made.ceiling["spearman"]["value"]
    assert ceilings[0.5] > 0.9
    assert 0 < ceilings[3.0] < 0.8
    three = observe(cells_of(world, models=("a", "b", "c")), world)
    pooled = evaluate(three, world, "new-target", with_baselines=False)
    assert pooled.ceiling_kind == "models"
    assert pooled.ceiling is not None
    assert pooled.ceiling["spearman"]["value"] > 0.9


def test_it_is_deterministic(profiles_of_count: Callable[..., ProfileSet], cells_of: Callable[..., Cells]) -> None:
    world = profiles_of_count(9)
    observations = observe(cells_of(world), world)
    first, second = (evaluate(observations, world, "new-source", with_baselines=False) for _ in range(2))
    assert as_json(first.as_json()) == as_json(second.as_json())


def test_progress_counts_splits(profiles_of_count: Callable[..., ProfileSet], cells_of: Callable[..., Cells]) -> None:
    world = profiles_of_count(9)
    observations = observe(cells_of(world), world)
    seen: list[tuple[int, int]] = []
    evaluate(observations, world, "new-target", with_baselines=False, on_progress=lambda *done: seen.append(done))
    last = len(seen)
    assert last > 5
    assert seen == [(done, last) for done in range(1, last + 1)]


def test_means_by_hand(data: Data) -> None:
    o = data.observations
    test = np.flatnonzero((o.source == 2) & (o.target == 5))
    split = Split(np.setdiff1d(np.arange(len(o)), test), test)
    assert source_mean(data, split)[0] == pytest.approx(o.gain[(o.source == 2) & (o.target != 5)].mean())
    assert target_mean(data, split)[0] == pytest.approx(o.gain[(o.target == 5) & (o.source != 2)].mean())
    unseen = Split(np.flatnonzero((o.source != 2) & (o.target != 5)), test)
    assert source_mean(data, unseen)[0] == pytest.approx(o.gain[unseen.train].mean())


def test_additive_finds_an_additive_matrix(data: Data) -> None:
    o = data.observations
    rng = np.random.default_rng(0)
    gain = rng.normal(size=18)[o.source] + 3 * rng.normal(size=18)[o.target]
    exact = replace(data, observations=replace(o, gain=gain))
    test = np.arange(0, len(o), 7)
    split = Split(np.setdiff1d(np.arange(len(o)), test), test)
    assert np.corrcoef(additive(exact, split), gain[test])[0, 1] > 0.98


def test_ridge_is_that_of_scikit_learn_on_standardised_features(data: Data) -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = np.arange(0, 200), np.arange(200, len(data.observations))
    # Impute after scaling, so that the scale is that of the defined values.
    model = make_pipeline(StandardScaler(), SimpleImputer(), RidgeCV(alphas=np.logspace(0, 5, 11)))
    model.fit(data.table[train], data.observations.gain[train])
    expected = model.predict(data.table[test])
    made = ridge(data, Split(train, test))
    scaled = model[0].transform(data.table[test])
    inside = np.nanmax(np.abs(scaled), axis=1) < 5
    assert inside.sum() > 50
    assert np.allclose(made[inside], expected[inside])


def test_nearest_profiles_copies_an_identical_pair(data: Data) -> None:
    o = data.observations
    twin = data.standardised.copy()
    twin[1] = twin[0]
    same = replace(data, standardised=twin)
    test = np.flatnonzero((o.source == 0) & (o.target == 9))
    near = np.flatnonzero((o.source == 1) & (o.target == 9))
    five = np.concatenate([near, np.flatnonzero(o.target == 3)[:4]])
    assert nearest_profiles(same, Split(five, test))[0] == pytest.approx(o.gain[five].mean())
    assert nearest_profiles(same, Split(near, test))[0] == o.gain[near][0]


def test_a_similarity_keeps_its_order_even_if_it_hurt_in_training(data: Data) -> None:
    column = next(j for j, f in enumerate(data.space.features) if f.trait == "prompt_tfidf_cosine")
    against = replace(data, observations=replace(data.observations, gain=-data.table[:, column]))
    split = Split(np.arange(100), np.arange(100, 200))
    made = baselines(data)["similarity:prompt_tfidf_cosine"](against, split)
    assert np.array_equal(np.argsort(made), np.argsort(data.table[split.test, column]))


def test_what_is_refused(law: Cells, world: ProfileSet, profiles_of_count: Callable[..., ProfileSet]) -> None:
    observations = observe(law, world)
    with pytest.raises(ScoresError, match=r"unknown protocol 'leave-one-out'. Allowed: new-target"):
        evaluate(observations, world, "leave-one-out")
    few = {"d00", "d01", "d02"}
    rows = [i for i in range(len(law.gain)) if law.sources[i] in few and law.targets[i] in few]
    tiny = replace(
        law,
        **{name: tuple(getattr(law, name)[i] for i in rows) for name in ("models", "sources", "targets")},
        **{name: getattr(law, name)[rows] for name in ("seeds", "gain", "standard_error", "score", "base_score")},
    )
    with pytest.raises(ScoresError, match=r"too few profiled datasets \(3\) for the new-pair protocol"):
        evaluate(observe(tiny, world), world, "new-pair")


@pytest.fixture(scope="module")
def ablated(law: Cells, world: ProfileSet) -> Evaluation:
    settings = Settings(trees=TreeSettings(rounds=40, learning_rate=0.12))
    return evaluate(observe(law, world), world, "new-source", settings=settings, with_ablations=True)


@pytest.mark.slow
def test_features_that_the_law_uses_beat_similarity_and_shuffled_gains_find_nothing(ablated: Evaluation) -> None:
    assert ablated.claim is not None
    claim = {row["features"]: row for row in ablated.claim}
    assert claim["everything"]["spearman"]["low"] > 0.2
    assert claim["everything"]["advantage"]["low"] > 0.0
    assert claim["these three together"]["advantage"]["value"] > 0.2
    assert abs(claim["everything, gains permuted"]["spearman"]["value"]) < 0.25
    assert claim["surface similarity"]["advantage"] is None
    assert claim["everything"]["share"] == 1.0


@pytest.mark.slow
def test_a_part_loses_what_its_spearman_lacks(ablated: Evaluation) -> None:
    assert ablated.ablations is not None
    found = {name: part["spearman"]["value"] for name, part in ablated.ablations.items()}
    worst = min((name for name in found if name.startswith("without ")), key=lambda name: found[name])
    assert worst == "without class_balance"
    assert found["only class_balance"] > max(found["only readability"], found["only size"], found["only similarity"])
    for name, part in ablated.ablations.items():
        assert set(part) == {*METRICS, "loss"}
        assert part["loss"]["value"] == pytest.approx(value(ablated, "spearman", "trees_alone") - found[name])
    document = json.loads(as_json(ablated.as_json()))
    assert set(document["ablations"]) == set(found)
    assert set(document["harm"]) == {"brier", "base", "error", "bins"}
