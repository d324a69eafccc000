"""Without a signal: sources keep an order that is not claimed, and three that complement each other are named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from traitcast.cli import cli
from traitcast.predictor.model.bundle import from_json, to_json
from traitcast.predictor.model.evidence import CLOSE, Gains, complements, source_mean
from traitcast.predictor.model.features import FeatureSettings, ProfileSet
from traitcast.predictor.model.fitting import PROTOCOLS, fit_gated
from traitcast.predictor.model.gain_model import KNOWN, LEAST_TARGETS
from traitcast.predictor.model.gate import Verdict, lower, regret
from traitcast.predictor.model.observations import group_datasets, observe
from traitcast.predictor.model.pair_data import pair_data
from traitcast.predictor.model.prediction import Measurement
from traitcast.predictor.model.predictor import Predictor, fit
from traitcast.predictor.model.trees import TreeSettings
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.records import Cells


@pytest.fixture(scope="module")
def noise(world: ProfileSet, cells_of: Callable[..., Cells]) -> Cells:
    return cells_of(world, 0, permute=True)


@pytest.fixture(scope="module")
def predictor(world: ProfileSet, noise: Cells) -> Predictor:
    found = fit(observe(noise, world), world)
    assert found.abstains
    # Without measurements, else all pairs would be answered.
    return replace(found, measurements={}, verdicts=complementing(found.verdicts))


def complementing(verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
    return verdicts | {KNOWN: replace(verdicts[KNOWN], complement=True)}


def gains(z: np.ndarray) -> Gains:
    """Of one model; z: (sources, targets)."""
    square = np.full((1, sum(z.shape), sum(z.shape)), np.nan)
    square[0, : len(z), len(z) :] = z
    return Gains(square, *(np.ones((1, sum(z.shape))) for _ in range(3)))


def test_sources_complement_each_other_where_they_do_well_on_different_targets() -> None:
    z = np.array([[1.0, 1.0, 0.0, 0.0], [0.9, 0.9, 0.1, 0.1], [-1.0, -1.0, 0.8, 0.8], [0.0, 0.0, 0.0, 0.3]])
    everyone, flat = np.arange(4), np.zeros(4)
    assert complements(gains(z), everyone, flat, 0, 2) == [0, 2], "the second in the mean adds less than the third"
    assert complements(gains(z), everyone, np.array([0.0, 0.0, 0.0, 2.0]), 0, 2) == [0, 3], "closeness counts"
    assert complements(gains(z), everyone, flat, 0, 9) == [0, 2, 1, 3], "no more than there are, the useless last"
    strangers = np.array([-1, 0, -1, 1])
    assert complements(gains(z), strangers, flat, 0, 9) == [0, 1, 3], "a stranger may only be the first"
    assert complements(gains(z), np.array([4, 0, 1]), flat[:3], 0, 2) == [0, 1], (
        "nor what was measured as a target alone"
    )


def test_the_second_choice_is_the_best_one_of_all() -> None:
    z = np.random.default_rng(2).normal(size=(9, 12))
    mean_of_best = {pair: np.maximum(*z[list(pair)]).mean() for pair in combinations(range(9), 2)}
    for first in range(9):
        _, second = complements(gains(z), np.arange(9), np.zeros(9), first, 2)
        mine = {pair: value for pair, value in mean_of_best.items() if first in pair}
        assert set(max(mine, key=lambda pair: mine[pair])) == {first, second}


def test_three_are_to_be_tried_first_and_the_order_is_by_mean_and_closeness(
    world: ProfileSet, noise: Cells, predictor: Predictor
) -> None:
    target, names = world.traits.names[0], predictor.names
    sources = [name for name in world.traits.names if name != target]
    found = predictor.rank(world, target, sources)
    assert len({p.gain for p in found}) == 1, "no gain is claimed"
    data = pair_data(observe(noise, world), world, FeatureSettings())
    measured = predictor.gains.gains
    allowed = measured.targets & (np.arange(len(names)) != 0)
    close = CLOSE * data.asked.close[:, 0]
    order = predictor.gains.layers[KNOWN].slope * source_mean(measured, allowed[None])[0, :, 0] + close
    expected = sorted(sources, key=lambda name: -order[names.index(name)])
    assert [p.source for p in found] == expected
    at = np.array([names.index(name) for name in sources])
    three = [sources[i] for i in complements(measured, at, close[at], sources.index(expected[0]), 3)]
    assert found.to_try == three
    assert three[0] == expected[0]
    assert [p.source for p in found.to_train(5)] == three + [name for name in expected if name not in three][:2]
    assert sorted(p.choice for p in found if p.choice) == [1, 2, 3]
    plain = {KNOWN: replace(predictor.verdicts[KNOWN], complement=False)}
    assert replace(predictor, verdicts=predictor.verdicts | plain).rank(world, target, sources).to_try == []


def test_what_was_measured_to_help_is_trained_on_first_and_what_harms_last(
    world: ProfileSet, predictor: Predictor
) -> None:
    target, *sources = world.traits.names
    plain = predictor.rank(world, target, sources)
    measured = {plain[-1].source: 30.0, plain[0].source: -30.0}
    known = replace(
        predictor, measurements={source: {target: Measurement(gain, 0.1, 2)} for source, gain in measured.items()}
    )
    found = known.rank(world, target, sources)
    ordered = [p.source for p in found.to_train(len(found))]
    assert ordered == [plain[-1].source, *found.to_try, *ordered[4:-1], plain[0].source]
    silent = predictor.verdicts | {KNOWN: replace(predictor.verdicts[KNOWN], complement=False)}
    unnamed = replace(known, verdicts=silent).rank(world, target, sources)
    assert [p.source for p in unnamed.to_train(2)] == [plain[-1].source, unnamed[2].source], "none is named, none harms"
    every = replace(predictor, measurements={source: {target: Measurement(1.0, 0.1, 2)} for source in sources})
    assert every.rank(world, target, sources).to_try == [], "nothing is left to try"


def test_with_a_signal_training_follows_the_ranking(world: ProfileSet, law: Cells) -> None:
    target, *sources = world.traits.names
    found = fit(observe(law, world), world).rank(world, target, sources)
    assert found.to_train(5) == found.top(5)


def test_what_is_evaluated_is_what_is_listed(world: ProfileSet, noise: Cells, predictor: Predictor) -> None:
    observations = observe(noise, world)
    data = pair_data(observations, world, FeatureSettings())
    group = group_datasets(observations, world, ()).group
    fitted = fit_gated(data, np.arange(len(observations)), group, PROTOCOLS, TreeSettings())
    fitted = replace(fitted, verdicts=complementing(fitted.verdicts))
    for target in (0, 5):
        rows = np.flatnonzero(observations.target == target)
        scored, _, choice = fitted.predict(data, rows)
        names = [observations.source_names[row] for row in rows]
        listed = predictor.rank(world, observations.names[target], names)
        assert [p.source for p in listed] == [names[i] for i in np.argsort(-scored)]
        assert listed.to_try == [names[i] for i in np.argsort(-choice)[:3]]


def test_with_few_targets_there_is_nothing_to_complement(predictor: Predictor) -> None:
    model = predictor.gains
    z = model.gains.z.copy()
    z[:, :, LEAST_TARGETS - 1 :] = np.nan
    few = replace(model, gains=replace(model.gains, z=z))
    n = len(predictor.names)
    given = (np.arange(n, dtype=float), np.arange(n), np.zeros(n))
    assert few.to_try(*given) == []
    assert len(model.to_try(*given)) == 3
    assert model.to_try(*(values[:0] for values in given)) == []


def test_three_are_named_only_where_that_was_better_inside_the_training_rows() -> None:
    gain = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert regret(gain, -gain) == pytest.approx(2 / gain.std()), "the best of the three lowest is 2"
    assert regret(gain, np.zeros(5)) == pytest.approx(2 / gain.std()), "ties keep their order"
    assert regret(gain, gain) == 0
    target, before = np.arange(10), np.ones(10)
    assert lower(before, np.full(10, 0.8), target)
    assert not lower(before, before, target)
    assert not lower(before, np.full(10, 1.2), target)
    one_of_ten = np.where(target == 0, 0.0, 1.09)
    assert not lower(before, one_of_ten, target), "what one target shows is chance"
    assert not lower(before[:1], before[:1] - 1, target[:1])


def specialists(world: ProfileSet, noise: Cells) -> Cells:
    """Two sources win on half of the targets each, and harm the other half: none has a mean above the others.

    The first dataset is no target.
    """
    names = world.traits.names
    source, target = (np.array([names.index(name) for name in of]) for of in (noise.sources, noise.targets))
    sign = np.where(target % 2, 1.0, -1.0)
    gain = np.where(source == 3, 6 * sign, np.where(source == 4, -6 * sign, noise.gain / noise.gain.std()))
    kept = np.flatnonzero(target)
    return Cells(
        noise.matrix,
        *(tuple(of[i] for i in kept) for of in (noise.models, noise.sources, noise.targets)),
        *(of[kept] for of in (noise.seeds, gain, noise.standard_error, 0.5 + gain / 100, noise.base_score)),
    )


def test_shuffled_gains_are_mostly_no_reason_to_name_three(world: ProfileSet, cells_of: Callable[..., Cells]) -> None:
    named = [
        fit(observe(cells_of(world, seed, permute=True), world), world).verdicts[KNOWN].complement for seed in range(8)
    ]
    assert sum(named) <= 4


def test_specialists_are_found_and_a_bundle_keeps_that(world: ProfileSet, noise: Cells) -> None:
    found = fit(observe(specialists(world, noise), world), world)
    assert found.abstains
    assert found.verdicts[KNOWN].complement
    again = from_json(to_json(found))
    assert again.verdicts == found.verdicts
    target, *sources = world.traits.names
    assert {"d03", "d04"} <= set(again.rank(world, target, sources).to_try)


def test_rank_says_which_three_to_try_and_trains_on_them(
    world: ProfileSet, noise: Cells, warehouse_of: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    path = str(warehouse_of(tmp_path / "law.duckdb", world, specialists(world, noise)))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, "--warehouse", path])

    assert run("fit", "--matrix", "law").exit_code == 0
    found = run("rank", "d00", "--top", "2")
    said = " ".join(found.stderr.split())
    to_try = re.findall(r"To try first: (.*?)\.", said)[0].split(", ")
    assert "No signal in 'law'" in said
    assert len(to_try) == 3
    assert {"d03", "d04"} <= set(to_try)
    rows = json.loads(run("rank", "d00", "--format", "json").stdout)
    assert [row["source"] for row in sorted(rows, key=lambda row: row["choice"] or 9)[:3]] == to_try
    assert f"--sources {','.join(to_try)} --targets d00" in said, "and they are the next to be measured"
    written = run("rank", "d00", "--as", "trl")  # made-up profiles have no columns, so it names them and stops
    assert f"none of {', '.join(to_try)} can be given to trl" in written.stderr, "they are the ones to train on"
    few = " ".join(run("rank", "d00", "--sources", ",".join(to_try[:2])).stderr.split())
    assert "To try first" not in few, "there is nothing to choose"
    with Warehouse.open(path) as warehouse:
        warehouse.save_profile(replace(warehouse.profile("d03"), name="new", fingerprint="v1:new"))
    said = " ".join(run("rank", "d00", "--sources", "new").stderr.split())
    assert "No signal in 'law'" in said, "sources that were never measured have no order either"
    assert "Based on" not in said
