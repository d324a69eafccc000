"""Interventions: planted effects are found with the right size and sign, nothing is found where nothing was planted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import traitcast
from traitcast.predictor.cli import COMMANDS
from traitcast.predictor.effects.interventions import Lineage, differences, in_words, interventions, mean_of
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError
from traitcast.warehouse.records import Matrix

PARENTS, TARGETS, SEEDS = tuple("abcdefgh"), tuple("abcdef"), (0, 1)
CHANGES = {"better": "better class_balance", "nothing": "nothing surface", "control": "control shortcut"}
(COMMAND,) = [command for command in COMMANDS if command.name == "interventions"]


def stored(path: Path) -> Path:
    """Eight parents with three variants each, a fourth of parent a, six targets, two seeds; no variant is profiled.

    "better" gains 10 pp more than its parent on every other target and loses 20 on its own rows; "control" loses 30 on
    its own rows.
    """
    rng = np.random.default_rng(0)
    rows, made = [{"source": "", "target": t, "seed": 0, "metric": "score", "score": 0.5} for t in TARGETS], []
    rows += [{**row, "metric": "gold_nll", "score": 1.0} for row in rows]
    generations = [{"source": "", "target": "f", "seed": 0, "tokens_mean": 40.0, "n": 20}]

    def cell(source: str, parent: str, target: str, seed: int, more: float, longer: float) -> None:
        noise = rng.normal(0, 0.02)
        score = 0.5 + more + noise
        rows.append({"source": source, "target": target, "seed": seed, "metric": "score", "score": score})
        rows.append({"source": source, "target": target, "seed": seed, "metric": "gold_nll", "score": 1.0 - 2 * more})
        if target == "f":
            mean = 40.0 + longer + rng.normal(0, 0.5)
            generations.append({"source": source, "target": target, "seed": seed, "tokens_mean": mean, "n": 20})

    for parent in PARENTS:
        variants = dict(CHANGES) | ({"single": "single"} if parent == "a" else {})
        for change, changed in {"": "", **variants}.items():
            name = f"{parent}-{change}" if change else parent
            if change:
                made.append({"dataset": name, "parent": parent, "changed": changed})
            for seed in SEEDS:
                for target in TARGETS:
                    own = {"better": -0.2, "control": -0.3}.get(change, 0.0)
                    others = {"better": 0.1, "single": 0.15}.get(change, 0.0)
                    cell(name, parent, target, seed, own if target == parent else others, 12.0 * (change == "better"))
    whole = {"model": "tiny", "n": 20, "standard_error": 0.02}
    table = pa.Table.from_pylist([{**whole, **row} for row in rows])
    with Warehouse.open(path) as warehouse:
        warehouse.save_scores(
            Matrix("made", "score", "untuned", "a test"),
            table,
            {
                "lineage": pa.Table.from_pylist(made),
                "generations": pa.Table.from_pylist([{"model": "tiny", **g} for g in generations]),
            },
        )
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("made") / "made.duckdb")


def found(path: Path, **options: str) -> dict[tuple[str, str, str], object]:
    with Warehouse.open(path, read_only=True) as warehouse:
        result = interventions(warehouse, matrix="made", **options)
    return {(e.change, e.outcome, e.on): e for e in result.effects}


def test_planted_effects_come_out(path: Path) -> None:
    effects = found(path)
    better = effects["better", "gain", "others"]
    assert better.difference == pytest.approx(10, abs=1)
    assert better.low < 10 < better.high
    assert better.q < 1e-6
    assert (better.sources, better.over, better.cells) == (8, "sources", 6 * 5 + 2 * 6)
    own = effects["better", "gain", "own"]
    assert own.difference == pytest.approx(-20, abs=2)
    assert (own.sources, own.cells) == (6, 6)
    assert effects["better", "length_shift", "others"].difference == pytest.approx(12, abs=1)
    assert effects["control", "gain", "own"].difference == pytest.approx(-30, abs=2)


def test_effects_in_words_are_by_what_was_changed(path: Path) -> None:
    effect = found(path)["better", "gain", "others"]
    with Warehouse.open(path, read_only=True) as warehouse:
        told = in_words(warehouse, "made")
    assert set(told) == {"class_balance", "surface", "shortcut", "single"}
    moved = f"{effect.difference:+.1f} pp [{effect.low:.1f}, {effect.high:.1f}] (better)"
    assert told["class_balance"] == f"in made, gains on other targets moved by {moved}"


def test_nothing_comes_of_nothing(path: Path) -> None:
    nothing = [effect for (change, *_), effect in found(path).items() if change == "nothing"]
    assert len(nothing) == 4  # no labels were stored
    assert all(effect.q > 0.05 for effect in nothing if math.isfinite(effect.q))
    control = found(path)["control", "gain", "others"]
    assert abs(control.difference) < 1.5


def test_a_change_of_one_source_is_told_over_targets(path: Path) -> None:
    single = found(path)["single", "gain", "others"]
    assert (single.sources, single.over, single.cells) == (1, "targets", 5)
    assert single.difference == pytest.approx(15, abs=2)
    assert single.low < 15 < single.high
    assert math.isnan(single.p), "what one adapter has of its own is in all of its targets"
    assert math.isnan(single.q)
    own = found(path)["single", "gain", "own"]
    assert own.cells == 1
    assert math.isnan(own.standard_error)
    assert math.isnan(own.q)


def test_another_metric(path: Path) -> None:
    effect = found(path, metric="gold_nll")["better", "gain", "others"]
    assert effect.difference == pytest.approx(20), "a fall of the loss is a gain"
    # Without noise in it all sources agree, and nothing varies that an error could be told from.
    assert effect.standard_error == pytest.approx(0, abs=1e-12)
    assert math.isnan(effect.p)
    assert math.isnan(effect.low)


def test_a_gain_is_better_for_being_more_whatever_the_metric(path: Path) -> None:
    with Warehouse.open(path, read_only=True) as warehouse:
        cells = warehouse.cells("made", metric="gold_nll")
        told = warehouse.query(
            "SELECT gain, -100 * (score - base_score) AS fall FROM transfer "
            "WHERE metric = 'gold_nll' AND matrix = 'made' ORDER BY model, source, target, seed"
        )
    assert cells.matrix.metric == "gold_nll"
    assert np.array_equal(cells.gain, told["gain"].to_numpy())
    assert np.array_equal(cells.gain, told["fall"].to_numpy())
    assert np.abs(cells.gain).max() > 1


def test_mean_and_interval_are_students(path: Path) -> None:
    from scipy import stats

    effect = found(path)["better", "gain", "others"]
    values = [value for _, value in effect.by_source]
    reference = stats.ttest_1samp(values, 0).confidence_interval()
    assert (effect.low, effect.high) == pytest.approx((reference.low, reference.high))
    assert effect.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert effect.standard_error == pytest.approx(stats.sem(values))


def test_noise_is_that_between_seeds(path: Path) -> None:
    with Warehouse.open(path, read_only=True) as warehouse:
        noise = interventions(warehouse, matrix="made").noise
    # A cell has a standard deviation of 2 pp; means of five or six of them, and the difference of two.
    assert noise["gain, others"] == pytest.approx(2 * math.sqrt(2 / 5.25), rel=0.3)
    assert noise["gain, own"] == pytest.approx(2 * math.sqrt(2), rel=0.5)


def test_differences_are_of_what_both_have() -> None:
    made = Lineage("v", "p", "half, dataset_rows")
    assert differences({"a": 3.0, "p": 1.0, "only": 2.0}, {"p": 5.0, "a": 1.0}) == {"a": 2.0, "p": -4.0}
    assert (made.change, made.words) == ("half", ("half", "dataset_rows"))
    assert Lineage("v", "p", "").change == "unnamed"
    assert math.isnan(mean_of([1.0]).standard_error)


def test_command_and_python(path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(COMMAND, ["--matrix", "made", "--warehouse", str(path), "--format", "json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {e["change"] for e in told["effects"]} == {*CHANGES, "single"}
    assert told == json.loads(
        json.dumps(traitcast.interventions(matrix="made", warehouse=path).as_row()).replace("NaN", "null")
    )
    shown = runner.invoke(COMMAND, ["--matrix", "made", "--warehouse", str(path)])
    assert "variant minus parent" in shown.stderr
    assert "25 variants of 8 sources on 6 targets, 2 seeds" in shown.stderr
    one = runner.invoke(
        COMMAND, ["--matrix", "made", "--change", "single", "--warehouse", str(path), "--format", "json"]
    )
    assert [row["source"] for row in json.loads(one.stdout)] == ["a"] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--matrix", "made", "--change", "bettr"], "no change 'bettr' .* did you mean 'better'"),
        (["--matrix", "made", "--metric", "gold"], "no metric 'gold'.* It has: gold_nll, score"),
        (
            ["--matrix", "smollm2_cpu"],
            "no variant together with its parent.* Matrices with variants: made, smollm2_interventions",
        ),
        (["--matrix", "mad"], "no matrix named 'mad'; did you mean 'made'"),
    ],
)
def test_refusals(path: Path, options: list[str], message: str) -> None:
    import re

    refused = CliRunner().invoke(COMMAND, [*options, "--warehouse", str(path)])
    assert refused.exit_code == 2
    assert re.search(message, refused.output), refused.output


def made(path: Path, name: str, rows: list[tuple[str, str, int, float]], lineage: list[tuple[str, str, str]]) -> None:
    """A matrix of (source, target, seed, gain in pp) over a base of 0 everywhere."""
    base = [("", target, 0, 0.0) for target in sorted({target for _, target, _, _ in rows})]
    keys = ("source", "target", "seed", "score")
    table = [dict(zip(keys, row, strict=True)) | {"score": row[3] / 100} for row in [*base, *rows]]
    whole = {"model": "tiny", "metric": "score", "n": 20, "standard_error": 0.02}
    told = [dict(zip(("dataset", "parent", "changed"), row, strict=True)) for row in lineage]
    with Warehouse.open(path) as warehouse:
        warehouse.save_scores(
            Matrix(name, "score", "untuned", "a test"),
            pa.Table.from_pylist([whole | row for row in table]),
            {"lineage": pa.Table.from_pylist(told)} if told else {},
        )


def test_variants_changed_alike_are_one_observation_and_own_rows_are_the_roots(tmp_path: Path) -> None:
    path = tmp_path / "nested.duckdb"
    rows = [(s, t, 0, 0.0) for s in ("a", "b") for t in ("a", "b", "c")]
    rows += [("a-x", "a", 0, -30.0), ("a-x", "b", 0, 4.0), ("a-x", "c", 0, 2.0)]
    rows += [("a-x2", "a", 0, -30.0), ("a-x2", "b", 0, 8.0), ("a-x2", "c", 0, 2.0)]
    rows += [("b-x", "a", 0, 1.0), ("b-x", "c", 0, 1.0)]  # not scored on its own rows
    rows += [("a-x-y", "a", 0, -50.0), ("a-x-y", "b", 0, 4.0), ("a-x-y", "c", 0, 2.0), ("d-x", "a", 0, 9.0)]
    lineage = [("a-x", "a", "x"), ("a-x2", "a", "x"), ("b-x", "b", "x"), ("a-x-y", "a-x", "y"), ("d-x", "d", "x")]
    made(path, "one", rows, lineage)
    with Warehouse.open(path, read_only=True) as warehouse:
        found = interventions(warehouse, matrix="one")
    effects = {(e.change, e.outcome, e.on): e for e in found.effects}
    others = effects["x", "gain", "others"]
    assert others.by_source == (("a", 4.0), ("b", 1.0)), "the mean of 6 and 2, and of 1 and 1"
    assert (others.sources, others.targets, others.cells) == (2, 3, 6)
    assert effects["x", "gain", "own"].difference == -30.0
    assert effects["y", "gain", "own"].difference == -20.0, "against a-x, on the rows of a"
    assert effects["y", "gain", "others"].difference == 0.0
    assert found.notes[1].endswith("so that means over sources are uneven: b-x")
    assert found.notes[2] == "Left out, because their parent is not in the matrix: d-x"


def test_seeds_that_only_one_of_the_two_has_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "seeds.duckdb"
    rows = [("a", "c", 0, 1.0), ("a", "c", 1, 3.0), ("a-x", "c", 1, 8.0), ("a-x", "c", 2, 90.0), ("a-x", "d", 1, 7.0)]
    made(path, "one", rows, [("a-x", "a", "x")])
    with Warehouse.open(path, read_only=True) as warehouse:
        (effect,) = interventions(warehouse, matrix="one").effects
    assert (effect.difference, effect.cells) == (5.0, 1)


def test_what_an_effect_rests_on_is_told(tmp_path: Path) -> None:
    path = tmp_path / "uneven.duckdb"
    rows = [(s, t, seed, 0.0) for s in "abe" for t in "cd" for seed in (0, 1)]
    rows += [("a-x", t, seed, 5.0) for t in "cd" for seed in (0, 1)]
    rows += [("b-x", "d", 0, 5.0), ("e-x", "c", 2, 90.0), ("e-x", "d", 2, 90.0)]
    made(path, "one", rows, [("a-x", "a", "x"), ("b-x", "b", "x"), ("e-x", "e", "x")])
    with Warehouse.open(path, read_only=True) as warehouse:
        found = interventions(warehouse, matrix="one")
    (effect,) = found.effects
    assert (effect.sources, effect.seeds, effect.cells) == (2, (1, 2), 3)
    assert found.rows()[0]["seeds"] == "1-2"
    assert found.notes[0].startswith("2 variants of 2 sources on 2 targets, 1 to 2 seeds. ")
    assert found.notes[1].endswith("so that means over sources are uneven: b-x")
    assert found.notes[2] == "Left out, because they share no seed and target with their parent: e-x"


def test_the_root_of_a_chain_is_known_where_a_link_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "chain.duckdb"
    rows = [("a-x-y", "a", 0, 30.0), ("a-x-y", "c", 0, 1.0), ("a-x-y-z", "a", 0, 5.0), ("a-x-y-z", "c", 0, 1.0)]
    made(path, "one", rows, [("a-x", "a", "x"), ("a-x-y", "a-x", "y"), ("a-x-y-z", "a-x-y", "z")])
    with Warehouse.open(path, read_only=True) as warehouse:
        effects = {(e.change, e.on): e for e in interventions(warehouse, matrix="one").effects}
    assert effects["z", "own"].by_source == (("a", -25.0),)
    assert effects["z", "others"].difference == 0.0


def test_every_matrix_has_its_own_lineage(tmp_path: Path) -> None:
    path = tmp_path / "two.duckdb"
    rows = [("a", "c", 0, 1.0), ("a-x", "c", 0, 3.0), ("b", "c", 0, 0.0)]
    made(path, "one", rows, [("a-x", "a", "x")])
    made(path, "two", rows, [("a-x", "b", "other")])
    with Warehouse.open(path) as warehouse:
        assert [e.change for e in interventions(warehouse, matrix="one").effects] == ["x"]
        assert [(e.change, e.difference) for e in interventions(warehouse, matrix="two").effects] == [("other", 3.0)]
        assert [row for row in warehouse.lineage() if row[0] == "a-x"] == [("a-x", "a", "x")], "once each"
    made(path, "one", rows, [("b", "a", "later")])
    with Warehouse.open(path, read_only=True) as warehouse:
        assert warehouse.lineage("one") == [("b", "a", "later")], "what a source was is told anew with its scores"


def test_several_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.duckdb"
    made(path, "one", [("a", "c", 0, 1.0), ("a-x", "c", 0, 3.0)], [("a-x", "a", "x")])
    with Warehouse.open(path) as warehouse:
        more = {"model": "large", "metric": "score", "source": "a", "target": "c", "seed": 0, "score": 0.5}
        rows = pa.Table.from_pylist([more | {"n": 20, "standard_error": 0.02}])
        warehouse.save_scores(Matrix("one", "score", "untuned", "a test"), rows)
        with pytest.raises(ScoresError, match=r"has 2 models \(large, tiny\).* Choose it with --model NAME"):
            interventions(warehouse, matrix="one")


def test_the_only_matrix_with_variants_is_taken(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "none.duckdb", read_only=True) as warehouse:
        shipped = interventions(warehouse)
    assert (shipped.matrix, shipped.metric, len(shipped.effects)) == ("smollm2_interventions", "score", 42)
    assert min(effect.q for effect in shipped.effects if math.isfinite(effect.q)) > 0.05, "nothing is sure yet"


def test_variants_of_ones_own_come_before_shipped_ones(tmp_path: Path) -> None:
    path = tmp_path / "own.duckdb"
    made(path, "mine", [("a", "c", 0, 1.0), ("a-x", "c", 0, 3.0)], [("a-x", "a", "x")])
    with Warehouse.open(path) as warehouse:
        assert warehouse.varied() == ["mine", "smollm2_interventions"]
        assert interventions(warehouse).matrix == "mine"
    # Imported scores know of no lineage: profiles do.
    with Warehouse.open(path) as warehouse:
        warehouse.drop_scores(["mine"])
    made(path, "mine", [("a", "c", 0, 1.0), ("b", "c", 0, 3.0)], [])
    with Warehouse.open(path) as warehouse:
        assert warehouse.varied() == ["smollm2_interventions"]
    with duckdb.connect(str(path)) as file:
        like = "SELECT * REPLACE ('b' AS name, 'a' AS parent, 'x' AS changed) FROM traitcast_shipped.datasets LIMIT 1"
        file.execute(f"INSERT INTO traitcast_own.datasets {like}")
    with Warehouse.open(path) as warehouse:
        assert warehouse.varied() == ["mine", "smollm2_interventions"]
        assert [e.change for e in interventions(warehouse).effects] == ["x"]


def test_lineage_goes_with_its_matrix(tmp_path: Path) -> None:
    path = stored(tmp_path / "gone.duckdb")
    with Warehouse.open(path) as warehouse:
        assert len(warehouse.lineage("made")) == 25
        warehouse.drop_scores(["made"])
        assert warehouse.lineage("made") == []
        with pytest.raises(ScoresError, match="no matrix named 'made'"):
            interventions(warehouse, matrix="made")
