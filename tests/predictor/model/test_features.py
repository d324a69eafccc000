"""Pair features: formulas against hand values and scipy, the choice of traits, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cosine as scipy_cosine
from scipy.spatial.distance import jensenshannon

from traitcast.predictor.model import features
from traitcast.predictor.model.features import FeatureSettings, ProfileSet, fit_space
from traitcast.warehouse.errors import NotProfiledError, UserError

counts = arrays(np.float64, (2, 12), elements=st.integers(0, 9).map(float))


@given(counts)
def test_jensen_shannon_is_that_of_scipy(pair: np.ndarray) -> None:
    ours = features.jensen_shannon_similarity(pair[:1], pair[1:])[0]
    if pair[0].sum() == 0 or pair[1].sum() == 0:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(1 - jensenshannon(pair[0], pair[1], base=2) ** 2, abs=1e-9)


@given(counts)
def test_cosine_is_that_of_scipy(pair: np.ndarray) -> None:
    ours = features.cosine(pair[:1], pair[1:])[0]
    if not pair[0].any() or not pair[1].any():
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(1 - scipy_cosine(pair[0], pair[1]), abs=1e-9)


def test_minhash_estimates_jaccard() -> None:
    # Two sets that share a third of their union, under 256 random permutations of the union.
    rng = np.random.default_rng(0)
    ranks = np.array([rng.permutation(300) for _ in range(256)])
    a, b = ranks[:, :200].min(axis=1), ranks[:, 100:].min(axis=1)
    estimate = features.minhash_jaccard(a[None], b[None])[0]
    assert estimate == pytest.approx(1 / 3, abs=3 * np.sqrt(1 / 3 * 2 / 3 / 256))


def test_label_overlap_ignores_case_and_needs_two_classification_sets(world: ProfileSet) -> None:
    names = world.traits.names
    labels = {names[0]: {"Yes": 1, "No": 2}, names[1]: {"yes ": 5, "maybe": 1}, names[2]: {"yes": 3}}
    profiles = replace(world, label_counts=labels)
    pairs = np.array([0, 0, 0]), np.array([0, 1, 2])
    overlap = features.label_overlap(profiles, *pairs)
    assert overlap[:2].tolist() == [1.0, pytest.approx(1 / 3)]
    assert np.isnan(overlap[2]), "the third dataset is a generation task"


def test_the_gap_of_lengths_is_a_ratio_and_of_shares_a_difference(world: ProfileSet) -> None:
    space = fit_space(world, world.traits.names)
    a, b = world.traits.names[:2]
    row = dict(zip([f.name for f in space.features], space.table(world, [a], [b])[0], strict=True))
    values = dict(zip(world.traits.traits, world.traits.values[:2].T, strict=True))
    words, share = values["response_words_mean"], values["label_majority_share"]
    assert row["gap:response_words_mean"] == pytest.approx(np.log((1 + words[0]) / (1 + words[1])))
    assert row["gap:label_majority_share"] == pytest.approx(share[0] - share[1])
    assert row["source:prompt_lix"] == values["prompt_lix"][0]
    assert row["target:prompt_lix"] == values["prompt_lix"][1]
    assert row["source:rows_log10"] == pytest.approx(np.log10(world.traits.rows[0]))


def test_one_trait_far_outside_training_does_not_drown_the_distance(world: ProfileSet) -> None:
    a, b = world.traits.names[:2]
    space = fit_space(world, world.traits.names)
    values = world.traits.values.copy()
    j = next(j for j, d in enumerate(world.traits.definitions) if d.family == "linguistic" and d.trait in space.traits)
    values[0, j] = 1e9
    far = replace(world, traits=replace(world.traits, values=values))
    row = dict(zip([f.name for f in space.features], space.table(far, [a], [b])[0], strict=True))
    assert 1 < row["distance:linguistic"] <= features.FARTHEST


def test_distance_is_the_root_mean_square_of_standardised_differences(world: ProfileSet) -> None:
    space = fit_space(world, world.traits.names, FeatureSettings(max_correlation=1.1))
    a, b = world.traits.names[3:5]
    z = space.standardised(world, [a, b])
    chosen = [j for j, d in enumerate(space.definitions) if d.family == "linguistic"]
    row = dict(zip([f.name for f in space.features], space.table(world, [a], [b])[0], strict=True))
    assert row["distance:linguistic"] == pytest.approx(np.sqrt(np.mean((z[0, chosen] - z[1, chosen]) ** 2)))
    assert row["distance:linguistic"] == pytest.approx(
        dict(zip([f.name for f in space.features], space.table(world, [b], [a])[0], strict=True))["distance:linguistic"]
    )


def test_no_feature_is_a_name_and_renaming_changes_nothing(world: ProfileSet) -> None:
    names = world.traits.names
    new = {name: f"renamed_{i}" for i, name in enumerate(names)}
    renamed = ProfileSet(
        replace(world.traits, names=tuple(new[n] for n in names)),
        {key: {new[n]: v for n, v in by.items()} for key, by in world.sketches.items()},
        {new[n]: v for n, v in world.label_counts.items()},
    )
    before, after = fit_space(world, names), fit_space(renamed, tuple(new.values()))
    assert before.features == after.features
    pairs = list(names[:6]), list(names[6:12])
    moved = [new[n] for n in pairs[0]], [new[n] for n in pairs[1]]
    assert np.array_equal(before.table(world, *pairs), after.table(renamed, *moved), equal_nan=True)


def test_a_dataset_without_sketches_or_traits_gives_nan_not_zero(world: ProfileSet) -> None:
    a, b = world.traits.names[:2]
    bare = replace(world, sketches={key: {b: by[b]} for key, by in world.sketches.items()}, label_counts={})
    space = fit_space(world, world.traits.names)
    row = dict(zip([f.name for f in space.features], space.table(bare, [a], [b])[0], strict=True))
    assert np.isnan([v for name, v in row.items() if name.startswith("pair:prompt_")]).all()
    assert np.isnan(row["pair:label_overlap"])


def test_useless_traits_are_dropped_with_their_reason(world: ProfileSet) -> None:
    values = world.traits.values.copy()
    values[:, 1] = 0.5
    values[:, 5] = np.exp(values[:, 4] * 10)
    values[3:, 6] = np.nan
    profiles = replace(world, traits=replace(world.traits, values=values))
    dropped = fit_space(profiles, profiles.traits.names).dropped
    assert dropped["label_majority_share"] == "the same for every training dataset"
    assert dropped["prompt_modal_share"] == "ranks the training datasets as prompt_negation_share does"
    assert dropped["prompt_lix"] == "undefined for 83% of the training datasets"
    assert len(dropped) == 3


def test_a_role_of_few_datasets_keeps_no_traits_of_its_own(world: ProfileSet) -> None:
    names = world.traits.names
    few = fit_space(world, names, sources=18, targets=9)
    assert {f.side for f in few.features} == {"source", "pair"}
    assert any(f.name == "gap:label_entropy_bits" for f in few.features)
    assert [f.name for f in fit_space(world, names[:9]).features if f.side == "source"] == ["source:rows_log10"]


def test_word_weights_are_fixed_when_the_space_is_fitted(world: ProfileSet) -> None:
    names = world.traits.names
    space = fit_space(world, names[:6])
    other = {key: dict(by) for key, by in world.sketches.items()}
    other["prompt", "words_hashed"][names[10]] = np.ones(32, dtype=np.float32)
    moved = replace(world, sketches=other)
    assert np.array_equal(
        space.table(world, [names[0]], [names[1]]), space.table(moved, [names[0]], [names[1]]), equal_nan=True
    )


def test_probes_stay_out_of_the_static_tier(world: ProfileSet) -> None:
    definitions = list(world.traits.definitions)
    definitions[6] = replace(definitions[6], trait="target_zero_shot", family="probe")
    profiles = replace(world, traits=replace(world.traits, definitions=tuple(definitions)))
    static = fit_space(profiles, profiles.traits.names)
    assert "target_zero_shot" not in static.traits
    assert static.dropped["target_zero_shot"] == "a probe; fit with --tier probe to use it"
    assert "target_zero_shot" in fit_space(profiles, profiles.traits.names, FeatureSettings(tier="probe")).traits


def test_what_is_refused(world: ProfileSet) -> None:
    names = world.traits.names
    with pytest.raises(UserError, match=r"no probes of a base model.*traitcast probe.*--tier static"):
        fit_space(world, names, FeatureSettings(tier="probe"))
    with pytest.raises(UserError, match=r"unknown tier 'deep'. Allowed: static, probe"):
        fit_space(world, names, FeatureSettings(tier="deep"))
    space = fit_space(world, names)
    with pytest.raises(NotProfiledError, match=r"'d0' is not profiled; did you mean 'd.*traitcast profile d0"):
        space.table(world, ["d0"], [names[1]])
    fewer = replace(world.traits, definitions=world.traits.definitions[1:], values=world.traits.values[:, 1:])
    with pytest.raises(UserError, match=r"no 'label_entropy_bits'. Fit a new one with: traitcast fit"):
        space.table(replace(world, traits=fewer), [names[0]], [names[1]])
    changed = (replace(world.traits.definitions[0], unit="nats"), *world.traits.definitions[1:])
    with pytest.raises(UserError, match=r"was in bits; it is now in nats. Fit a new one with: traitcast fit"):
        space.table(replace(world, traits=replace(world.traits, definitions=changed)), [names[0]], [names[1]])


def test_ten_thousand_pairs_take_no_loop(profiles_of_count: Callable[..., ProfileSet]) -> None:
    profiles = profiles_of_count(40)
    space = fit_space(profiles, profiles.traits.names)
    rng = np.random.default_rng(0)
    sources, targets = rng.choice(profiles.traits.names, 5000), rng.choice(profiles.traits.names, 5000)
    table = space.table(profiles, sources.tolist(), targets.tolist())
    one = space.table(profiles, [sources[4321]], [targets[4321]])
    assert np.allclose(table[4321], one[0], equal_nan=True)


def test_few_datasets_leave_nothing_to_learn_from_undefined(world: ProfileSet) -> None:
    names = world.traits.names[:8]
    few, many = fit_space(world, names), fit_space(world, world.traits.names)
    assert np.isnan(many.fills).all()
    assert np.isfinite(few.fills).all()
    blank = replace(world, sketches={key: {} for key in world.sketches})
    values, seen = few.values(blank, [names[0]], [names[1]])[0], few.table(blank, [names[0]], [names[1]])[0]
    assert np.isnan(values).any()
    np.testing.assert_array_equal(seen[np.isnan(values)], few.fills[np.isnan(values)])


def test_a_sketch_that_datasets_share_is_compared_once(world: ProfileSet) -> None:
    seen: list[int] = []

    def formula(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        seen.append(len(a))
        return features.cosine(a, b)

    similarity = features.Similarity("", "prompt", "words_hashed", formula)
    rng = np.random.default_rng(0)
    own = {name: rng.integers(1, 9, 12).astype(np.float64) for name in world.traits.names}
    shared = own | dict.fromkeys(world.traits.names[1:3], own[world.traits.names[0]])
    source, target = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    once, each = (
        features.compare(similarity, replace(world, sketches={("prompt", "words_hashed"): vectors}), source, target)
        for vectors in (shared, {name: vector.copy() for name, vector in shared.items()})
    )
    assert seen == [4, 16]
    assert once == pytest.approx(each, abs=1e-12)
