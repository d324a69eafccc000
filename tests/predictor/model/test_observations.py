"""Observations: matching, averaging, groups, the splits of every protocol, and every refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import PROTOCOLS, Observations, group_datasets, observe, splits
from traitcast.warehouse.errors import ScoresError
from traitcast.warehouse.records import Cells


@pytest.fixture(scope="module")
def observed(law: Cells, world: ProfileSet) -> Observations:
    return observe(law, world)


def some(cells: Cells, keep: np.ndarray) -> Cells:
    rows = np.flatnonzero(keep)
    text = {name: tuple(getattr(cells, name)[i] for i in rows) for name in ("models", "sources", "targets")}
    arrays = ("seeds", "gain", "standard_error", "score", "base_score")
    return replace(cells, **text, **{name: getattr(cells, name)[rows] for name in arrays})


def test_seeds_are_averaged_models_kept_and_the_diagonal_set_apart(
    world: ProfileSet, cells_of: Callable[..., Cells]
) -> None:
    cells = cells_of(world, seeds=3, models=("a", "b"))
    o = observe(cells, world)
    n = len(world.traits.names)
    assert len(o) == 2 * n * (n - 1)
    assert (o.source != o.target).all()
    assert o.diagonal.size == 2 * 3 * n
    keys = list(zip(cells.models, cells.sources, cells.targets, strict=True))
    first = [i for i, key in enumerate(keys) if key == ("b", "d03", "d07")]
    row = (o.model == 1) & (o.source == o.names.index("d03")) & (o.target == o.names.index("d07"))
    assert o.gain[row] == pytest.approx(cells.gain[first].mean())
    assert sorted(o.seed_gains[row][0].tolist()) == pytest.approx(sorted(cells.gain[first].tolist()))
    assert (o.weight == 1).all()


def test_noisy_cells_weigh_less(law: Cells, world: ProfileSet) -> None:
    errors = np.where(np.arange(len(law.gain)) % 2 == 0, 0.1, 3.0)
    weight = observe(replace(law, standard_error=errors), world).weight
    assert sorted(np.unique(weight.round(6)).tolist(), reverse=True)[0] > 0.99
    assert weight.min() < 0.6
    assert ((weight > 0) & (weight <= 1)).all()


def test_order_of_the_cells_does_not_matter(law: Cells, world: ProfileSet) -> None:
    shuffled = np.random.default_rng(0).permutation(len(law.gain))
    text = {name: tuple(getattr(law, name)[i] for i in shuffled) for name in ("models", "sources", "targets")}
    moved = replace(law, **text, seeds=law.seeds[shuffled], gain=law.gain[shuffled])
    assert np.array_equal(observe(moved, world).gain, observe(law, world).gain)


# Of two sources held out together, each cell is tested with every other source.
@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "two-sources"])
def test_every_cell_is_tested_once_and_never_trained_on_in_its_split(observed: Observations, protocol: str) -> None:
    made = splits(observed, protocol, np.arange(len(observed.names)), folds=6)
    tested = np.concatenate([s.test for s in made])
    assert sorted(tested.tolist()) == list(range(len(observed)))
    assert all(not np.intersect1d(s.train, s.test).size for s in made)


def test_protocols_hold_out_what_they_claim(observed: Observations) -> None:
    group = np.arange(len(observed.names)) // 2
    s_group, t_group = group[observed.source], group[observed.target]
    for split in splits(observed, "new-target", group):
        assert not np.intersect1d(t_group[split.train], t_group[split.test]).size
    for split in splits(observed, "new-source", group):
        assert not np.intersect1d(s_group[split.train], s_group[split.test]).size
    made = splits(observed, "new-pair", group)
    assert len(made) > 3
    for split in made:
        trained = np.union1d(s_group[split.train], t_group[split.train])
        tested = np.union1d(s_group[split.test], t_group[split.test])
        assert not np.intersect1d(trained, tested).size
        assert split.test.size


@pytest.mark.parametrize("protocol", ["new-source", "new-pair", "random-cell"])
def test_several_sources_are_ranked_by_one_model(observed: Observations, protocol: str) -> None:
    made = splits(observed, protocol, np.arange(len(observed.names)))
    sizes = [np.unique(observed.target[s.test], return_counts=True)[1].mean() for s in made]
    assert np.mean(sizes) >= 2


def test_families_shared_text_and_named_pairs_stay_together(observed: Observations, world: ProfileSet) -> None:
    families = ("x", "x", "x", *world.traits.families[3:])
    drawn = np.random.default_rng(0).random((len(world.traits.names), 256))
    drawn[5, :20] = drawn[4, :20]
    sketch = dict(zip(world.traits.names, np.sort(drawn, axis=1).astype(np.float32), strict=True))
    sketches = dict(world.sketches) | {("prompt", "texts_bottom"): sketch}
    profiles = replace(world, traits=replace(world.traits, families=families), sketches=sketches)
    made = group_datasets(observed, profiles, shared=[("d10", "d11"), ("d10", "elsewhere")])
    group = dict(zip(observed.names, made.group.tolist(), strict=True))
    assert group["d00"] == group["d01"] == group["d02"]
    assert group["d04"] == group["d05"]
    assert group["d10"] == group["d11"]
    assert made.count == 18 - 2 - 1 - 1
    assert made.by == "dataset family and shared text, 14 groups of 18 datasets"


def test_few_families_fall_back_to_single_datasets_and_say_so(observed: Observations, world: ProfileSet) -> None:
    profiles = replace(world, traits=replace(world.traits, families=tuple("abc"[i % 3] for i in range(18))))
    made = group_datasets(observed, profiles)
    assert made.count == 18
    assert "18 datasets fall into only 3 families: relatives of a held-out dataset stay in training" in made.by


def test_unprofiled_datasets_and_undefined_gains_are_left_out_and_named(law: Cells, world: ProfileSet) -> None:
    gain = law.gain.copy()
    gain[1] = np.nan
    sources = ("foreign", *law.sources[1:])
    o = observe(replace(law, gain=gain, sources=sources), world)
    assert o.unmatched == ("foreign",)
    assert o.notes == (
        "1 cell without a finite gain is left out (the first: m, d00 -> d01, seed 0)",
        "1 dataset of the matrix is not profiled and left out: foreign",
    )
    assert len(o) == 18 * 17 - 1


def test_what_is_refused(law: Cells, world: ProfileSet) -> None:
    one_target = some(law, np.array(law.targets) == "d00")
    with pytest.raises(
        ScoresError, match=r"17 sources and 1 targets with a profile, but a predictor needs at least 3 sources and 2"
    ):
        observe(one_target, world)
    foreign = replace(law, sources=tuple("x" + s for s in law.sources))
    with pytest.raises(ScoresError, match=r"0 sources and 0 targets .* Not profiled: xd00, .*traitcast profile xd00"):
        observe(foreign, world)
    with pytest.raises(ScoresError, match=r"every gain is 2 pp, so there is nothing to learn"):
        observe(replace(law, gain=np.full(len(law.gain), 2.0)), world)
    with pytest.raises(ScoresError, match=r"none of its 306 cells has a gain .*import the scores of the untuned model"):
        observe(replace(law, gain=np.full(len(law.gain), np.nan)), world)
    text = {name: (*getattr(law, name), getattr(law, name)[1]) for name in ("models", "sources", "targets")}
    arrays = ("seeds", "standard_error", "score", "base_score")
    twice = replace(law, **text, **{name: np.append(getattr(law, name), getattr(law, name)[1]) for name in arrays})
    with pytest.raises(ScoresError, match=r"two gains for \(m, d00 -> d01, seed 0\): .* and 99 pp"):
        observe(replace(twice, gain=np.append(law.gain, 99.0)), world)
    assert len(observe(replace(twice, gain=np.append(law.gain, law.gain[1])), world)) == 306


def test_an_unknown_protocol_is_refused(observed: Observations) -> None:
    with pytest.raises(
        ScoresError,
        match=r"unknown protocol 'new'. Allowed: new-target, one-target, new-source, two-sources, new-pair, random",
    ):
        splits(observed, "new", np.arange(18))


def test_a_gain_over_the_mean_source_is_over_the_sources_that_are_left(law: Cells, world: ProfileSet) -> None:
    shifted = replace(law, matrix=replace(law.matrix, base="target mean"), gain=law.gain + 7.0)
    found = observe(shifted, world)
    plain = observe(law, world)
    for target in range(len(found.names)):
        mine = found.target == target
        assert found.gain[mine].mean() == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(found.gain[mine], plain.gain[mine] - plain.gain[mine].mean())
