"""The warehouse's commands, as a user runs them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import traitcast
from tests.conftest import make_profile
from warehouse.errors import UserError
from warehouse.records import PredictorRecord
from warehouse.store import Warehouse


@pytest.fixture
def run(warehouse_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(warehouse_path))

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(traitcast.cli, list(arguments), catch_exceptions=False)

    return invoke


def test_datasets(run) -> None:
    result = run("datasets", "--format", "json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["name"] for row in rows] == ["maths", "reviews", "topics"]
    assert rows[1] == {
        "name": "reviews",
        "task_type": "classification",
        "family": "toy",
        "language": None,
        "rows": 100,
        "classes": 2.0,
        "majority": 0.6,
        "prompt_words": 20.0,
        "response_words": 1.0,
        "reference": False,
        "fingerprint": "v1:reviews",
        "catalogue_version": None,
    }
    assert run("datasets").stdout.splitlines()[0].split()[:3] == ["name", "task_type", "family"]


def test_show(run) -> None:
    found = json.loads(run("show", "reviews", "--format", "json").stdout)
    assert found["label_counts"] == {"good": 60, "bad": 40}
    assert found["traits"][1]["trait"] == "label_majority_share"
    assert found["traits"][1]["value"] == 0.6
    text = run("show", "reviews", "--family", "class_balance").stdout
    assert "labels: good 60 (60%), bad 40 (40%)" in text
    assert "prompt_words_mean" not in text


def test_compare_puts_the_largest_difference_first(run) -> None:
    rows = json.loads(run("compare", "reviews", "maths", "--format", "json").stdout)
    assert {row["trait"] for row in rows} == {"prompt_words_mean", "response_words_mean", "response_tokens_mean"}
    assert rows[0]["trait"] == "prompt_words_mean"
    # reviews 20, maths 45, spread over (20, 40, 45): sd 13.229
    assert rows[0]["standardised_difference"] == pytest.approx(-25 / 13.2287566)
    assert (rows[0]["first"], rows[0]["second"]) == (20.0, 45.0)
    heading = run("compare", "reviews", "maths").stdout.splitlines()[0]
    assert heading.split() == ["trait", "reviews", "maths", "standardised_difference", "unit", "family"]


def test_compare_with_a_dataset_named_like_a_column(run, warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_profile(make_profile("unit", (2.0, 0.5, 30.0, 2.0, 2.0)))
    row = json.loads(run("compare", "unit", "reviews", "--format", "json").stdout)[0]
    assert isinstance(row["first"], float)
    assert row["unit"] in ("words", "tokens", "share", "classes")


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_sql_output_files(run, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"out.{suffix}"
    result = run("sql", "SELECT name, label_class_count FROM profiles ORDER BY name", "--output", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    readers = {
        "csv": lambda: list(csv.DictReader(file.read_text().splitlines())),
        "json": lambda: json.loads(file.read_text()),
        "jsonl": lambda: [json.loads(line) for line in file.read_text().splitlines()],
        "parquet": lambda: pq.read_table(file).to_pylist(),
    }
    rows = readers[suffix]()
    assert [row["name"] for row in rows] == ["maths", "reviews", "topics"]
    assert rows[0]["label_class_count"] in (None, "")


def test_sql_on_stdout(run) -> None:
    query = "SELECT name, label_class_count AS k FROM profiles ORDER BY name"
    assert run("sql", query, "--format", "csv").stdout == "name,k\nmaths,\nreviews,2.0\ntopics,4.0\n"
    assert run("sql", query, "--format", "jsonl").stdout.splitlines()[0] == '{"name": "maths", "k": null}'
    assert run("sql", query).stdout.splitlines()[2:] == ["maths", "reviews  2", "topics   4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "revews"), "did you mean 'reviews'?"),
        (("show", "REVIEWS"), "did you mean 'reviews'?"),
        (("show", "no such"), "Profile it with: traitcast profile DATASET"),
        (("show", "x" * 5000), "no profile of 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' in"),
        (("show", "reviews", "--family", "class_balanc"), "did you mean 'class_balance'?"),
        (("compare", "reviews", "nothing"), "no profile of 'nothing'"),
        (("sql", "DELETE FROM traits"), "DELETE is not allowed"),
        (("sql", "SELECT 1", "--output", "x.xlsx"), "--output ends in one of .csv, .json, .jsonl, .parquet"),
        (("scores", "import", "nothing.csv"), "no file nothing.csv"),
    ],
)
def test_mistakes_exit_2_with_one_message(run, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr


@pytest.mark.parametrize("name", ["x\ny", "a b", "-x", "\u202e"])
def test_no_command_takes_a_name_that_is_none(run, tmp_path: Path, warehouse_path: Path, name: str) -> None:
    file = tmp_path / "results.csv"
    file.write_text("model,source,target,score\nm,,reviews,0.5\nm,topics,reviews,0.6\nm,maths,reviews,0.4\n")
    before = warehouse_path.read_bytes()
    result = run("scores", "import", str(file), f"--name={name}")
    assert (result.exit_code, "score set name" in result.stderr) == (2, True)
    assert warehouse_path.read_bytes() == before
    with Warehouse.open(warehouse_path) as warehouse:
        with pytest.raises(UserError, match="dataset name .* is not allowed"):
            warehouse.save_profile(make_profile(name, (1.0,) * 5))
        with pytest.raises(UserError, match="predictor name .* is not allowed"):
            warehouse.save_predictor(PredictorRecord(name, "m", None, "static", "f", "{}"))
        with pytest.raises(UserError, match=r"is not in Unicode form NFKC. Write it as 'film'"):
            warehouse.save_profile(make_profile("\ufb01lm", (1.0,) * 5))
        assert warehouse.dataset_names() == ["maths", "reviews", "topics"]


def test_import_scores_says_what_it_did(run, tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text("model,source,target,score\nm,,reviews,0.5\nm,topics,reviews,0.6\nm,other,reviews,0.4\n")
    result = run("scores", "import", str(file), "--format", "json")
    assert json.loads(result.stdout) == [
        {
            "matrix": "results",
            "rows": 3,
            "left_out": 0,
            "models": 1,
            "sources": 2,
            "targets": 1,
            "metric": "accuracy",
            "base": "untuned",
            "not_profiled": ["other"],
        }
    ]
    assert "traitcast fit --scores results" in result.stderr
    gains = json.loads(run("sql", "SELECT source, gain FROM transfer ORDER BY 1", "--format", "json").stdout)
    assert [(row["source"], round(row["gain"], 6)) for row in gains] == [("other", -10.0), ("topics", 10.0)]


def test_a_missing_warehouse_is_said(run, tmp_path: Path) -> None:
    missing = str(tmp_path / "typo.duckdb")
    assert f"there is no {missing} yet" in run("datasets", "--warehouse", missing).stderr
    assert "yet" not in run("datasets").stderr


def test_no_room_for_the_output_is_one_message(run) -> None:
    code = "import sys, traitcast; sys.argv = ['traitcast', 'datasets']; traitcast.main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: cannot write (No space left on device). Make room on the disk, then run this again.\n"


def test_a_full_pipe_is_no_failure(run, warehouse_path: Path) -> None:
    command = f"{sys.executable} -m traitcast sql 'SELECT * FROM range(200000)' --format csv | head -2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == "range\n0\n"
    assert done.stderr == ""
