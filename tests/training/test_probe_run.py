"""Probes: formulas over a cell, from a finished matrix, from a run over any dataset; the list needs no torch."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import entropy

torch = pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
pytest.importorskip("peft", reason="needs an extra: pip install 'traitcast[train]'")

import pyarrow as pa  # noqa: E402

import traitcast.cli  # noqa: E402
from traitcast.training import probe_run  # noqa: E402
from traitcast.training.plan.pack import Pack  # noqa: E402
from traitcast.training.plan.prompts import Row, Task  # noqa: E402
from traitcast.training.results import probes  # noqa: E402
from traitcast.training.results.cells import Cell  # noqa: E402
from traitcast.training.results.export import export, ingest  # noqa: E402
from traitcast.training.results.tables import model_name  # noqa: E402
from traitcast.training.run import run  # noqa: E402
from traitcast.warehouse.database.warehouse import Warehouse  # noqa: E402
from traitcast.warehouse.probes import PROBES  # noqa: E402

MOOD = Task("mood", "classification", "accuracy", labels=("bad", "good"))
SUMS = Task("sums", "generation", "numeric_match")
CHOICES = {"probe_gold_nll", "probe_option_entropy", "probe_predicted_majority_share", "probe_label_shift"}
TEXTS = {"probe_output_tokens_mean", "probe_length_ratio"}
BOTH = {"probe_score", "probe_response_nll"}


def cell(**measured: Any) -> Cell:
    return Cell("k", "tiny", "v1:a", "float32", None, -1, "mood", None, "cpu", **measured)


@pytest.fixture(scope="module")
def base_scored(plan_small: Callable[..., Pack], tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack whose base alone was scored."""
    pack = plan_small(tmp_path_factory.mktemp("base_scored") / "m")
    found = run(pack, base_only=True)
    assert (found.trained, found.scored) == (0, 3)
    return pack


def test_probes_of_options_by_hand() -> None:
    # Per character of "bad" and "good" the first option is likelier in all rows but the third.
    sums = [[-1.0, -3.0], [-2.0, -3.5], [-4.0, -1.0], [-1.0, -1.6]]
    made = cell(gold=[0, 1, 1, 1], loglikelihoods=sums, answer_tokens=[[1, 2]] * 4)
    rows = [Row(("x",), MOOD.labels[g], (), g) for g in (0, 1, 1, 1)]
    found = {m.metric: m for m in probes.probes_of(made, MOOD, rows)}
    assert set(found) == BOTH | CHOICES
    assert found["probe_score"].value == 0.5
    assert found["probe_response_nll"].value == pytest.approx(np.mean([1.0, 1.75, 0.5, 0.8]))
    shares = np.exp(sums) / np.exp(sums).sum(axis=1, keepdims=True)
    assert found["probe_gold_nll"].value == pytest.approx(-np.log(shares[range(4), [0, 1, 1, 1]]).mean())
    assert found["probe_option_entropy"].value == pytest.approx(np.mean(entropy(shares, axis=1)) / math.log(2))
    assert found["probe_predicted_majority_share"].value == 0.75
    assert found["probe_label_shift"].value == pytest.approx(0.5)
    assert found["probe_predicted_majority_share"].standard_error == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert all(m.n == 4 for m in found.values())


def test_probes_of_texts_by_hand() -> None:
    made = cell(
        outputs=["3", "a b", ""],
        exact_match=[1.0, 0.0, 0.0],
        numeric_match=[1.0, 0.0, 0.0],
        rouge_l=[1.0, 0.0, 0.0],
        output_tokens=[1, 2, 0],
        finished=[True, True, True],
        reference_nll=[2.0, 9.0, 4.0],
        reference_tokens=[1, 3, 4],
    )
    found = {m.metric: m for m in probes.probes_of(made, SUMS, [Row(("x",), "3")] * 3)}
    assert set(found) == BOTH | TEXTS
    assert found["probe_score"].value == pytest.approx(1 / 3)
    assert found["probe_response_nll"].value == pytest.approx((2 + 3 + 1) / 3)
    assert found["probe_output_tokens_mean"].value == 1.0
    assert found["probe_length_ratio"].value == pytest.approx(np.mean([np.log(2 / 2), np.log(3 / 4), np.log(1 / 5)]))


