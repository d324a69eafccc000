"""The commands: JSON contracts, tables, exit codes and messages, on a small warehouse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from traitcast.predictor import api
from traitcast.predictor.cli import COMMANDS
from traitcast.predictor.commands.next_plan import by_improvement
from traitcast.predictor.explanation.whatif import set_traits
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.outcomes import GAIN, outcome_of
from traitcast.predictor.model.prediction import Prediction, Ranking
from traitcast.warehouse.database import shipped
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import NotProfiledError
from traitcast.warehouse.records import Cells, Matrix

PREDICTION = {"source", "target", "gain", "low", "high", "harm", "novel", "source_mean"}
PREDICTION |= {"measured", "basis", "band", "choice", "claimed", "standard_error", "runs", "unit"}


class Door:
    """What the front door promises: a profiled name is returned, anything else is refused."""

    def ensure_profiled(self, datasets: Sequence[str], warehouse_path: str, **reading: Any) -> list[str]:
        names = [Path(dataset).stem for dataset in datasets]
        with Warehouse.open(warehouse_path, read_only=True) as warehouse:
            for name in names:
                if warehouse.find(name) is None:
                    raise NotProfiledError(f"{name!r} is neither profiled nor a file.")
        return names


def run(path: Path, *arguments: str) -> Result:
    command = next(c for c in COMMANDS if c.name == arguments[0])
    return CliRunner().invoke(command, [*arguments[1:], "--warehouse", str(path)], obj=Door())


def test_fit_reports_what_it_fitted(law_warehouse: Path) -> None:
    result = run(law_warehouse, "fit", "--matrix", "law", "--format", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["predictor"], document["matrix"], document["cells"]) == ("default", "law", 306)
    assert (document["sources"], document["targets"]) == (18, 18)
    assert document["half_width"] > 0
    assert document["fingerprint"].startswith("v2:")
    assert "306 measured cells of matrix 'law' (m): 18 sources x 18 targets" in result.stderr
    table = run(law_warehouse, "fit", "--name", "second", "--model", "m")
    assert "half_width" in table.stdout
    assert "traitcast evaluate --matrix law" in table.stderr
    with Warehouse.open(law_warehouse, read_only=True) as warehouse:
        assert warehouse.predictor("second").model == "m"


def test_predict_gives_one_object(fitted: Path) -> None:
    result = run(fitted, "predict", "d03", "d04", "--format", "json")
    document = json.loads(result.stdout)
    assert set(document) == PREDICTION
    assert document["low"] < document["gain"] < document["high"]
    assert "Gain in pp, over the untuned model; low to high: 90 % interval." in result.stderr
    assert "d03" in run(fitted, "predict", "d03", "d04").stdout


def test_rank_lists_best_first(fitted: Path) -> None:
    document = json.loads(run(fitted, "rank", "d04", "--format", "json").stdout)
    assert len(document) == 17
    assert all(set(row) == PREDICTION and row["target"] == "d04" and row["source"] != "d04" for row in document)
    gains = [row["gain"] for row in document]
    assert gains == sorted(gains, reverse=True)
    some = json.loads(run(fitted, "rank", "d04", "--sources", "d01, d02,d04", "--format", "json").stdout)
    assert {row["source"] for row in some} == {"d01", "d02"}
    top = run(fitted, "rank", "d04", "--top", "3")
    assert len(top.stdout.splitlines()) == 1 + 2 + 3 + 1
    assert f"traitcast explain {document[0]['source']} d04" in top.stderr


def test_a_measured_pair_is_answered_by_its_measurement(fitted: Path) -> None:
    with Warehouse.open(fitted, read_only=True) as warehouse:
        (row,) = [r for r in warehouse.transfer_matrix("law") if (r["source"], r["target"]) == ("d03", "d04")]
    document = json.loads(run(fitted, "predict", "d03", "d04", "--format", "json").stdout)
    assert document["gain"] == document["measured"] == pytest.approx(row["gain"], abs=1e-5)
    assert (document["basis"], document["runs"]) == ("measured", 1)
    assert f"measured: {row['gain']:+.1f} in 1 run" in run(fitted, "predict", "d03", "d04").stderr


def test_rank_says_what_it_rests_on_and_lists_what_was_measured(fitted: Path) -> None:
    found = run(fitted, "rank", "d04")
    assert "measured on d04 (pp); gain: that, shrunk" in found.stdout
    assert "predicted, best band first:" not in found.stdout
    assert "of source pairs in the right order (inside the fit; chance 50 %" in " ".join(found.stderr.split())
    assert "low to high" not in found.stderr.split("measured on")[0]
    assert "Next best measurement" not in found.stderr


def test_impact_lists_the_most_harmed_first(fitted: Path) -> None:
    document = json.loads(run(fitted, "impact", "d03", "--format", "json").stdout)
    assert len(document) == 17
    assert {row["source"] for row in document} == {"d03"}
    gains = [row["gain"] for row in document]
    assert gains == sorted(gains)
    assert "measured for d03 (pp); gain: that, shrunk" in run(fitted, "impact", "d03", "--top", "2").stdout
    assert run(fitted, "impact", "nowhere").exit_code == 2


def test_a_source_that_was_never_measured_rests_on_its_like(fitted: Path) -> None:
    with Warehouse.open(fitted) as warehouse:
        warehouse.save_profile(replace(warehouse.profile("d03"), name="new", fingerprint="v1:new"))
    for arguments in (("impact", "new", "--top", "3"), ("rank", "d04", "--sources", "new")):
        said = " ".join(run(fitted, *arguments).stderr.split())
        assert "Based on the gains of sources like it on other targets" in said
        assert "For sources that were never measured this put" in said
        assert "the gains of each source" not in said
    assert "Based on the gains of each source" in " ".join(
        run(fitted, "rank", "d04", "--sources", "new,d03").stderr.split()
    )


@pytest.mark.parametrize("protocol", ["new-target", "new-source"])
def test_pairs_in_the_right_order_are_those_of_the_stored_evaluation(fitted: Path, protocol: str) -> None:
    # The metric is that of the fit, by its name.
    judged = ("evaluate", "--metric", "accuracy", "--protocol", protocol, "--no-baselines", "--save")
    assert run(fitted, *judged).exit_code == 0
    with Warehouse.open(fitted) as warehouse:
        warehouse.save_profile(replace(warehouse.profile("d03"), name="new", fingerprint="v1:new"))
        (stored,) = api.evaluations_of(warehouse, api.predictor_of(warehouse))
    share = stored["result"]["model"]["pairwise_accuracy"]["value"]
    here = f"this put {share:.0%} of source pairs in the right order (cross-validated; "
    for source, own in (("d03", "new-target"), ("new", "new-source")):
        said = " ".join(run(fitted, "rank", "d04", "--sources", source).stderr.split())
        assert (here in said) == (own == protocol)
        assert ("(inside the fit; " in said) == (own != protocol)


def test_explain_adds_up(fitted: Path) -> None:
    document = json.loads(run(fitted, "explain", "d03", "d04", "--format", "json").stdout)
    assert set(document) >= PREDICTION | {"base_value", "contributions"}
    stable = {"spread", "agreement"}
    assert set(document["contributions"][0]) == {"trait", "side", "family", "value", "shap"} | stable
    assert set(document["family_spread"]) == set(document["by_family"]) - {"measured", "evidence"}
    total = document["base_value"] + sum(c["shap"] for c in document["contributions"])
    assert total == pytest.approx(document["gain"])
    table = run(fitted, "explain", "d03", "d04", "--top", "4").stdout
    assert "Tuning on d03 was measured on " in table
    assert "Evidence: d03 was measured on 16 other targets; weighted towards those most like d04" in table
    assert "family class_balance" in table
    assert "side source" in table


def test_evaluate_follows_the_contract(law_warehouse: Path) -> None:
    result = run(law_warehouse, "evaluate", "--protocol", "new-source", "--format", "json")
    document = json.loads(result.stdout)
    assert set(document) >= {"protocol", "cells", "targets", "model", "baselines", "ceiling"}
    assert document["protocol"] == "new-source"
    assert document["baselines"]["source_mean"]["spearman"]["value"] is None
    assert document["ceiling"] is None
    assert "NaN" not in result.stdout
    assert document["ablations"] is None
    assert any("unseen sources" in sentence for sentence in document["verdict"])


def test_the_headline_metric_by_its_name_is_the_headline(fitted: Path) -> None:
    with Warehouse.open(fitted) as warehouse:
        gain, law = outcome_of("gain", "accuracy"), warehouse.choose_matrix("law")
        assert api.outcome_in(warehouse, gain) == api.outcome_in(warehouse, GAIN, "law") == GAIN
        loss = warehouse.query("SELECT * FROM scores WHERE matrix = 'law'").drop_columns(["matrix"])
        loss = loss.set_column(loss.column_names.index("metric"), "metric", pa.array(["gold_nll"] * len(loss)))
        warehouse.save_scores(replace(law, matrix="loss", metric="gold_nll"), loss)
        assert api.outcome_in(warehouse, GAIN, "loss").unit == "cnat", "not pp, whether the metric is named or not"


@pytest.mark.slow
def test_evaluate_takes_the_features_apart_when_asked(law_warehouse: Path) -> None:
    result = run(law_warehouse, "evaluate", "--protocol", "new-source", "--no-baselines", "--ablations")
    assert result.exit_code == 0, result.output
    for text in ("only class_balance", "without class_balance", "claimed traits", "permuted gains", "over_similarity"):
        assert text in result.stdout
    assert "The chance of harm is off by" in result.stderr


def test_whatif_shows_old_and_new(fitted: Path) -> None:
    changes = ("--set", "label_entropy_bits=0.1", "--set", "target:response_words_mean=500")
    result = run(fitted, "whatif", "d03", "d04", *changes, "--format", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    before = json.loads(run(fitted, "predict", "d03", "d04", "--format", "json").stdout)
    # What was measured belongs to the unchanged rows, so both sides are predicted as of a source never measured.
    assert document["before"]["basis"] == "like sources"
    assert before["basis"] == "measured"
    assert document["now"] == before
    assert any("counts as never measured where" in note for note in document["notes"])
    assert document["difference"] == pytest.approx(document["gain_after"] - document["gain_before"])
    assert [(c["side"], c["trait"]) for c in document["changes"]] == [
        ("source", "label_entropy_bits"),
        ("target", "response_words_mean"),
    ]
    table = run(fitted, "whatif", "d03", "d04", *changes)
    assert table.stdout.split("\n")[0].split() == ["gain", "low", "high", "harm", "novel"]
    assert "source label_entropy_bits: no intervention measured this: correlation only." in table.stdout
    assert "target response_words_mean=500 is outside the training range, " in table.stderr
    assert [line[:21].strip() for line in table.stdout.splitlines()[2:5]] == [
        "as it is",
        "as if never measured",
        "changed",
    ]


def test_the_next_measurement_runs_as_printed_or_says_what_to_fetch(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.csv").write_text("text,label\na,b\n")
    with Warehouse.open(fitted) as warehouse:
        profile = warehouse.profile("d04")
        origin = {"origin": str(tmp_path / "here.csv")}
        warehouse.save_profile(replace(profile, name="here", fingerprint="v1:here", details=origin))
        warehouse.save_profile(replace(profile, name="gone", fingerprint="v1:gone", details={"origin": "/no/gone.csv"}))
        warehouse.save_profile(replace(profile, name="far", fingerprint="v1:far", details={"origin": "org/far"}))
        held = {"origin": "data in memory"}
        warehouse.save_profile(replace(profile, name="held", fingerprint="v1:held", details=held))
        assert warehouse.places() == {"far": "org/far", "here": "here.csv"}
    printed = run(fitted, "rank", "here", "--sources", "far").stderr
    (line,) = [line for line in printed.splitlines() if "matrix plan" in line]
    assert line.strip().startswith("traitcast matrix plan --pack next_here --sources far --targets here ")
    assert line.endswith(" org/far here.csv")
    assert "First put" not in printed
    printed = run(fitted, "rank", "here", "--sources", "gone").stderr
    assert "First put the rows of gone into folders of these names here." in printed
    published = {"origin": "/no/gone.csv", "published": ["github.com/a/b@0123abc:data/x.csv", "github.com/c/d"]}
    with Warehouse.open(fitted) as warehouse:
        warehouse.save_profile(replace(profile, name="gone", fingerprint="v1:gone", details=published))
    printed = run(fitted, "rank", "here", "--sources", "gone").stderr
    assert "First put the rows of gone (github.com/a/b) into folders" in printed


def test_the_width_of_an_extrapolation_is_no_reason_to_measure_it() -> None:
    def predicted(source: str, gain: float, half: float, novel: bool) -> Prediction:
        return Prediction(source, "t", gain, gain - half, gain + half, 0.5, novel, None, None, "like sources")

    usual = [predicted("a", 3.0, 28.0, False), predicted("b", 2.0, 28.0, False), predicted("sure", 2.5, 1.0, False)]
    far = predicted("far", 1.0, 60.0, True)
    assert by_improvement(Ranking([*usual, far])) == ["a", "b", "far", "sure"]
    every = [predicted(p.source, p.gain, p.high - p.gain, True) for p in usual]
    assert by_improvement(Ranking([*every, far])) == ["a", "b", "far", "sure"], "nor where all are extrapolations"


@pytest.mark.parametrize(
    ("details", "option"),
    [
        ({"roles_stated": ["text=a"]}, "--roles"),
        ({"name_stated": "b"}, "--name"),
        ({"delimiter": ";"}, "--delimiter"),
        ({"spec": "/elsewhere/roles.yaml"}, "--spec"),
        ({"splits": {"a": 3, "b": 4}, "split": "a"}, "--split"),
        ({"splits": {"train": 3, "test": None}}, None),
    ],
)
def test_no_measurement_is_proposed_that_reads_other_rows(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, details: dict[str, Any], option: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.csv").write_text("text,label\na,b\n")
    with Warehouse.open(fitted) as warehouse:
        made = {"origin": str(tmp_path / "here.csv"), "spec": str(tmp_path / "dataset.yaml")} | details
        warehouse.save_profile(replace(warehouse.profile("d04"), name="here", fingerprint="v1:here", details=made))
    printed = run(fitted, "rank", "here", "--sources", "d03").stderr
    assert ("traitcast matrix plan" in printed) == (option is None)
    assert (f"`matrix plan` has no {option}, with which 'here' was read" in " ".join(printed.split())) == bool(option)
    offered = run(fitted, "rank", "d05", "--sources", "here").stderr
    assert ("--sources here" in offered) == (option is None)


def test_a_source_without_training_rows_is_not_proposed(fitted: Path, tmp_path: Path) -> None:
    with Warehouse.open(fitted) as warehouse:
        held_out = {"origin": str(tmp_path), "splits": {"test": 3}, "split": "test"}
        warehouse.save_profile(replace(warehouse.profile("d04"), name="held", fingerprint="v1:h", details=held_out))
    assert "matrix plan" not in run(fitted, "rank", "d05", "--sources", "held").stderr


def test_explain_says_so_where_no_trait_moves_a_prediction(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from traitcast.predictor import api
    from traitcast.predictor.report.sections import Request, gather

    with Warehouse.open(fitted, read_only=True) as warehouse:
        found = api.explain_pair(warehouse, api.predictor_of(warehouse), "d03", "d04")
        with monkeypatch.context() as patch:
            patch.setattr("traitcast.predictor.model.predictor.Predictor.booster", lambda *_: None)
            patch.setattr("traitcast.predictor.report.predictor.QUICK_CELLS", 1)
            (reasons,) = [s for s in gather(warehouse, Request()).sections if s.key == "reasons"]
        assert reasons.missing[0].what.startswith("No trait moves a prediction: ")
    monkeypatch.setattr(api, "explain_pair", lambda *_: replace(found, contributions=()))
    lines = run(fitted, "explain", "d03", "d04").stdout.splitlines()
    assert lines[-1].startswith("No trait moves this prediction: ")
    assert len(lines) == 2


def test_a_predictor_of_another_release_names_the_command_that_fits_it(fitted: Path) -> None:
    with Warehouse.open(fitted) as warehouse:
        record = warehouse.predictor("default")
        old = json.dumps(json.loads(record.bundle) | {"schema": 1})
        warehouse.save_predictor(replace(record, bundle=old))
        warehouse.save_predictor(replace(record, bundle=old, name="mine", model="m", tier="probe"))
        warehouse.save_predictor(replace(record, bundle=old, name="length_shift"))
    for name, options in (
        ("default", "--matrix law"),
        ("mine", "--matrix law --model m --tier probe --name mine"),
        ("length_shift", "--matrix law --outcome length_shift"),
    ):
        refused = run(fitted, "predict", "d03", "d04", "--predictor", name)
        assert refused.exit_code == 2
        assert f"Fit a new one with: traitcast fit {options} --warehouse " in refused.stderr


def test_impact_in_python_is_that_of_the_command(fitted: Path) -> None:
    import traitcast

    found = traitcast.impact("d03", warehouse=fitted)
    shown = json.loads(run(fitted, "impact", "d03", "--format", "json").stdout)
    assert [one.as_row() for one in found] == shown


def test_results_are_stored_only_when_asked(fitted: Path) -> None:
    def stored(name: str) -> int:
        with Warehouse.open(fitted, read_only=True) as warehouse:
            return int(warehouse.query(f"SELECT count(*) AS n FROM {name}")["n"][0].as_py())

    run(fitted, "explain", "d03", "d04")
    assert (stored("predictions"), stored("attributions")) == (0, 0)
    result = run(fitted, "explain", "d03", "d04", "--save")
    assert "saved in" in result.stderr
    contributions = stored("attributions")
    assert contributions > 20
    run(fitted, "rank", "d04", "--top", "5", "--save")
    assert stored("predictions") in (5, 6)
    run(fitted, "explain", "d03", "d04", "--save")
    assert stored("attributions") == contributions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "d03"), "predict lacks a TARGET. What d03 does to all: traitcast impact d03"),
        (("predict", "d03", "nowhere"), "'nowhere' is neither profiled nor a file"),
        (("predict", "d03", "d03"), "source and target are both 'd03'"),
        (("predict", "d03", "d04", "--predictor", "defualt"), "did you mean 'default'?"),
        (("rank", "d04", "--sources", ","), "--sources ',' names no dataset"),
        (("rank", "d04", "--sources", "d04"), "no source is left to rank for 'd04'"),
        (("evaluate", "--matrix", "lwa"), "did you mean 'law'?"),
        (("evaluate", "--metric", "acuracy"), "has no metric 'acuracy'; did you mean 'accuracy'? It has: accuracy."),
        (
            ("evaluate", "--metric", "accuracy", "--outcome", "label_shift"),
            "--metric accuracy applies to gains, not to --outcome",
        ),
        (("fit", "--model", "llama"), "has no model 'llama'"),
        (("whatif", "d03", "d04", "--set", "label_entropy=1"), "Nearest: label_entropy_bits."),
        (("whatif", "d03", "d04", "--set", "label_entropy_bits"), "is not TRAIT=NUMBER"),
        (("whatif", "d03", "d04", "--set", "label_entropy_bits=nan"), "is not TRAIT=NUMBER"),
        (("whatif", "d03", "d04", "--set", "both:label_entropy_bits=1"), "target:TRAIT=NUMBER"),
        (("whatif", "d03", "d04", "--set", "prompt_lix=1", "--set", "source:prompt_lix=2"), "is set twice"),
        (("whatif", "d03", "d04", "--set", "prompt_lix=-1"), "prompt_lix=-1 is impossible: it ranges from 0 to ∞"),
        (("whatif", "d03", "d03", "--set", "prompt_lix=1"), "source and target are both 'd03'"),
        (("fit", "--tier", "probe"), "no probe is useful on the training datasets"),
    ],
)
def test_mistakes_exit_with_two_and_say_what_to_do(fitted: Path, arguments: tuple[str, ...], message: str) -> None:
    before = fitted.read_bytes()
    result = run(fitted, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    with Warehouse.open(fitted, read_only=True) as warehouse:
        assert warehouse.predictor().matrix == "law"
    assert len(before) == len(fitted.read_bytes())


def test_a_predictor_of_another_catalogue_version_is_refused(fitted: Path) -> None:
    with Warehouse.open(fitted) as warehouse:
        warehouse.sync_catalogue(warehouse.catalogue(), 2)
    for arguments in (("rank", "d04"), ("explain", "d03", "d04"), ("whatif", "d03", "d04", "--set", "prompt_lix=9")):
        result = run(fitted, *arguments)
        assert result.exit_code == 2
        assert "predictor 'default' was fitted on version 1 of the trait catalogue" in result.stderr
        assert "Fit it again with: traitcast fit --matrix law" in result.stderr
    assert run(fitted, "fit").exit_code == 0
    assert run(fitted, "rank", "d04").exit_code == 0


def with_scores(path: Path, name: str, rows: list[tuple[str, str, float]]) -> None:
    """One more matrix of untuned scores and these (source, target, score)."""
    targets = sorted({target for _, target, _ in rows})
    where = {"model": "m", "seed": 0, "metric": "accuracy", "n": 9, "standard_error": 0.01}
    every = [where | {"source": s, "target": t, "score": x} for s, t, x in [*((("", t, 0.5)) for t in targets), *rows]]
    with Warehouse.open(path) as warehouse:
        warehouse.save_scores(Matrix(name, "accuracy", "untuned", "made up"), pa.Table.from_pylist(every))


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("one", [(f"d{i:02d}", "d00", 0.5 + i / 100) for i in range(1, 9)], "has 8 sources and 1 targets"),
        ("flat", [(f"d{i:02d}", t, 0.5) for i in range(3, 9) for t in ("d00", "d01")], "every gain is 0 pp"),
        ("gone", [(f"x{i:02d}", t, 0.5 + i / 100) for i in range(6) for t in ("d00", "d01")], "Not profiled: x00, x01"),
    ],
)
def test_a_matrix_that_cannot_be_learnt_says_what_to_do_here(
    fitted: Path, name: str, rows: list[tuple[str, str, float]], message: str
) -> None:
    with_scores(fitted, name, rows)
    for command in ("fit", "evaluate"):
        result = run(fitted, command, "--matrix", name)
        assert result.exit_code == 2
        assert message in result.stderr
        assert f"--warehouse {fitted}" in result.stderr


def test_next_commands_name_the_warehouse(fitted: Path) -> None:
    for arguments in (
        ("whatif", "d03", "d04", "--set", "prompt_lixx=1"),
        ("predict", "d03", "d03"),
        ("rank", "d04", "--sources", "d04"),
        ("fit", "--tier", "probe"),
    ):
        result = run(fitted, *arguments)
        assert result.exit_code == 2
        assert f"--warehouse {fitted}" in result.stderr, result.stderr


def test_planted_variants_support_the_direction_from_the_warehouse_on(
    tmp_path: Path,
    world: ProfileSet,
    cells_of: Callable[..., Cells],
    warehouse_of: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Variants whose spec names parent and change, measured under a law in which entropy helps."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))
    profiles, renamed = world, {}
    parents = [f"d{number:02}" for number in range(8)]
    for parent in parents:
        profiles, made = set_traits(profiles, parent, {"label_entropy_bits": 2.9})
        renamed[made] = (f"{parent}_even", parent)
    names = tuple(renamed.get(name, (name, ""))[0] for name in profiles.traits.names)
    plain = {made: new for made, (new, _) in renamed.items()}
    grown = ProfileSet(
        replace(profiles.traits, names=names),
        {key: {plain.get(n, n): v for n, v in by.items()} for key, by in profiles.sketches.items()},
        {plain.get(n, n): counts for n, counts in profiles.label_counts.items()},
    )
    path = warehouse_of(tmp_path / "variants.duckdb", grown, cells_of(grown))
    with Warehouse.open(path) as warehouse:
        for new, parent in renamed.values():
            made_from = replace(warehouse.profile(new), parent=parent, changed="label_entropy_bits")
            warehouse.save_profile(made_from)
        assert len(warehouse.lineage()) == 8
    assert run(path, "fit").exit_code == 0
    entropy = grown.traits.values[:, 0]
    low = names[int(np.argmin(np.where(np.isin(names, parents), np.inf, entropy)))]
    result = run(path, "whatif", low, "d10", "--set", "label_entropy_bits=2.8", "--format", "json")
    assert result.exit_code == 0, result.output
    (change,) = json.loads(result.stdout)["changes"]
    assert change["effect"] > 0
    assert change["evidence"].startswith("direction supported: 8 interventions, +")
    ranked = run(path, "rank", "d10", "--format", "json")
    assert {row["source"] for row in json.loads(ranked.stdout)}.isdisjoint(new for new, _ in renamed.values())
    told = run(path, "rank", "d10").stderr
    assert "or are variants of another dataset: d00_even, d01_even" in told
    named = run(path, "rank", "d10", "--sources", "d00_even,d03", "--format", "json")
    assert len(json.loads(named.stdout)) == 2
    other = run(path, "whatif", low, "d10", "--set", "prompt_lix=30", "--format", "json")
    assert json.loads(other.stdout)["changes"][0]["evidence"] == "no intervention measured this: correlation only"


def test_without_a_predictor_fit_is_named(law_warehouse: Path) -> None:
    result = run(law_warehouse, "rank", "d04")
    assert result.exit_code == 2
    assert "Make one with: traitcast fit" in result.stderr


def test_the_commands_import_nothing_heavy() -> None:
    code = (
        "import sys, traitcast.predictor.cli\n"
        "print([m for m in ('numpy', 'duckdb', 'xgboost', 'sklearn', 'shap', 'pyarrow') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", [c.name for c in COMMANDS])
def test_every_help_has_examples(command: str) -> None:
    result = CliRunner().invoke(next(c for c in COMMANDS if c.name == command), ["--help"])
    assert f"traitcast {command}" in result.output


def test_replacing_the_shipped_predictor_is_said_with_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    first = run(path, "fit", "--matrix", "cross_task_icl")
    again = run(path, "fit", "--matrix", "cross_task_icl")
    if "default" not in shipped.names("predictors"):
        pytest.skip("no reference data is shipped here")
    assert "it replaces the shipped predictor 'default'" in first.stderr
    assert f"traitcast fit --restore --name default --warehouse {path}" in first.stderr
    assert "it replaces" not in again.stderr


@pytest.mark.parametrize(
    "arguments",
    [["predict", "sst2", "gsm8k"], ["rank", "gsm8k", "--sources", "sst2,trec"], ["explain", "sst2", "gsm8k"]],
)
def test_predictions_say_how_good_their_predictor_was_found_to_be(arguments: list[str], tmp_path: Path) -> None:
    result = run(tmp_path / "none.duckdb", *arguments)
    assert result.exit_code == 0, result.stderr
    with Warehouse.open(tmp_path / "none.duckdb", read_only=True) as warehouse:
        (stored,) = [e["result"] for e in warehouse.evaluations("smollm2_84") if e["protocol"] == "new-target"]
    value = stored["model"]["spearman"]["value"]
    told = f"For targets it has not seen, its ranking of sources has a Spearman correlation of {value:.2f} ["
    assert told in " ".join(result.stderr.split())


def test_scores_is_a_hidden_name_of_matrix(fitted: Path) -> None:
    for command in ("fit", "evaluate", "effects", "interventions", "latent", "report"):
        shown = CliRunner().invoke(next(c for c in COMMANDS if c.name == command), ["--help"]).output
        assert "--matrix NAME" in shown
        assert "--scores" not in shown
    assert run(fitted, "fit", "--scores", "lwa").stderr == run(fitted, "fit", "--matrix", "lwa").stderr


def test_an_evaluation_without_an_order_gives_no_quality(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the gate uses nothing for new sources, all predictions of a target are alike."""
    nothing = {"spearman": {"value": None, "low": None, "high": None}, "pairwise_accuracy": {"value": 0.5}}
    stored = [{"protocol": "new-source", "result": {"model": nothing}}]
    monkeypatch.setattr(api, "evaluations_of", lambda warehouse, predictor: stored)
    with Warehouse.open(fitted) as warehouse:
        warehouse.save_profile(replace(warehouse.profile("d03"), name="new", fingerprint="v1:new"))
    said = run(fitted, "rank", "d04", "--sources", "new")
    assert said.exit_code == 0, said.output
    assert "Spearman" not in said.stderr
    assert "(inside the fit; " in " ".join(said.stderr.split())


def test_parts_of_the_target_are_named_where_they_were_asked_for(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "parts_of", lambda warehouse, target, sources: ["d03"])
    said = " ".join(run(fitted, "rank", "d04", "--sources", "d03,d05").stderr.split())
    assert "d03: most prompts are also in 'd04', so a gain there is no sign of a useful source" in said


def test_fit_asks_for_a_matrix_where_none_is_ones_own(tmp_path: Path) -> None:
    result = run(tmp_path / "new.duckdb", "fit")
    assert result.exit_code == 2
    assert "no matrix here is your own" in result.stderr
    assert run(tmp_path / "new.duckdb", "fit", "--matrix", "nowhere").exit_code == 2
    assert not (tmp_path / "new.duckdb").exists()
    assert "--matrix: cross_task_icl, prompt_transferability, smollm2_84" in " ".join(result.stderr.split())
    assert "traitcast scores import FILE" in " ".join(result.stderr.split())
