"""What if: derived features follow, ranges are the training's, and only interventions speak of causes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.predictor.effects.interventions import Lineage
from traitcast.predictor.explanation.support import NOT_MEASURED
from traitcast.predictor.explanation.whatif import addressed, entropy_bounds, set_traits, what_if
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.predictor import Predictor, fit
from traitcast.warehouse.errors import NotProfiledError, UserError
from traitcast.warehouse.records import Cells

ENTROPY = ("source", "label_entropy_bits")


@pytest.fixture(scope="module")
def predictor(law: Cells, world: ProfileSet) -> Predictor:
    return fit(observe(law, world), world)


def extremes(world: ProfileSet, trait: str) -> tuple[str, str]:
    column = world.traits.values[:, world.traits.traits.index(trait)]
    return world.traits.names[int(np.argmin(column))], world.traits.names[int(np.argmax(column))]


def test_the_planted_direction_comes_out(predictor: Predictor, world: ProfileSet) -> None:
    low, high = extremes(world, "label_entropy_bits")
    target = next(name for name in world.traits.names if name not in (low, high))
    made = what_if(predictor, world, low, target, {ENTROPY: 2.5})
    assert made.difference > 1.0
    assert made.after.gain - made.before.gain == made.difference
    assert made.changes[0].seen
    assert made.changes[0].effect == pytest.approx(made.difference)
    assert what_if(predictor, world, high, target, {ENTROPY: 0.2}).difference < -1.0


def test_setting_the_value_it_has_changes_nothing(predictor: Predictor, world: ProfileSet) -> None:
    value = float(world.traits.values[3, 0])
    made = what_if(predictor, world, "d03", "d04", {ENTROPY: value, ("target", "prompt_lix"): _value(world, "d04")})
    assert made.difference == pytest.approx(0.0, abs=1e-6)
    assert made.after.source == "d03 (changed)"
    for part in ("gain", "low", "high"):
        assert getattr(made.after, part) == pytest.approx(getattr(made.before, part), abs=1e-6)
    numbers = {part: getattr(made.before, part) for part in ("gain", "low", "high", "harm", "source_mean")}
    assert replace(made.after, source="d03", target="d04", **numbers) == made.before


def _value(world: ProfileSet, name: str) -> float:
    return float(world.traits.values[world.traits.names.index(name), world.traits.traits.index("prompt_lix")])


def test_derived_features_follow(predictor: Predictor, world: ProfileSet) -> None:
    changed, name = set_traits(world, "d03", {"response_words_mean": 400.0})
    features = [f.name for f in predictor.space.features]
    old, new = (predictor.table(p, [n], ["d04"])[0] for p, n in ((world, "d03"), (changed, name)))
    moved = {f for f, a, b in zip(features, old, new, strict=True) if a != b and not (np.isnan(a) and np.isnan(b))}
    assert moved == {"source:response_words_mean", "gap:response_words_mean", "distance:generation_length"}
    words = world.traits.values[world.traits.names.index("d04"), 3]
    assert new[features.index("gap:response_words_mean")] == pytest.approx(np.log(401) - np.log1p(words))


def test_range_and_quantile_are_those_of_the_training_datasets(predictor: Predictor, world: ProfileSet) -> None:
    column = world.traits.values[:, 0]
    inside = what_if(predictor, world, "d03", "d04", {ENTROPY: 1.5}).changes[0]
    assert (inside.low, inside.high) == (pytest.approx(column.min()), pytest.approx(column.max()))
    assert inside.share == pytest.approx(np.mean(column <= 1.5))
    assert inside.before == column[3]
    far = what_if(predictor, world, "d03", "d04", {ENTROPY: 40.0})
    assert (far.changes[0].seen, far.changes[0].share) == (False, 1.0)
    assert any("label_entropy_bits=40 is outside the training range" in note for note in far.notes)
    assert any("an extrapolation" in note for note in far.notes)


def test_rows_enter_through_their_logarithm(predictor: Predictor, world: ProfileSet) -> None:
    definition = replace(world.traits.definitions[0], trait="dataset_rows", unit="rows", family="generation_length")
    sized = replace(
        world.traits,
        definitions=(*world.traits.definitions, definition),
        values=np.column_stack([world.traits.values, np.array(world.traits.rows, dtype=float)]),
    )
    changed, name = set_traits(replace(world, traits=sized), "d03", {"dataset_rows": 9.0})
    row = predictor.table(changed, [name], ["d04"])[0]
    column = next(j for j, f in enumerate(predictor.space.features) if f.trait == "rows_log10")
    assert row[column] == pytest.approx(np.log10(9))


def test_traits_that_hang_together_are_named(law: Cells, world: ProfileSet) -> None:
    values = world.traits.values.copy()
    # Nearly the same ranks, but not so near that one of the two is left out as the other's twin.
    rng = np.random.default_rng(3)
    values[:, 1] = 1 - values[:, 0] / 4 + 0.09 * rng.normal(size=len(values))
    tied = replace(world, traits=replace(world.traits, values=values))
    made = what_if(fit(observe(law, tied), tied), tied, "d03", "d04", {ENTROPY: 1.0})
    partners = dict(made.changes[0].together)
    assert partners["label_majority_share"] < -0.7
    assert any("rarely changes on its own" in note and "label_majority_share" in note for note in made.notes)
    both = {ENTROPY: 1.0, ("source", "label_majority_share"): 0.8}
    notes = what_if(fit(observe(law, tied), tied), tied, "d03", "d04", both).notes
    assert not any("label_majority_share (" in note for note in notes)


def test_a_trait_that_is_not_used_says_why(law: Cells, world: ProfileSet) -> None:
    values = world.traits.values.copy()
    values[:, 1] = -values[:, 0]
    twins = replace(world, traits=replace(world.traits, values=np.where(values < 0, 0.5 + values / 10, values)))
    predictor = fit(observe(law, twins), twins)
    made = what_if(predictor, twins, "d03", "d04", {("source", "label_majority_share"): 0.9})
    assert not made.changes[0].used
    assert made.difference == pytest.approx(0.0, abs=1e-6)
    assert made.changes[0].note.endswith("ranks the training datasets as label_entropy_bits does")
    assert made.notes[-1].startswith("label_majority_share of the source does not move this prediction; what does: ")
    kept = float(twins.traits.values[twins.traits.names.index("d03"), 0])
    both = {("source", "label_majority_share"): 0.9, ENTROPY: kept}
    note = what_if(predictor, twins, "d03", "d04", both).notes[-1]
    assert note.startswith("label_majority_share and label_entropy_bits of the source do not move this prediction; ")


@pytest.mark.parametrize("side", ["source", "target"])
def test_every_trait_that_is_proposed_moves_the_prediction(predictor: Predictor, world: ProfileSet, side: str) -> None:
    value = float(world.traits.values[world.traits.names.index("d03" if side == "source" else "d04"), 0])
    made = what_if(predictor, world, "d03", "d04", {(side, "label_entropy_bits"): value})
    assert made.changes[0].effect == 0.0
    assert not any("rarely changes on its own" in note for note in made.notes)
    proposed = re.findall(rf"{side}:(\w+)=(\S+) \((\S+) pp\)", made.notes[-1])
    assert proposed
    for trait, end, effect in proposed:
        (change,) = what_if(predictor, world, "d03", "d04", {(side, trait): float(end)}).changes
        assert change.effect == pytest.approx(float(effect), rel=0.06)
        assert change.seen


def test_where_no_trait_moves_the_prediction_none_is_proposed(
    predictor: Predictor, world: ProfileSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    (now,) = predictor.expect(world, ["d03"], ["d04"])
    monkeypatch.setattr(
        Predictor, "expect", lambda self, profiles, sources, targets, known_as=None: [now] * len(sources)
    )
    made = what_if(predictor, world, "d03", "d04", {ENTROPY: 2.5})
    assert made.notes[-1] == "no trait of the source moves this prediction: changing one does nothing"


def with_variants(world: ProfileSet, law: Cells, effect: float) -> tuple[ProfileSet, Cells, list[Lineage]]:
    """Three variants of d00..d02 with more entropy, whose gains lie `effect` pp above those of their parents."""
    profiles, lineage, cells = world, [], law
    rng = np.random.default_rng(0)
    for parent in ("d00", "d01", "d02"):
        profiles, made = set_traits(profiles, parent, {"label_entropy_bits": 3.5})
        lineage.append(Lineage(made, parent, "label_entropy_bits"))
        rows = [i for i, s in enumerate(law.sources) if s == parent]
        gain = law.gain[rows] + effect + 0.2 * rng.normal(size=len(rows))
        cells = replace(
            cells,
            models=(*cells.models, *(law.models[i] for i in rows)),
            sources=(*cells.sources, *[made] * len(rows)),
            targets=(*cells.targets, *(law.targets[i] for i in rows)),
            seeds=np.concatenate([cells.seeds, law.seeds[rows]]),
            gain=np.concatenate([cells.gain, gain]),
            standard_error=np.concatenate([cells.standard_error, law.standard_error[rows]]),
            score=np.concatenate([cells.score, law.score[rows]]),
            base_score=np.concatenate([cells.base_score, law.base_score[rows]]),
        )
    return profiles, cells, lineage


@pytest.mark.parametrize(("effect", "verdict"), [(2.0, "supported"), (-6.0, "contradicted"), (0.0, "not settled")])
def test_interventions_support_or_contradict(
    world: ProfileSet, law: Cells, predictor: Predictor, effect: float, verdict: str
) -> None:
    profiles, cells, lineage = with_variants(world, law, effect)
    measured = fit(observe(cells, profiles), profiles, shared=[(v.name, v.parent) for v in lineage]).measurements
    # The trees are those of the plain law, where entropy helps, so that the direction is not learned from them.
    judged = replace(predictor, measurements=measured)
    low, high = extremes(world, "label_entropy_bits")
    change = what_if(judged, profiles, low, "d04", {ENTROPY: 2.9}, lineage).changes[0]
    assert change.effect > 0
    assert f"{verdict}: 3 interventions, " in change.evidence
    assert [i.parent for i in change.interventions] == ["d00", "d01", "d02"]
    assert all(i.gain == pytest.approx(effect, abs=0.3) and i.n == 17 for i in change.interventions)
    raised = np.mean([i.gain for i in change.interventions])
    assert f"{raised:+.2f} pp on average" in change.evidence
    lowered = what_if(judged, profiles, high, "d04", {ENTROPY: 0.1}, lineage).changes[0]
    assert lowered.effect < 0
    assert f"{verdict}: 3 interventions, {-raised:+.2f} pp on average" in lowered.evidence


def test_variants_of_one_dataset_are_one_observation(world: ProfileSet, law: Cells, predictor: Predictor) -> None:
    profiles, cells, lineage = with_variants(world, law, 5.0)
    measured = fit(observe(cells, profiles), profiles, shared=[(v.name, v.parent) for v in lineage]).measurements
    low, _ = extremes(world, "label_entropy_bits")
    of_one = [replace(made, parent="d00") for made in lineage]
    change = what_if(replace(predictor, measurements=measured), profiles, low, "d04", {ENTROPY: 2.9}, of_one).changes[0]
    assert len(change.interventions) > 1
    assert "direction not settled: " in change.evidence
    assert change.evidence.endswith("all from one dataset")


def test_without_a_variant_it_is_a_correlation_only(predictor: Predictor, world: ProfileSet) -> None:
    other = [Lineage("d05", "d06", "prompt_lix"), Lineage("d07", "d08", ""), Lineage("gone", "d00", ENTROPY[1])]
    change = what_if(predictor, world, "d03", "d04", {ENTROPY: 2.0}, other).changes[0]
    assert change.evidence == NOT_MEASURED
    assert change.interventions == ()
    of_family = [Lineage("d05", "d06", "class_balance, shuffled")]
    found = what_if(predictor, world, "d03", "d04", {ENTROPY: 2.0}, of_family).changes[0].interventions
    assert [(i.name, i.parent) for i in found] == [("d05", "d06")]
    assert found[0].step == pytest.approx(world.traits.values[5, 0] - world.traits.values[6, 0])


def test_interventions_of_another_matrix_are_named(predictor: Predictor, world: ProfileSet) -> None:
    elsewhere = {"class_balance": "in made, it moved", "prompt_lix": "in made, nothing moved"}
    settings = {ENTROPY: 2.0, ("source", "prompt_lix"): 30.0, ("target", "prompt_lix"): 30.0}
    changes = what_if(predictor, world, "d03", "d04", settings, elsewhere=elsewhere).changes
    here = "no intervention in this matrix; in made, "
    assert [change.evidence for change in changes] == [f"{here}it moved", f"{here}nothing moved", NOT_MEASURED]


def test_a_target_keeps_its_measured_level(predictor: Predictor, world: ProfileSet) -> None:
    made = what_if(predictor, world, "d03", "d04", {("target", "prompt_lix"): 30.0})
    assert abs(predictor.levels["d04"]) > 0.05
    assert abs(made.difference) < 1.5


def test_what_is_refused(predictor: Predictor, world: ProfileSet) -> None:
    with pytest.raises(UserError, match=r"unknown trait 'label_entrop'. Nearest: label_entropy_bits.*trait_catalogue"):
        what_if(predictor, world, "d03", "d04", {("source", "label_entrop"): 1.0})
    with pytest.raises(UserError, match=r"label_entropy_bits=-1 is impossible: it ranges from 0 to ∞ \(bits\)"):
        what_if(predictor, world, "d03", "d04", {ENTROPY: -1.0})
    with pytest.raises(UserError, match=r"nothing to change. Example: traitcast whatif"):
        what_if(predictor, world, "d03", "d04", {})
    with pytest.raises(NotProfiledError, match=r"traitcast profile nowhere"):
        what_if(predictor, world, "nowhere", "d04", {ENTROPY: 1.0})


def test_it_shows_itself_in_a_notebook(predictor: Predictor, world: ProfileSet) -> None:
    made = what_if(predictor, world, "d03", "d04", {ENTROPY: 2.0})
    assert "<caption>d03 on d04" in made._repr_html_()
    row = made.as_row()
    assert row["changes"][0]["evidence"] == NOT_MEASURED
    assert isinstance(row["changes"][0]["together"], dict)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_the_entropy_of_any_distribution_lies_within_its_bounds(counts: list[int]) -> None:
    p = np.array(counts) / sum(counts)
    low, high = entropy_bounds(float(p.max()), len(counts))
    entropy = float(-np.sum(p * np.log2(p)))
    assert low - 1e-9 <= entropy <= high + 1e-9


@pytest.mark.parametrize(
    ("majority", "values", "expected"),
    [(0.5, 2, (1.0, 1.0)), (1.0, 1, (0.0, 0.0)), (0.9, 3, (0.469, 0.569)), (0.25, 4, (2.0, 2.0))],
)
def test_entropy_bounds_by_hand(majority: float, values: int, expected: tuple[float, float]) -> None:
    assert entropy_bounds(majority, values) == pytest.approx(expected, abs=1e-3)


def test_a_majority_below_even_shares_does_not_exist() -> None:
    assert np.isnan(entropy_bounds(0.2, 3)).all()
    assert np.isnan(entropy_bounds(1.2, 3)).all()


def test_label_distributions_that_cannot_exist_are_named(predictor: Predictor, world: ProfileSet) -> None:
    count = replace(world.traits.definitions[0], trait="label_class_count", unit="classes")
    counted = replace(
        world.traits,
        definitions=(*world.traits.definitions, count),
        values=np.column_stack([world.traits.values, np.full(18, 3.0)]),
    )
    profiles = replace(world, traits=counted)
    made = what_if(predictor, profiles, "d03", "d04", {("source", "label_majority_share"): 0.9, ENTROPY: 1.5})
    assert any("no dataset can have label_majority_share=0.9 over 3 values" in note for note in made.notes)
    right = {("source", "label_majority_share"): 0.9, ENTROPY: 0.5}
    assert not any("no dataset can have" in note for note in what_if(predictor, profiles, "d03", "d04", right).notes)


def test_a_trait_is_addressed_by_its_side_and_no_other_word(predictor: Predictor, world: ProfileSet) -> None:
    assert addressed("label_entropy_bits") == ("source", "label_entropy_bits")
    assert addressed(" target: label_entropy_bits ") == ("target", "label_entropy_bits")
    with pytest.raises(UserError, match=r"unknown side 'tgt' in tgt:label_entropy_bits\. Allowed: source, target"):
        what_if(predictor, world, "d00", "d01", {addressed("tgt:label_entropy_bits"): 1.0})


def test_what_is_counted_is_whole_and_nobody_tunes_on_nothing(predictor: Predictor, world: ProfileSet) -> None:
    extra = [
        replace(world.traits.definitions[0], trait="dataset_rows", unit="rows"),
        replace(world.traits.definitions[0], trait="label_class_count", unit="classes", low=1.0),
        replace(world.traits.definitions[0], trait="label_effective_classes", unit="classes", low=1.0),
    ]
    counted = replace(
        world.traits,
        definitions=(*world.traits.definitions, *extra),
        values=np.column_stack([world.traits.values, np.full((18, 3), 4.0)]),
    )
    profiles = replace(world, traits=counted)

    def asked(trait: str, value: float) -> None:
        what_if(predictor, profiles, "d03", "d04", {("source", trait): value})

    with pytest.raises(UserError, match=r"label_class_count=2.5 is impossible: it counts classes. Set .*=2 or .*=3\."):
        asked("label_class_count", 2.5)
    with pytest.raises(UserError, match=r"dataset_rows=0 is impossible: it ranges from 1 to ∞ \(whole rows\)"):
        asked("dataset_rows", 0.0)
    with pytest.raises(UserError, match=r"dataset_rows=10.5 is impossible: it counts rows"):
        asked("dataset_rows", 10.5)
    with pytest.raises(UserError, match=r"label_class_count=0 is impossible: it ranges from 1"):
        asked("label_class_count", 0.0)
    asked("label_effective_classes", 2.5)
    asked("label_class_count", 3.0)
    asked("dataset_rows", 1.0)