def test_what_is_undefined_is_left_out_and_no_zero() -> None:
    made = cell(gold=[0], loglikelihoods=[[math.nan, math.nan]], answer_tokens=[[1, 1]])
    found = {m.metric: m.value for m in probes.probes_of(made, MOOD, [Row(("x",), "bad", (), 0)])}
    assert all(math.isnan(found[name]) for name in ("probe_gold_nll", "probe_option_entropy", "probe_response_nll"))
    single = cell(gold=[0], loglikelihoods=[[-1.0]], answer_tokens=[[1]])
    alone = {m.metric: m.value for m in probes.probes_of(single, MOOD, [Row(("x",), "bad", (), 0)])}
    assert math.isnan(alone["probe_option_entropy"])


def test_every_probe_that_is_measured_is_in_the_list_and_in_its_range(base_scored: Pack) -> None:
    found = probes.table(base_scored).to_pylist()
    known = {d.trait: d for d in PROBES}
    assert {row["trait"] for row in found} == set(known)
    assert {row["dataset"] for row in found} == {"mood", "choice", "sums"}
    assert {row["dtype"] for row in found} == {"float32"}
    assert len({row["fingerprint"] for row in found}) == 1
    for row in found:
        d = known[row["trait"]]
        assert d.low is None or row["value"] >= d.low
        assert d.high is None or row["value"] <= d.high


def test_a_run_over_datasets_gives_what_the_matrix_gives(
    base_scored: Pack, datasets: dict[str, str], base_folder: Path
) -> None:
    wanted = probes.table(base_scored).to_pylist()
    # The pack cuts prompts at 100 tokens and answers at 12; the rows of these datasets are far below both but `sums`.
    made, read = probe_run.run([datasets["mood"], datasets["choice"]], str(base_folder), rows=6)
    assert [(p.name, p.split, p.rows) for p in read] == [("mood", "test", 6), ("choice", "test", 6)]
    by_key = {(row["dataset"], row["trait"]): row["value"] for row in wanted}
    for row in made.to_pylist():
        assert row["value"] == pytest.approx(by_key[row["dataset"], row["trait"]], abs=1e-5)


def test_a_dataset_without_a_held_out_split_is_probed_on_the_one_it_has(tmp_path: Path, base_folder: Path) -> None:
    lines = [json.dumps({"text": f"the film {i}", "label": ("good", "bad")[i % 2]}) for i in range(30)]
    (tmp_path / "one.jsonl").write_text("\n".join(lines))
    made, (read,) = probe_run.run([str(tmp_path / "one.jsonl")], str(base_folder), rows=5, names=["mine"])
    assert read.rows == 5
    assert set(made["dataset"].to_pylist()) == {"mine"}
    assert set(made["n"].to_pylist()) == {5}


@pytest.fixture
def empty_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))
    return tmp_path / "w.duckdb"


def test_ingest_keeps_the_probes_of_a_matrix(base_scored: Pack, tmp_path: Path, empty_reference: Path) -> None:
    assert ingest(base_scored, empty_reference, name="tiny", by_row=False)["probes"] == 2 * 6 + 4
    export(base_scored, tmp_path / "tables", "tables")
    other = tmp_path / "other.duckdb"
    ingest(base_scored, other, name="tiny", tables=tmp_path / "tables", by_row=False)
    query = "SELECT * FROM probes ORDER BY ALL"
    with Warehouse.open(empty_reference) as one, Warehouse.open(other) as two:
        assert one.query(query).equals(two.query(query))
        (fingerprint,) = one.probe_fingerprints(model_name(base_scored), matrix="tiny")
        assert fingerprint.startswith("v1:")
    (tmp_path / "tables" / "probes.parquet").unlink()
    third = tmp_path / "third.duckdb"
    assert "probes" not in ingest(base_scored, third, tables=tmp_path / "tables", by_row=False)


