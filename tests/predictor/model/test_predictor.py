"""The predictor: bundle round trip, exact additivity of SHAP, novelty, harm, and every refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from traitcast.predictor.explanation.shap import CLOSENESS_TRAIT, EVIDENCE_TRAIT, LEVEL_TRAIT, explain
from traitcast.predictor.model import novelty, trees
from traitcast.predictor.model.bundle import from_json, to_json, to_record
from traitcast.predictor.model.evidence import CLOSE
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.gain_model import KNOWN, NEW
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.prediction import Measurement
from traitcast.predictor.model.predictor import Predictor, Settings, fit
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
    sources = [n for n in world.traits.names if n != "d04"]
    ranked = predictor.rank(world, "d04", sources)
    assert [p.gain for p in ranked] == sorted((p.gain for p in ranked), reverse=True)
    expected = predictor.expect(world, sources, ["d04"] * len(sources))
    assert all(p.high - p.gain == pytest.approx(p.gain - p.low) for p in expected)
    assert np.mean([p.high - p.gain for p in expected]) == pytest.approx(predictor.half_width, rel=0.5)
    assert all(0 < p.harm < 1 for p in expected)
    assert np.corrcoef([p.gain for p in expected], [p.harm for p in expected])[0, 1] < -0.8


def test_a_measured_pair_is_answered_by_its_measurement(predictor: Predictor, world: ProfileSet) -> None:
    (expected,), (made,) = predictor.expect(world, ["d03"], ["d04"]), predictor.predict(world, ["d03"], ["d04"])
    found = predictor.measurements["d03"]["d04"]
    assert (made.gain, made.measured, made.basis, made.runs) == (found.gain, found.gain, "measured", 1)
    # One seed without an error: the interval is that of a prediction.
    assert made.high - made.low == pytest.approx(expected.high - expected.low)
    half = (expected.high - expected.low) / 2 / 1.645
    noisy = expected.answered(Measurement(10.0, half, 2))
    assert noisy.gain == pytest.approx((10.0 + expected.gain) / 2)
    assert noisy.high - noisy.gain == pytest.approx(1.645 * half / np.sqrt(2))
    sure = expected.answered(Measurement(10.0, 1e-3, 2))
    assert sure.gain == pytest.approx(10.0, abs=1e-3)
    assert sure.harm < 1e-6


def test_measurements_of_another_matrix_answer_and_move_the_level(predictor: Predictor, wide: ProfileSet) -> None:
    cells = {"d01": Measurement(50.0, 1.0, 1), "d02": Measurement(52.0, 1.0, 1), "d21": Measurement(1.0, 1.0, 1)}
    before = predictor.rank(wide, "d21", ["d01", "d02", "d03"])
    after = predictor.with_cells(wide, "d21", cells).rank(wide, "d21", ["d01", "d02", "d03"])
    assert {p.source for p in after if p.basis == "measured"} == {"d01", "d02"}
    (moved,), (was,) = ([p for p in found if p.source == "d03"] for found in (after, before))
    assert moved.gain - was.gain > 25
    assert predictor.with_cells(wide, "d04", {"d03": cells["d01"]}) is predictor


def test_a_mixture_takes_the_weighted_evidence_of_its_parents(predictor: Predictor, wide: ProfileSet) -> None:
    mixed = replace(wide, mixtures={"d21": {"d01": 0.25, "d03": 0.75}, "d22": {"d01": 0.5, "nowhere": 0.5}})
    shares = np.array([0.25, 0.75])
    # On a target that no parent was measured on: their evidence. On one that both were: what was measured there.
    parts, of_parents = (predictor.parts(mixed, s, ["d25"] * len(s)) for s in (["d21"], ["d01", "d03"]))
    assert parts.evidence[0] == pytest.approx(of_parents.evidence @ shares)
    assert (parts.mixed[0], parts.known[0]) == (True, True)
    (made,) = predictor.predict(mixed, ["d21"], ["d04"])
    assert made.basis == "parents"
    answers = predictor.predict(mixed, ["d01", "d03"], ["d04", "d04"])
    assert {p.basis for p in answers} == {"measured"}
    tuned_on_it, on_parents = (predictor.parts(mixed, s, ["d04"] * len(s)) for s in (["d21"], ["d01", "d03"]))
    without_traits = np.array([p.gain for p in answers]) - on_parents.correction
    assert made.gain - tuned_on_it.correction[0] == pytest.approx(
        without_traits @ shares, abs=abs(predictor.residuals[KNOWN].centre) * tuned_on_it.scale[0] + 1e-9
    )
    # A measured dataset is not predicted by its parents, nor one whose parents are unknown here.
    assert predictor.predict(mixed, ["d22"], ["d25"])[0].basis == "like sources"
    measured = replace(wide, mixtures={"d02": {"d01": 0.5, "d03": 0.5}})
    assert predictor.expect(measured, ["d02"], ["d25"]) == predictor.expect(wide, ["d02"], ["d25"])
    assert "mixture" not in explain(predictor, mixed, "d22", "d25").sentence
    made_of = explain(predictor, mixed, "d21", "d25")
    assert "d21 is a mixture of 25% d01 and 75% d03" in made_of.sentence
    assert made_of.base_value + sum(c.shap for c in made_of.contributions) == pytest.approx(made_of.prediction.gain)


def test_bands_hold_what_cannot_be_told_apart(predictor: Predictor, wide: ProfileSet) -> None:
    ranked = predictor.rank(wide, "d25", [f"d{i:02d}" for i in range(18)])
    bands = [p.band for p in ranked]
    assert bands[0] == 1
    assert bands == sorted(bands, key=lambda band: band or 0)
    least = predictor.verdicts[KNOWN].resolution
    assert least is not None
    spread = float(predictor.parts(wide, ["d00"], ["d25"]).spread[0])
    for band in set(bands):
        gains = [p.gain for p in ranked if p.band == band]
        assert max(gains) - min(gains) < least * spread


def test_each_regime_has_a_scale_of_its_own(predictor: Predictor, wide: ProfileSet) -> None:
    assert predictor.flat.keys() == predictor.residuals.keys() == {KNOWN, NEW}
    follows = replace(predictor, flat={KNOWN: None, NEW: 5.0})
    pairs = ["d01", "d20"], ["d25", "d25"]
    scale = follows.parts(wide, *pairs).scale
    assert scale[1] == 5.0
    assert scale[0] == pytest.approx(predictor.gains.scale(predictor.asked(wide, ["d01"], ["d25"]))[0, 0, 0])
    made = follows.expect(wide, *pairs)
    assert made[1].high - made[1].gain >= predictor.residuals[NEW].half_width() * 5.0


def test_intervals_cover_pairs_of_unseen_datasets(
    predictor: Predictor,
    profiles_of_count: Callable[..., ProfileSet],
    cells_of: Callable[..., Cells],
) -> None:
    fresh = profiles_of_count(40, seed=9)
    truth = cells_of(fresh, seed=3)
    known = set(predictor.names)
    off = [i for i in range(len(truth.gain)) if truth.sources[i] != truth.targets[i]]
    off = [i for i in off if not {truth.sources[i], truth.targets[i]} & known]
    gain = truth.gain[off]
    made = predictor.predict(fresh, [truth.sources[i] for i in off], [truth.targets[i] for i in off])
    covered = np.mean([p.low <= g <= p.high for p, g in zip(made, gain, strict=True)])
    assert 0.8 < covered < 0.97
    # 18 training targets know the mean level of a new target to half a pp, which moves the chance by some .1.
    assert np.mean([p.harm for p in made]) == pytest.approx(np.mean(gain < 0), abs=0.2)


def test_the_bundle_is_json_and_gives_the_same_predictions(predictor: Predictor, world: ProfileSet) -> None:
    text = to_json(predictor)
    document = json.loads(text)
    assert document["kind"] == "traitcast-predictor"
    assert document["layers"][KNOWN]["booster"]["learner"]["objective"]["name"] == "reg:squarederror"
    again = from_json(text)
    assert to_json(again) == text
    pairs = list(world.traits.names[:9]), list(world.traits.names[9:])
    assert again.predict(world, *pairs) == predictor.predict(world, *pairs)
    assert explain(again, world, "d01", "d02") == explain(predictor, world, "d01", "d02")


def test_a_bundle_that_was_changed_is_refused(predictor: Predictor) -> None:
    text = to_json(predictor)
    document = json.loads(text)
    (level, *_), *_ = document["gains"]["level"]
    with pytest.raises(UserError, match=r"was changed after it was fitted. Fit a new one with: traitcast fit"):
        from_json(text.replace(str(level), str(level + 1)))
    del document["digest"]
    from_json(json.dumps(document))  # of an older version
    damages: tuple[tuple[str, object], ...] = (
        *((key, value) for key in ("gains", "features", "word_weights", "verdicts") for value in (None, [], 7)),
        ("centres", [[1.0], 2.0]),
        ("centres", document["centres"][1:]),
        ("gains", {**document["gains"], "level": []}),
        ("likeness_scale", {**document["likeness_scale"], "centre": 1.0}),
        ("seen", {**document["seen"], "sources": {**document["seen"]["sources"], "limit": "x"}}),
    )
    for key, value in damages:
        with pytest.raises(UserError, match=r"the stored predictor is damaged \(.*\)\. Fit a new one with"):
            from_json(json.dumps({**document, key: value}))
    with pytest.raises(UserError, match="is not JSON"):
        from_json("[" * 100_000)


def test_an_explanation_says_how_stable_it_is(predictor: Predictor, world: ProfileSet) -> None:
    made = explain(predictor, world, "d01", "d02")
    assert len(predictor.folds[KNOWN]) == 5
    found = {(c.side, c.trait): c for c in made.contributions}
    tables = predictor.table(world, ["d01"], ["d02"])
    column = [f.name for f in predictor.space.features].index("gap:response_words_mean")
    spread = predictor.parts(world, ["d01"], ["d02"]).spread[0]
    folds = predictor.folds[KNOWN]
    shap = [spread * trees.contributions(trees.from_json(fold), tables)[0][0, column] for fold in folds]
    length = found["pair", "response_words_mean"]
    assert length.spread == pytest.approx(np.std(shap, ddof=1))
    assert length.agreement == np.mean(np.sign(shap) == np.sign(length.shap))
    assert length.agreement == 1.0
    assert found["target", LEVEL_TRAIT].spread is None
    assert set(made.side_spread) == {"source", "target", "pair"}
    assert made.side_spread["source"] > 0
    weakest = min((c for c in made.contributions if c.agreement is not None), key=lambda c: c.agreement or 0)
    assert (weakest.agreement or 0) < 0.8
    doubted = replace(made, contributions=(weakest,))
    assert "pp, unstable)" in doubted.sentence
    assert "unstable" not in replace(made, contributions=(length,)).sentence


def test_a_bundle_without_folds_still_explains(predictor: Predictor, world: ProfileSet) -> None:
    document = json.loads(to_json(predictor))
    del document["digest"]
    document["folds"] = {}
    made = explain(from_json(json.dumps(document)), world, "d01", "d02")
    assert all(c.spread is None and c.agreement is None for c in made.contributions)
    assert (made.family_spread, made.side_spread) == ({}, {})


def test_fitting_is_deterministic_and_the_fingerprint_follows_the_input(
    predictor: Predictor, law: Cells, world: ProfileSet
) -> None:
    assert to_json(fit(observe(law, world), world)) == to_json(predictor)
    gain = law.gain.copy()
    gain[5] += 0.01
    moved = fit(observe(replace(law, gain=gain), world), world)
    other = fit(observe(law, world), world, settings=Settings(trees=TreeSettings(seed=1)))
    assert len({p.about["fingerprint"] for p in (predictor, moved, other)}) == 3
    record = to_record(predictor, "mine")
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
    parts = predictor.parts(world, [pair[0]], [pair[1]])
    assert [c.shap for c in level] == [parts.level[0] - parts.base]
    assert parts.level[0] == pytest.approx(predictor.levels[pair[1]], abs=0.2)
    by_trait = {c.trait: c for c in made.contributions}
    close = predictor.asked(world, [pair[0]], [pair[1]]).close[0, 0]
    assert by_trait[CLOSENESS_TRAIT].shap == pytest.approx(parts.spread[0] * CLOSE * close)
    assert by_trait[EVIDENCE_TRAIT].shap == pytest.approx(parts.evidence[0] - by_trait[CLOSENESS_TRAIT].shap)
    assert by_trait[CLOSENESS_TRAIT].value is not None, "in deviations over the pairs of the matrix"
    assert abs(by_trait[CLOSENESS_TRAIT].value) < 10
    sizes = [abs(c.shap) for c in made.contributions]
    assert sizes == sorted(sizes, reverse=True)


def test_shap_values_are_those_of_the_shap_package(predictor: Predictor, world: ProfileSet) -> None:
    import shap

    names = world.traits.names
    table = predictor.table(world, list(names[:9]), list(names[9:]))
    booster = predictor.booster()
    assert booster is not None
    values, base = trees.contributions(booster, table)
    explainer = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    assert np.allclose(values, explainer.shap_values(table), atol=1e-4)
    assert base[0] == pytest.approx(float(np.ravel(explainer.expected_value)[0]), abs=1e-4)


def test_the_traits_of_the_law_carry_the_explanation(predictor: Predictor, world: ProfileSet) -> None:
    names = world.traits.names
    pairs = [(s, t) for s in names for t in names if s != t]
    table = predictor.table(world, [s for s, _ in pairs], [t for _, t in pairs])
    # What the gains of a source on other targets say leaves nothing to its own traits: those serve new sources.
    booster = predictor.booster(NEW)
    assert booster is not None
    values, _ = trees.contributions(booster, table)
    strength = dict(zip([f.name for f in predictor.space.features], np.abs(values).mean(axis=0), strict=True))
    strongest = sorted(strength, key=lambda name: -strength[name])[:4]
    assert "source:label_entropy_bits" in strongest
    assert any("response_words_mean" in name or "generation_length" in name for name in strongest)


def test_the_sentence_says_the_gain_the_reasons_and_the_doubt(predictor: Predictor, world: ProfileSet) -> None:
    unmeasured = replace(predictor, measurements={})
    sentences = [explain(unmeasured, world, s, "d04").sentence for s in world.traits.names if s != "d04"]
    assert any("raise the score on d04 by" in s for s in sentences)
    assert any("lower the score on d04 by" in s for s in sentences)
    assert all("90 % interval" in s and "chance of harm" in s and "Raised most by " in s for s in sentences)


def test_an_explanation_is_printed_in_short(predictor: Predictor, world: ProfileSet) -> None:
    made = explain(predictor, world, "d01", "d02")
    printed = repr(made)
    assert printed.startswith(f"<{made.sentence} Contributions in pp: ")
    largest = made.contributions[0]
    assert f"{largest.side} {largest.trait} {largest.shap:+.2f}, " in printed
    assert f", {len(made.contributions) - 5} others " in printed
    assert len(printed) < 1500


def test_source_mean_is_over_the_other_targets(predictor: Predictor, world: ProfileSet, law: Cells) -> None:
    cells = zip(law.sources, law.targets, law.gain, strict=True)
    gains = [gain for source, target, gain in cells if source == "d02" and target not in ("d02", "d05")]
    made = predictor.predict(world, ["d02"], ["d05"])[0]
    assert made.source_mean == pytest.approx(np.mean(gains), abs=1e-5)
    assert replace(predictor, measurements={}).predict(world, ["d02"], ["d05"])[0].source_mean is None


def test_a_far_dataset_is_novel_and_a_training_one_is_not(predictor: Predictor, world: ProfileSet) -> None:
    values = world.traits.values.copy()
    values[6] = values.max(axis=0) * 20
    far = replace(world, traits=replace(world.traits, values=values))
    unmeasured = replace(predictor, measurements={})
    (found,), (near,) = (unmeasured.predict(of, ["d06"], ["d01"]) for of in (far, world))
    assert found.novel
    assert found.high - found.low > 1.2 * (near.high - near.low)
    assert unmeasured.predict(far, ["d01"], ["d06"])[0].novel
    assert "unlike those in training, so this is an extrapolation" in explain(unmeasured, far, "d06", "d01").sentence
    assert not any(p.novel for p in unmeasured.predict(world, ["d01", "d06"], ["d02", "d03"]))


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
    document = json.loads(to_json(predictor))
    with pytest.raises(UserError, match=r"has schema 99; this version of traitcast reads schema 4. Fit a new one"):
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
    with pytest.raises(UserError, match=r"too few datasets to hold one out .*traitcast scores import FILE"):
        fit(observe(tiny, world), world)


def test_over_a_mean_source_the_sentence_says_so(law: Cells, world: ProfileSet) -> None:
    relative = replace(law, matrix=replace(law.matrix, base="target mean"))
    fitted = fit(observe(relative, world), world)
    sentence = explain(fitted, world, "d03", "d04").sentence
    assert re.search(r"do \d+\.\d pp (better|worse) on d04 than tuning on an average source", sentence)
    assert "chance of doing worse" in sentence
