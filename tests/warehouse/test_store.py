"""The warehouse file: what goes in comes out, and nothing else can happen to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import DEFINITIONS, make_profile
from warehouse import schema
from warehouse.errors import NotProfiledError, ScoresError, UserError, WarehouseError
from warehouse.records import Matrix, PredictorRecord, Profile
from warehouse.store import Warehouse


def score_rows(*rows: tuple[str, str, str, int, float]) -> pa.Table:
    model, source, target, seed, score = zip(*rows, strict=True)
    return pa.table(
        {
            "model": model,
            "source": source,
            "target": target,
            "seed": pa.array(seed, pa.int64()),
            "metric": ["accuracy"] * len(rows),
            "score": score,
            "n": pa.array([100] * len(rows), pa.int64()),
            "standard_error": [0.03] * len(rows),
        }
    )


TOY = Matrix("toy", "accuracy", "untuned", "made by hand")
TOY_ROWS = score_rows(
    ("m", "", "reviews", 0, 0.50),
    ("m", "", "maths", 0, 0.10),
    ("m", "topics", "reviews", 0, 0.60),
    ("m", "topics", "reviews", 1, 0.64),
    ("m", "topics", "maths", 0, 0.05),
    ("m", "reviews", "reviews", 0, 0.90),
)


def test_profile_comes_back_as_it_went_in(warehouse_path: Path, profiles: tuple[Profile, ...]) -> None:
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        for expected in profiles:
            found = warehouse.profile(expected.name)
            assert found.traits == expected.traits
            assert found.label_counts == expected.label_counts
            assert found.length_histograms == expected.length_histograms
            assert found.details == expected.details
            assert (found.fingerprint, found.family, found.rows) == (expected.fingerprint, "toy", 100)
            np.testing.assert_array_equal(found.sketches[0].vector, expected.sketches[0].vector)


def test_profiles_view_has_a_column_per_trait_and_null_for_undefined(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        rows = warehouse.query("SELECT * FROM profiles").to_pylist()
    assert list(rows[0]) == ["name", "fingerprint", "task_type", "rows", *(d.trait for d in DEFINITIONS)]
    assert [row["name"] for row in rows] == ["maths", "reviews", "topics"]
    assert rows[0]["label_class_count"] is None
    assert rows[1]["label_majority_share"] == 0.6


def test_saving_again_replaces_and_leaves_no_stale_rows(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_profile(make_profile("topics", (1.0, 1.0, 5.0, None, None)))
        assert warehouse.label_counts().keys() == {"reviews"}
        assert warehouse.query("SELECT count(*) AS n FROM traits WHERE dataset = 'topics'").to_pylist() == [{"n": 5}]
        assert warehouse.dataset_names() == ["maths", "reviews", "topics"]


def test_a_failed_save_changes_nothing(warehouse_path: Path) -> None:
    bad = make_profile("reviews", (1.0, 1.0, 5.0, None, None), (("x", None),))  # type: ignore[arg-type]
    with Warehouse.open(warehouse_path) as warehouse:
        with pytest.raises(duckdb.Error):
            warehouse.save_profile(bad)
        assert warehouse.profile("reviews").label_counts == (("good", 60), ("bad", 40))


def test_traits_outside_the_catalogue_are_refused(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.sync_catalogue(DEFINITIONS[:2], 2)
        with pytest.raises(ValueError, match="prompt_words_mean"):
            warehouse.save_profile(make_profile("x", (1.0, 1.0, 5.0, None, None)))


def test_trait_matrix_holds_nan_for_undefined(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        matrix = warehouse.trait_matrix(["reviews", "maths"])
    expected = [[2.0, 0.6, 20.0, 1.0, 1.0], [np.nan, np.nan, 45.0, 50.0, 70.0]]
    np.testing.assert_array_equal(matrix.values, expected)
    assert matrix.traits[0] == "label_class_count"
    assert matrix.families == ("toy", "toy")


def test_unknown_dataset_names_the_nearest(warehouse_path: Path) -> None:
    with (
        Warehouse.open(warehouse_path, read_only=True) as warehouse,
        pytest.raises(
            NotProfiledError, match=r"'review'.*did you mean 'reviews'.*traitcast profile DATASET --name review"
        ),
    ):
        warehouse.profile("review")


def test_gain_is_measured_against_the_untuned_base(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(TOY, TOY_ROWS)
        cells = warehouse.cells("toy")
        matrix = warehouse.query("SELECT * FROM transfer_matrix ORDER BY source, target").to_pylist()
    gains = dict(zip(zip(cells.sources, cells.targets, cells.seeds.tolist(), strict=True), cells.gain, strict=True))
    assert gains[("topics", "reviews", 0)] == pytest.approx(10.0)
    assert gains[("topics", "maths", 0)] == pytest.approx(-5.0)
    assert gains[("reviews", "reviews", 0)] == pytest.approx(40.0)
    assert cells.standard_error == pytest.approx(np.full(4, 100 * np.hypot(0.03, 0.03)))
    assert list(matrix[0]) == ["model", "source", "target", "gain", "standard_error", "seeds", "matrix"]
    mean = next(row for row in matrix if row["source"] == "topics" and row["target"] == "reviews")
    assert (mean["gain"], mean["seeds"]) == (pytest.approx(12.0), 2)
    assert mean["standard_error"] == pytest.approx(np.std([10, 14], ddof=1) / np.sqrt(2))


def test_gain_against_the_target_mean_leaves_out_the_diagonal(warehouse_path: Path) -> None:
    rows = score_rows(("m", "a", "t", 0, 0.2), ("m", "b", "t", 0, 0.4), ("m", "t", "t", 0, 0.9))
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(Matrix("soft", "accuracy", "target mean", ""), rows)
        cells = warehouse.cells("soft")
    assert dict(zip(cells.sources, cells.gain.round(6), strict=True)) == {"a": -10.0, "b": 10.0, "t": 60.0}
    assert np.isnan(cells.standard_error).all()


def test_importing_twice_changes_nothing(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(TOY, TOY_ROWS)
        before = warehouse.query("SELECT * FROM scores ORDER BY ALL").to_pylist()
        warehouse.save_scores(TOY, TOY_ROWS)
        assert warehouse.query("SELECT * FROM scores ORDER BY ALL").to_pylist() == before
        warehouse.save_scores(TOY, score_rows(("m", "topics", "maths", 0, 0.07)))
        after = warehouse.query("SELECT score FROM scores WHERE source = 'topics' AND target = 'maths'").to_pylist()
    assert after == [{"score": 0.07}]


def test_side_effects_compare_labels_and_lengths_with_the_base(warehouse_path: Path) -> None:
    def rows(**columns: list[object]) -> pa.Table:
        size = len(next(iter(columns.values())))
        return pa.table({"model": ["m"] * size, "target": ["reviews"] * size, "seed": [0] * size, **columns})

    labels = rows(
        source=["", "", "topics", "topics"],
        gold=["good", "bad", "good", "bad"],
        predicted=["good", "bad", "good", "good"],
        n=[50, 50, 80, 20],
    )
    lengths = rows(source=["", "topics"], n=[10, 10], tokens_mean=[5.0, 12.5])
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(TOY, TOY_ROWS, {"predicted_labels": labels, "generations": lengths})
        found = warehouse.query("SELECT source, target, label_shift, length_shift FROM side_effects").to_pylist()
        # Half of the base's answers were "bad", none of the tuned model's: total variation 0.5.
        assert found == [{"source": "topics", "target": "reviews", "label_shift": 0.5, "length_shift": 7.5}]


def test_an_old_file_is_upgraded_and_keeps_its_rows(tmp_path: Path) -> None:
    old = tmp_path / "old.duckdb"
    with duckdb.connect(str(old)) as connection:
        connection.execute("CREATE TABLE traitcast_meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)")
        connection.execute("INSERT INTO traitcast_meta VALUES ('schema_version', '1')")
        schema.MIGRATIONS[0](connection)
        connection.execute(
            "INSERT INTO datasets VALUES ('x', 'v1:x', 'generation', 1, " + "NULL, " * 6 + "false, NULL)"
        )
        schema.rebuild_profiles_view(connection)
    with pytest.raises(WarehouseError, match="schema version 1, older than"):
        Warehouse.open(old, read_only=True)
    with Warehouse.open(old) as warehouse:
        assert warehouse.find("x") == "x"
        warehouse.query("SELECT * FROM side_effects")


def test_matrix_and_model_are_chosen_or_asked_for(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        with pytest.raises(ScoresError, match="no scores.*traitcast scores import FILE"):
            warehouse.cells()
        warehouse.save_scores(TOY, TOY_ROWS)
        assert warehouse.cells().matrix == TOY
        with pytest.raises(ScoresError, match="no scores named 'tony'; did you mean 'toy'"):
            warehouse.cells("tony")
        with pytest.raises(ScoresError, match="has no model 'x'.*It has: m"):
            warehouse.cells("toy", model="x")
        warehouse.save_scores(Matrix("other", "accuracy", "untuned", ""), TOY_ROWS)
        with pytest.raises(ScoresError, match="several score sets: other, toy.*--scores NAME"):
            warehouse.cells()


def test_predictor_round_trip(warehouse_path: Path) -> None:
    record = PredictorRecord("default", "toy", None, "static", "f", '{"a": 1}')
    with Warehouse.open(warehouse_path) as warehouse:
        with pytest.raises(UserError, match="no predictor named 'default'.*traitcast fit"):
            warehouse.predictor()
        warehouse.save_predictor(record)
        assert warehouse.predictor() == record


def test_predictions_merge_and_attributions_are_replaced(warehouse_path: Path) -> None:
    prediction = {"source": "a", "target": "b", "gain": 1.0, "low": 0.0, "high": 2.0, "harm": 0.1, "novel": False}
    reason = {"source": "a", "target": "b", "trait": "t", "side": "source", "family": "f", "value": None, "shap": 0.5}
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_predictions("default", [prediction], [reason, {**reason, "trait": "u"}])
        warehouse.save_predictions("default", [{**prediction, "gain": 3.0}], [reason])
        assert warehouse.query("SELECT gain FROM predictions").to_pylist() == [{"gain": 3.0}]
        assert warehouse.query("SELECT trait FROM attributions").to_pylist() == [{"trait": "t"}]


def test_missing_file_read_only_gives_reference_data_and_touches_no_disk(tmp_path: Path) -> None:
    path = tmp_path / "none.duckdb"
    with Warehouse.open(path, read_only=True) as warehouse:
        warehouse.query("SELECT * FROM transfer")
    assert list(tmp_path.iterdir()) == []


def test_files_are_made_for_older_readers(warehouse_path: Path) -> None:
    with duckdb.connect(str(warehouse_path), read_only=True) as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()[0][0]
    assert tags["storage_version"].startswith(schema.STORAGE_VERSION)


def test_foreign_newer_and_broken_files_are_refused(tmp_path: Path, warehouse_path: Path) -> None:
    foreign = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(foreign)) as connection:
        connection.execute("CREATE TABLE cats (name VARCHAR)")
    bytes_before = foreign.read_bytes()
    with pytest.raises(WarehouseError, match=r"not a traitcast warehouse \(it holds cats\).*--warehouse"):
        Warehouse.open(foreign)
    assert foreign.read_bytes() == bytes_before

    with duckdb.connect(str(warehouse_path)) as connection:
        connection.execute("UPDATE traitcast_meta SET value = '999' WHERE key = 'schema_version'")
    for read_only in (True, False):
        with pytest.raises(WarehouseError, match="schema version 999.*pip install --upgrade traitcast"):
            Warehouse.open(warehouse_path, read_only=read_only)

    text = tmp_path / "text.duckdb"
    text.write_text("not a database")
    with pytest.raises(WarehouseError, match="not a valid DuckDB database"):
        Warehouse.open(text)
    assert text.read_text() == "not a database"

    with pytest.raises(WarehouseError, match="folder .* does not exist"):
        Warehouse.open(tmp_path / "no" / "such.duckdb")


def test_busy_file_waits_and_then_says_who(warehouse_path: Path) -> None:
    hold = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(warehouse_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(WarehouseError, match=rf"in use by another process \(process {holder.pid}\); waited 0.2 s"):
            Warehouse.open(warehouse_path, wait_s=0.2)
    finally:
        holder.communicate("")
    with Warehouse.open(warehouse_path, wait_s=5) as warehouse:
        assert warehouse.find("reviews")


def test_no_table_has_an_index(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        assert warehouse.query("SELECT * FROM duckdb_indexes()").num_rows == 0
        tables = {row["name"] for row in warehouse.query("SHOW TABLES").to_pylist()}
    assert set(schema.NATURAL_KEYS) <= tables


def test_a_matrix_of_the_user_takes_the_place_of_a_shipped_one(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(TOY, TOY_ROWS)
        warehouse._connection.execute("UPDATE matrices SET reference = true")
        warehouse.save_scores(TOY, score_rows(("m", "", "maths", 0, 0.5), ("m", "topics", "maths", 0, 0.6)))
        assert len(warehouse.cells("toy").gain) == 1


def test_a_cell_measured_again_loses_its_old_predicted_labels(warehouse_path: Path) -> None:
    def labels(gold: list[str], predicted: list[str]) -> pa.Table:
        return pa.table(
            {
                "model": ["m", "m"],
                "source": ["topics"] * 2,
                "target": ["reviews"] * 2,
                "seed": [0, 0],
                "gold": gold,
                "predicted": predicted,
                "n": [5, 5],
            }
        )

    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(TOY, TOY_ROWS, {"predicted_labels": labels(["A", "B"], ["A", "A"])})
        warehouse.save_scores(TOY, TOY_ROWS, {"predicted_labels": labels(["A", "B"], ["B", "B"])})
        found = warehouse.query("SELECT predicted, sum(n)::INT AS n FROM predicted_labels GROUP BY 1").to_pylist()
    assert found == [{"predicted": "B", "n": 10}]


def test_two_processes_may_make_the_same_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))
    path = tmp_path / "new.duckdb"
    code = "import sys; from warehouse.store import Warehouse; Warehouse.open(sys.argv[1]).close()"
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 3
    assert list(tmp_path.iterdir()) == [path]


def test_settings_and_files_that_cannot_work(warehouse_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WarehouseError, match="in memory is gone"):
        Warehouse.open(":memory:")
    monkeypatch.setenv("TRAITCAST_WAIT", "abc")
    with pytest.raises(WarehouseError, match="TRAITCAST_WAIT is 'abc'"):
        Warehouse.open(warehouse_path)


@pytest.mark.parametrize(
    ("file", "advice"),
    [
        (
            "pets.jsonl",
            r"There is pets\.jsonl here: profile it with: traitcast profile pets\.jsonl --warehouse .*\.duckdb$",
        ),
        ("pets.csv.gz", r"There is pets\.csv\.gz here"),
        ("pets/train.jsonl", r"There is pets here: profile it with: traitcast profile pets --warehouse"),
        ("pets.txt", r"Profile it with: traitcast profile DATASET --name pets --warehouse"),
    ],
)
def test_data_that_lies_there_is_suggested(
    warehouse_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, advice: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("{}")
    with Warehouse.open(warehouse_path, read_only=True) as warehouse, pytest.raises(NotProfiledError, match=advice):
        warehouse.profile("pets")