def test_the_command_profiles_probes_and_stores(
    datasets: dict[str, str], base_folder: Path, empty_reference: Path
) -> None:
    arguments = ["probe", datasets["mood"], "--base", str(base_folder), "--rows", "4", "--format", "json"]
    result = CliRunner().invoke(traitcast.cli.cli, [*arguments, "--warehouse", str(empty_reference)])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert {row["trait"] for row in rows} == BOTH | CHOICES
    assert {row["dataset"] for row in rows} == {"mood"}
    with Warehouse.open(empty_reference, read_only=True) as warehouse:
        base, fingerprint = rows[0]["base"], rows[0]["fingerprint"]
        assert warehouse.probe_fingerprints(base) == [fingerprint]
        stored = warehouse.probes(base, fingerprint)["mood"]
    assert stored == {row["trait"]: pytest.approx(row["value"]) for row in rows}
    again = CliRunner().invoke(
        traitcast.cli.cli, ["probe", "mood", *arguments[2:], "--warehouse", str(empty_reference)]
    )
    assert json.loads(again.stdout) == rows, "a profiled name is read from where it was profiled"
    half = CliRunner().invoke(
        traitcast.cli.cli, [*arguments, "--dtype", "bfloat16", "--warehouse", str(empty_reference)]
    )
    assert half.exit_code == 0, half.output
    with Warehouse.open(empty_reference, read_only=True) as warehouse:
        kept = warehouse.query("SELECT DISTINCT dtype, fingerprint FROM probes WHERE dataset = 'mood'")
    assert [tuple(row.values()) for row in kept.to_pylist()] == [("bfloat16", fingerprint)]


def test_what_the_command_refuses(empty_reference: Path, datasets: dict[str, str], base_folder: Path) -> None:
    def probe(*arguments: str) -> Any:
        return CliRunner().invoke(traitcast.cli.cli, ["probe", *arguments, "--warehouse", str(empty_reference)])

    twice = probe(datasets["mood"], datasets["mood"], "--base", str(base_folder))
    assert (twice.exit_code, "'mood' is given twice" in twice.stderr) == (2, True)
    assert probe(datasets["mood"], "--base", "nowhere").exit_code == 2
    assert "nor a hub id" in probe(datasets["mood"], "--base", "nowhere").stderr
    assert probe("absent_dataset", "--base", str(base_folder)).exit_code == 2
    with Warehouse.open(empty_reference) as warehouse:
        shipped = warehouse.profile("mood")
        details = {key: value for key, value in shipped.details.items() if key != "origin"}
        warehouse.save_profile(replace(shipped, details=details))
    gone = probe("mood", "--base", str(base_folder))
    assert (gone.exit_code, "are not here, only its profile" in gone.stderr) == (2, True)
    assert f"--warehouse {empty_reference}" in gone.stderr


def test_replace_forgets_other_weights(empty_reference: Path) -> None:
    def rows(fingerprint: str, dataset: str, value: float) -> pa.Table:
        row = {"base": "b", "fingerprint": fingerprint, "dtype": "float32", "dataset": dataset, "trait": "probe_score"}
        return pa.Table.from_pylist([row | {"value": value, "standard_error": 0.1, "n": 4}])

    with Warehouse.open(empty_reference) as warehouse:
        warehouse.save_probes(rows("one", "x", 0.1))
        warehouse.save_probes(rows("one", "y", 0.2))
        warehouse.save_probes(rows("one", "x", 0.3))
        warehouse.save_probes(rows("two", "x", 0.4))
        assert warehouse.probe_fingerprints("b") == ["one", "two"]
        assert warehouse.probes("b", "one") == {"x": {"probe_score": 0.3}, "y": {"probe_score": 0.2}}
        warehouse.save_probes(rows("two", "x", 0.5), replace=True)
        assert warehouse.probe_fingerprints("b") == ["two"]
        assert warehouse.probes("b", "two") == {"x": {"probe_score": 0.5}}


def test_the_list_of_probes_needs_no_torch() -> None:
    code = "import sys, traitcast.predictor.api, traitcast.warehouse.probes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
