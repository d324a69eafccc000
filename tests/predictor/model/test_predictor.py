"""The predictor: bundle round trip, exact additivity of SHAP, novelty, harm, and every refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from traitcast.predictor.explanation.shap import LEVEL_TRAIT, explain
from traitcast.predictor.model import novelty, trees
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.predictor import Predictor, Settings, fit, from_json
from traitcast.predictor.model.trees import TreeSettings
from traitcast.warehouse.errors import NotProfiledError, UserError
from traitcast.warehouse.records import Cells


@pytest.fixture(scope="module")
def predictor(law: Cells, world: ProfileSet) -> Predictor:
    return fit(observe(law, world), world)


@pytest.fixture(scope="module")
def wide(profiles_of_count: Callable[..., ProfileSet]) -> ProfileSet:
    """The same kind of datasets, of which the first 18 are not those of `world`."""
    return profiles_of_count(30, seed=5)


def test_it_predicts_what_the_law_says(predictor: Predictor, world: ProfileSet, law: Cells) -> None:
    off = [i for i in range(len(law.gain)) if law.sources[i] != law.targets[i]]
    made = predictor.predict(world, [law.sources[i] for i in off], [law.targets[i] for i in off])
    assert np.corrcoef([p.gain for p in made], law.gain[off])[0, 1] > 0.9


def test_interval_and_harm_are_of_one_piece(predictor: Predictor, world: ProfileSet) -> None:
    ranked = predictor.rank(world, "d04", [n for n in world.traits.names if n != "d04"])
    assert [p.gain for p in ranked] == sorted((p.gain for p in ranked), reverse=True)
    assert all(p.high - p.gain == pytest.approx(predictor.half_width) for p in ranked)
    assert all(p.gain - p.low == pytest.approx(predictor.half_width) for p in ranked)
    harm = [p.harm for p in ranked]
    assert harm == sorted(harm)
    assert all(0 < h < 1 for h in harm)


def test_intervals_cover_pairs_of_unseen_datasets(
    predictor: Predictor,
    profiles_of_count: Callable[..., ProfileSet],
    cells_of: Callable[..., Cells],
) -> None:
    fresh = profiles_of_count(40, seed=9)
    truth = cells_of(fresh, seed=3)
    off = [i for i in range(len(truth.gain)) if truth.sources[i] != truth.targets[i]]
    gain = truth.gain[off]
    # The fresh names are those of the training world: their measured levels must not be taken for theirs.
    blind = replace(predictor, levels={})
    made = blind.predict(fresh, [truth.sources[i] for i in off], [truth.targets[i] for i in off])
    covered = np.mean([p.low <= g <= p.high for p, g in zip(made, gain, strict=True)])
    assert 0.8 < covered < 0.97
    # 18 training targets know the mean level of a new target to half a pp, which moves the chance by some .1.
    assert np.mean([p.harm for p in made]) == pytest.approx(np.mean(gain < 0), abs=0.2)


def test_the_bundle_is_json_and_gives_the_same_predictions(predictor: Predictor, world: ProfileSet) -> None:
    text = predictor.to_json()
    document = json.loads(text)
    assert document["kind"] == "traitcast-predictor"
    assert document["booster"]["learner"]["objective"]["name"] == "reg:squarederror"
    again = from_json(text)
    assert again.to_json() == text
    pairs = list(world.traits.names[:9]), list(world.traits.names[9:])
    assert again.predict(world, *pairs) == predictor.predict(world, *pairs)
    assert explain(again, world, "d01", "d02") == explain(predictor, world, "d01", "d02")


def test_an_explanation_says_how_stable_it_is(predictor: Predictor, world: ProfileSet) -> None:
    made = explain(predictor, world, "d01", "d02")
    assert 5 <= len(predictor.folds) <= 7
    found = {(c.side, c.trait): c for c in made.contributions}
    tables = predictor.table(world, ["d01"], ["d02"])
    column = [f.name for f in predictor.space.features].index("source:label_entropy_bits")
    shap = [trees.contributions(trees.from_json(fold), tables)[0][0, column] for fold in predictor.folds]
    entropy = found["source", "label_entropy_bits"]
    assert entropy.spread == pytest.approx(np.std(shap, ddof=1))
    assert entropy.agreement == np.mean(np.sign(shap) == np.sign(entropy.shap))
    assert entropy.agreement == 1.0
    assert found["target", LEVEL_TRAIT].spread is None
    assert set(made.side_spread) == {"source", "target", "pair"}
    assert 0 < made.side_spread["source"] < abs(made.by_side["source"])
    weakest = min((c for c in made.contributions if c.agreement is not None), key=lambda c: c.agreement or 0)
    assert (weakest.agreement or 0) < 0.8
    doubted = replace(made, contributions=(weakest,))
    assert "pp, unstable)" in doubted.sentence
    assert "unstable" not in replace(made, contributions=(entropy,)).sentence


def test_a_bundle_without_folds_still_explains(predictor: Predictor, world: ProfileSet) -> None:
    document = json.loads(predictor.to_json())
    del document["folds"]
    made = explain(from_json(json.dumps(document)), world, "d01", "d02")
    assert all(c.spread is None and c.agreement is None for c in made.contributions)
    assert (made.family_spread, made.side_spread) == ({}, {})


def test_fitting_is_deterministic_and_the_fingerprint_follows_the_input(
    predictor: Predictor, law: Cells, world: ProfileSet
) -> None:
    assert fit(observe(law, world), world).to_json() == predictor.to_json()
    gain = law.gain.copy()
    gain[5] += 0.01
    moved = fit(observe(replace(law, gain=gain), world), world)
    other = fit(observe(law, world), world, settings=Settings(trees=TreeSettings(seed=1)))
    assert len({p.about["fingerprint"] for p in (predictor, moved, other)}) == 3
    record = predictor.to_record("mine")
    assert (record.name, record.matrix, record.model, record.tier) == ("mine", "law", None, "static")
    assert record.fingerprint == predictor.about["fingerprint"]


@pytest.mark.parametrize("pair", [("d03", "d04"), ("d17", "d00")])
def test_shap_sums_to_the_prediction(predictor: Predictor, world: ProfileSet, pair: tuple[str, str]) -> None:
    made = explain(predictor, world, *pair)
    total = made.base_value + sum(c.shap for c in made.contributions)
    assert total == pytest.approx(made.prediction.gain, abs=1e-9)
    assert sum(made.by_family.values()) == pytest.approx(sum(made.by_side.values()))
    assert set(made.by_side) <= {"source", "target", "pair"}
    level = [c for c in made.contributions if c.trait == LEVEL_TRAIT]
    assert [c.shap for c in level] == [predictor.levels[pair[1]]]
    sizes = [abs(c.shap) for c in made.contributions]
    assert sizes == sorted(sizes, reverse=True)


def test_shap_values_are_those_of_the_shap_package(predictor: Predictor, world: ProfileSet) -> None:
    import shap

    names = world.traits.names
    table = predictor.table(world, list(names[:9]), list(names[9:]))
    values, base = trees.contributions(predictor.booster, table)
    explainer = shap.TreeExplainer(predictor.booster, feature_perturbation="tree_path_dependent")
    assert np.allclose(values, explainer.shap_values(table), atol=1e-4)
    assert base[0] == pytest.approx(float(np.ravel(explainer.expected_value)[0]), abs=1e-4)


def test_the_traits_of_the_law_carry_the_explanation(predictor: Predictor, world: ProfileSet) -> None:
    names = world.traits.names
    pairs = [(s, t) for s in names for t in names if s != t]
    table = predictor.table(world, [s for s, _ in pairs], [t for _, t in pairs])
    values, _ = trees.contributions(predictor.booster, table)
    strength = dict(zip([f.name for f in predictor.space.features], np.abs(values).mean(axis=0), strict=True))
    strongest = sorted(strength, key=lambda name: -strength[name])[:4]
    assert "source:label_entropy_bits" in strongest
    assert any("response_words_mean" in name or "generation_length" in name for name in strongest)


def test_the_sentence_says_the_gain_the_reasons_and_the_doubt(predictor: Predictor, world: ProfileSet) -> None:
    sentences = [explain(predictor, world, s, "d04").sentence for s in world.traits.names if s != "d04"]
    assert any("raise the score on d04 by" in s for s in sentences)
    assert any("lower the score on d04 by" in s for s in sentences)
    assert all("90 % interval" in s and "chance of harm" in s and "Raised most by " in s for s in sentences)


def test_source_mean_is_over_the_other_targets(predictor: Predictor, world: ProfileSet, law: Cells) -> None:
    cells = zip(law.sources, law.targets, law.gain, strict=True)
    gains = [gain for source, target, gain in cells if source == "d02" and target not in ("d02", "d05")]
    made = predictor.predict(world, ["d02"], ["d05"])[0]
    assert made.source_mean == pytest.approx(np.mean(gains), abs=1e-5)
    assert replace(predictor, measured={}).predict(world, ["d02"], ["d05"])[0].source_mean is None


def test_a_far_dataset_is_novel_and_a_training_one_is_not(predictor: Predictor, world: ProfileSet) -> None:
    values = world.traits.values.copy()
    values[6] = values.max(axis=0) * 20
    far = replace(world, traits=replace(world.traits, values=values))
    assert predictor.predict(far, ["d06"], ["d01"])[0].novel
    assert predictor.predict(far, ["d01"], ["d06"])[0].novel
    assert "unlike those in training, so this is an extrapolation" in explain(predictor, far, "d06", "d01").sentence
    assert not any(p.novel for p in predictor.predict(world, ["d01", "d06"], ["d02", "d03"]))


def test_novelty_by_hand() -> None:
    seen = novelty.remember(["a", "b", "c"], np.array([[0.0, 0.0], [1.0, 1.0], [3.0, np.nan]]))
    # Nearest distances: a-b 1, b-a 1, c-b 2 (over the one trait that both define).
    assert seen.limit == pytest.approx(np.percentile([1, 1, 2], 95))
    assert seen.distance(np.array([[0.0, 2.0], [np.nan, np.nan]])).tolist() == [pytest.approx(1.0), np.inf]
    assert seen.novel(np.array([[0.0, 2.0], [9.0, 9.0], [np.nan, np.nan]])).tolist() == [False, True, True]


def test_unseen_datasets_get_predictions_without_a_level(predictor: Predictor, wide: ProfileSet) -> None:
    made = explain(predictor, wide, "d20", "d21")
    assert not any(c.trait == LEVEL_TRAIT for c in made.contributions)
    assert made.prediction.source_mean is None


def test_the_size_of_the_trees_stays_at_the_default_without_evidence(predictor: Predictor) -> None:
    settings = TreeSettings(choose_from=100)
    rng = np.random.default_rng(0)
    table, gain = rng.normal(size=(300, 6)), rng.normal(size=300)
    folds = [(np.flatnonzero(np.arange(300) % 4 != k), np.flatnonzero(np.arange(300) % 4 == k)) for k in range(4)]
    none = trees.choose_size(table, gain, np.ones(300), [], settings)
    assert (none.depth, none.rounds) == (settings.depth, settings.rounds)
    assert "too few" in none.reason
    signal = 3 * table @ np.arange(6.0)
    found = trees.choose_size(table, signal, np.ones(300), folds, settings)
    assert (found.rounds, found.learning_rate) == (150, 2 * settings.learning_rate)
    noise = trees.choose_size(table, gain, np.ones(300), folds, settings)
    assert noise.rounds <= settings.rounds // settings.stride
    small = trees.choose_size(table, gain, np.ones(300), folds, TreeSettings())
    assert (small.rounds, small.learning_rate) == (settings.rounds, settings.learning_rate)


def test_what_is_refused(predictor: Predictor, world: ProfileSet) -> None:
    with pytest.raises(NotProfiledError, match=r"'new.jsonl' is not profiled.*traitcast profile new.jsonl"):
        predictor.predict(world, ["new.jsonl"], ["d00"])
    with pytest.raises(UserError, match=r"is not JSON .*traitcast fit"):
        from_json("{")
    with pytest.raises(UserError, match=r"is not a predictor. Fit a new one with: traitcast fit"):
        from_json('{"kind": "other"}')
    document = json.loads(predictor.to_json())
    with pytest.raises(UserError, match=r"has schema 99; this version of traitcast reads schema 1. Fit a new one"):
        from_json(json.dumps(document | {"schema": 99}))
    fewer = replace(world.traits, definitions=world.traits.definitions[:-1], values=world.traits.values[:, :-1])
    with pytest.raises(UserError, match=r"the predictor uses 8 traits, but .* no 'response_mtld'.*traitcast fit"):
        predictor.predict(replace(world, traits=fewer), ["d00"], ["d01"])


def test_a_matrix_too_small_for_intervals_is_refused(law: Cells, world: ProfileSet) -> None:
    few = {"d00", "d01", "d02"}
    rows = [i for i in range(len(law.gain)) if law.sources[i] in few and law.targets[i] in few]
    tiny = replace(
        law,
        **{name: tuple(getattr(law, name)[i] for i in rows) for name in ("models", "sources", "targets")},
        **{name: getattr(law, name)[rows] for name in ("seeds", "gain", "standard_error", "score", "base_score")},
    )
    with pytest.raises(UserError, match=r"too few datasets to hold two out .*traitcast scores import FILE"):
        fit(observe(tiny, world), world)


def test_over_a_mean_source_the_sentence_says_so(law: Cells, world: ProfileSet) -> None:
    relative = replace(law, matrix=replace(law.matrix, base="target mean"))
    fitted = fit(observe(relative, world), world)
    sentence = explain(fitted, world, "d03", "d04").sentence
    assert re.search(r"do \d+\.\d pp (better|worse) on d04 than tuning on an average source", sentence)
    assert "chance of doing worse" in sentence
