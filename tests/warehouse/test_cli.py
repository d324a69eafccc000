"""The warehouse's commands, as a user runs them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import traitcast.cli
from tests.conftest import make_profile
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import FoundRows, PredictorRecord


@pytest.fixture
def run(warehouse_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(warehouse_path))

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(traitcast.cli.cli, list(arguments), catch_exceptions=False)

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
        "classes": 2,
        "majority": 0.6,
        "prompt_words": 20.0,
        "response_words": 1.0,
        "reference": False,
        "fingerprint": "v1:reviews",
        "catalogue_version": None,
    }
    assert '"classes": 2,' in result.stdout  # a count, not 2.0
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
    text = run("compare", "reviews", "maths").stdout
    assert text.startswith("reviews: classification, 100 rows")
    assert "maths: generation, " in text
    assert text.index("\nTexts ") < text.index("standardised_")
    heading = next(line for line in text.splitlines() if line.startswith("trait"))
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
    assert (result.exit_code, "matrix name" in result.stderr) == (2, True)
    assert warehouse_path.read_bytes() == before
    with Warehouse.open(warehouse_path) as warehouse:
        with pytest.raises(UserError, match="dataset name .* is not allowed"):
            warehouse.save_profile(make_profile(name, (1.0,) * 5))
        with pytest.raises(UserError, match="predictor name .* is not allowed"):
            warehouse.save_predictor(PredictorRecord(name, "m", None, "static", "f", "{}"))
        with pytest.raises(UserError, match=r"is not in Unicode normal form NFKC. Write it as 'film'"):
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
    assert "traitcast fit --matrix results" in result.stderr
    gains = json.loads(run("sql", "SELECT source, gain FROM transfer ORDER BY 1", "--format", "json").stdout)
    assert [(row["source"], round(row["gain"], 6)) for row in gains] == [("other", -10.0), ("topics", 10.0)]


def test_rows_of_an_earlier_import_are_said_to_stay(run, tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text("model,source,target,score\nm,,reviews,0.5\nm,tpoics,reviews,0.6\n")
    assert "earlier imports" not in run("scores", "import", str(file)).stderr
    assert "earlier imports" not in run("scores", "import", str(file)).stderr
    file.write_text("model,source,target,score\nm,,reviews,0.5\nm,topics,reviews,0.6\n")
    told = run("scores", "import", str(file)).stderr
    assert "kept in 'results' from earlier imports: 1 row. To start afresh: traitcast scores drop results" in told


def test_a_missing_warehouse_is_said(run, tmp_path: Path) -> None:
    missing = str(tmp_path / "typo.duckdb")
    assert f"{missing} does not exist yet" in run("datasets", "--warehouse", missing).stderr
    assert "yet" not in run("datasets").stderr


def test_no_room_for_the_output_is_one_message(run) -> None:
    code = "import sys, traitcast.cli; sys.argv = ['traitcast', 'datasets']; traitcast.cli.main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: cannot write (No space left on device). Make room on the disk, then run this again.\n"


def test_a_full_pipe_is_no_failure(run, warehouse_path: Path) -> None:
    command = f"{sys.executable} -m traitcast sql 'SELECT * FROM range(200000)' --format csv | head -2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == "range\n0\n"
    assert done.stderr == ""


def test_datasets_as_csv_and_lines(run) -> None:
    rows = list(csv.DictReader(run("datasets", "--format", "csv").stdout.splitlines()))
    assert [(row["name"], row["classes"], row["reference"]) for row in rows] == [
        ("maths", "", "False"),
        ("reviews", "2", "False"),
        ("topics", "4", "False"),
    ]
    lines = run("datasets", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == json.loads(run("datasets", "--format", "json").stdout)


def test_a_dataset_is_not_compared_with_itself(run) -> None:
    result = run("compare", "reviews", "reviews")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == ("Error: 'reviews' is one dataset; give two to compare. Show it: traitcast show reviews\n")


def test_show_says_why_a_standard_error_is_missing(run, warehouse_path: Path) -> None:
    profile = make_profile("sampled", (2.0, 0.6, 20.0, 1.0, 3.0), (("a", 60), ("b", 40)))
    traits = tuple(replace(t, standard_error=None) for t in profile.traits)
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_profile(replace(profile, traits=traits, details={"sample_rows": 50}))
        warehouse.save_profile(replace(profile, name="whole", traits=traits, details={"sample_rows": 100}))
    said = run("show", "sampled", "--traits").stderr
    assert said == (
        "Without a standard error: 4 traits counted over all 100 rows (exact), and 1 of the sample for which no simple "
        "formula exists\n"
    )
    assert (
        run("show", "whole", "--traits").stderr
        == "Without a standard error: 5 traits counted over all 100 rows (exact)\n"
    )
    assert run("show", "reviews", "--traits").stderr == ""


def test_show_fits_a_screen_and_names_the_findings(run, warehouse_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    message = "3 rows (3.0 %) have the prompt of another row but another label"
    profile = make_profile("faulty", (2.0, 0.6, 20.0, 1.0, 3.0), (("a", 60), ("b", 40)))
    found = FoundRows("conflicting_labels", "label", "error", 3, 100, message, (1, 5, 9))
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_profile(replace(profile, findings=(found,)))
        assert warehouse.profile("faulty").findings == (found,)
    shown = run("show", "faulty")
    assert "Findings (1 error):" in shown.stdout
    assert f"ERROR conflicting_labels: {message}" in " ".join(shown.stdout.split())
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert shown.stderr.endswith("All 5 traits: traitcast show faulty --traits\n")
    assert json.loads(run("show", "faulty", "--format", "json").stdout)["findings"][0]["rows"] == [1, 5, 9]
    rows = json.loads(run("sql", "SELECT dataset, unnest(rows) AS row FROM findings", "--format", "json").stdout)
    assert [row["row"] for row in rows] == [1, 5, 9]
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_profile(profile)
        assert warehouse.profile("faulty").findings == ()


def test_next_commands_carry_the_warehouse(run, warehouse_path: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("TRAITCAST_WAREHOUSE")
    given = ("--warehouse", str(warehouse_path))
    assert f"Show one: traitcast show NAME --warehouse {warehouse_path}." in run("datasets", *given).stderr
    file = tmp_path / "results.csv"
    file.write_text("model,source,target,score\nm,,reviews,0.5\nm,topics,reviews,0.6\n")
    said = run("scores", "import", str(file), *given).stderr
    assert f"Next: traitcast fit --matrix results --warehouse {warehouse_path}" in said
    assert f"traitcast datasets --warehouse {warehouse_path}\n" in run("show", "revews", *given).stderr
    missing = ("--warehouse", "not there.duckdb")
    assert "traitcast datasets --warehouse 'not there.duckdb'." in run("show", "revews", *missing).stderr
    assert "traitcast sql 'SHOW TABLES' --warehouse 'not there.duckdb'" in run("sql", "FROM no", *missing).stderr
    assert f"traitcast sql 'SHOW TABLES' --warehouse {warehouse_path}" in run("sql", "FROM nothing", *given).stderr


def test_import_says_what_is_left_out_and_why(run, tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text(
        "model,source,target,metric,score,kind\n"
        "m,,reviews,accuracy,0.5,same\n"
        "m,topics,reviews,accuracy,0.6,same\n"
        "m,reviews,reviews,accuracy,0.7,same\n"
        "m,topics,maths,accuracy,0.7,same\n"
        "m,topcs,reviews,accuracy,0.4,same\n"
        "m,topics,reviews,f1,0.4,same\n"
        "m,maths,reviews,accuracy,0.4,other\n"
        "m,maths,reviews,accuracy,0.3,third\n"
    )
    (tmp_path / "recipe.yaml").write_text("where: {kind: same}\nmetric: accuracy\n")
    result = run("scores", "import", str(file), "--spec", str(tmp_path / "recipe.yaml"), "--format", "json")
    assert json.loads(result.stdout)[0]["left_out"] == 2
    assert result.stderr.splitlines() == [
        "2 rows left out by `where`: kind is not one of same",
        "1 row of other metrics than accuracy (f1 1): stored, not fitted",
        "1 diagonal row (source = target): stored and reported apart, not fitted",
        "1 row without a gain until the base model m (an empty source) has a score by accuracy on maths",
        "`fit` leaves out the cells of 1 name without a profile: topcs (did you mean 'topics'?)",
        "Next: traitcast fit --matrix results",
    ]


def test_scores_drop(run, tmp_path: Path, warehouse_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text("model,source,target,score\nm,,reviews,0.5\nm,topics,reviews,0.6\n")
    for name in ("first", "second", "third"):
        assert run("scores", "import", str(file), "--name", name).exit_code == 0
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_predictor(PredictorRecord("mine", "first", None, "static", "v1:x", "{}"))
    result = run("scores", "drop", "first", "second", "first", "--format", "json")
    assert [row["matrix"] for row in json.loads(result.stdout)] == ["third"]
    assert result.stderr.splitlines() == [
        "first: dropped, with everything found on it",
        "second: dropped, with everything found on it",
        "fitted to what was dropped, and kept: 1 predictor (mine)",
    ]
    again = run("scores", "drop", "first")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "no matrix named 'first'" in again.stderr
    assert run("scores", "drop", "third").exit_code == 0


def test_import_refuses_to_take_the_place_of_measured_cells(run, tmp_path: Path, warehouse_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text("model,source,target,score\nm,,reviews,0.5\nm,topics,reviews,0.6\n")
    assert run("scores", "import", str(file)).exit_code == 0
    with Warehouse.open(warehouse_path) as warehouse:
        (matrix,) = warehouse.matrices()
        rows = {"model": ["m"] * 2, "source": ["", "topics"], "target": ["reviews"] * 2, "seed": [0] * 2}
        scores = pa.table(rows | {"metric": ["accuracy"] * 2, "score": [0.5, 0.6]})
        answers = pa.table(rows | {"score": [[1.0, 0.0], [1.0, 1.0]]})
        warehouse.save_scores(matrix, scores, {"row_scores": answers})
    before = warehouse_path.read_bytes()
    result = run("scores", "import", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        "'results' was measured here, and these scores would replace 2 cells (of the untuned model, topics)"
        in result.stderr
    )
    assert "traitcast scores import FILE --name NAME" in result.stderr
    assert warehouse_path.read_bytes() == before
    with Warehouse.open(warehouse_path) as warehouse:
        assert len(warehouse.row_results("results", "m")) == 2
    assert run("scores", "import", str(file), "--name", "other").exit_code == 0


def test_import_names_every_bad_row_and_name_at_once(run, tmp_path: Path, warehouse_path: Path) -> None:
    file = tmp_path / "results.csv"
    bad = "".join(f"m,topics,reviews,{i},9{i}\n" for i in range(8))
    file.write_text(f"model,source,target,seed,score\nm,,reviews,0,0.5\nm,revews,reviews,0,0.6\n{bad}")
    before = warehouse_path.read_bytes()
    result = run("scores", "import", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    first, more, names = result.stderr.splitlines()
    assert "row 3: score 90 is outside 0..1" in first
    assert more == "7 more rows cannot be used either: 4, 5, 6, 7, 8 and 2 more"
    assert names == "Without a profile: revews (did you mean 'reviews'?)."
    assert warehouse_path.read_bytes() == before


def test_bad_scores_make_no_warehouse(run, tmp_path: Path) -> None:
    missing = tmp_path / "new.duckdb"
    assert run("scores", "import", "nothing.csv", "--warehouse", str(missing)).exit_code == 2
    assert not missing.exists()


def test_ctrl_c_in_a_real_command(run, warehouse_path: Path) -> None:
    # The signal comes two seconds into the query, however long the start takes: by then DuckDB no longer looks for it.
    code = """
import os, signal, sys, threading
import traitcast.cli
from traitcast.warehouse.database.warehouse import Warehouse

query = Warehouse.query

def interrupted(*arguments, **options):
    threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT)).start()
    return query(*arguments, **options)

Warehouse.query = interrupted
sys.argv = ["traitcast", "sql", "SELECT sum(a.range + b.range) FROM range(900000) a, range(900000) b"]
traitcast.cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "Stopped. Finished work is kept, and nothing is half written.\n"
