"""The warehouse file: what goes in comes out, and nothing else can happen to it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import DEFINITIONS, create, make_profile, migrate
from traitcast.warehouse.database import schema
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import NotProfiledError, ScoresError, UserError, WarehouseError
from traitcast.warehouse.records import LatentRecord, Matrix, PredictorRecord, Profile

DATA = Path(__file__).parents[2] / "data"


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
        pytest.raises(NotProfiledError, match=r"'review'.*; did you mean 'reviews'\? See what is there .*") as caught,
    ):
        warehouse.profile("review")
    assert "traitcast datasets" in str(caught.value)
    assert "traitcast profile" not in str(caught.value), "that a new one can be made is for a name like no other"


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
    assert list(matrix[0]) == ["model", "source", "target", "gain", "standard_error", "seeds", "matrix", "unit"]
    assert {row["unit"] for row in matrix} == {"pp"}
    mean = next(row for row in matrix if row["source"] == "topics" and row["target"] == "reviews")
    assert (mean["gain"], mean["seeds"]) == (pytest.approx(12.0), 2)
    # Without results on single rows: the errors of both scores over 100 rows and two that say nothing, and over seeds.
    rows = [(99 * 100 * 0.03**2 + 100 * p * p + 1) / 102 - ((100 * p + 1) / 102) ** 2 for p in (0.60, 0.64, 0.50)]
    variance = (np.mean(rows[:2]) + rows[2]) / 102 + np.var([0.10, 0.14], ddof=1) / 2
    assert mean["standard_error"] == pytest.approx(100 * np.sqrt(variance))


def test_a_loss_that_falls_is_a_gain_in_cnat(warehouse_path: Path) -> None:
    rows = TOY_ROWS.set_column(4, "metric", pa.array(["gold_nll"] * len(TOY_ROWS)))
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(replace(TOY, metric="gold_nll"), rows)
        right = "SELECT bool_and(gain = -100 * (score - base_score)), any_value(unit) FROM transfer"
        assert list(warehouse.query(right).to_pylist()[0].values()) == [True, "cnat"]
        (cell,) = warehouse.query("FROM transfer_matrix WHERE source = 'reviews' AND target = 'reviews'").to_pylist()
        assert (cell["gain"], cell["unit"]) == (pytest.approx(-40.0), "cnat")
        assert warehouse.cells("toy").gain.min() == pytest.approx(-40.0)


def row_results(matrix: str, cells: dict[tuple[str, int], list[int]]) -> tuple[Matrix, pa.Table, dict[str, pa.Table]]:
    """A matrix on target "t" made of right (1) and wrong (0) answers, (source, seed) -> one per row."""
    where = [{"model": "m", "source": source, "target": "t", "seed": seed} for source, seed in cells]
    scores = [
        {
            **place,
            "metric": "score",
            "score": float(np.mean(rows)),
            "n": len(rows),
            "standard_error": float(np.std(rows, ddof=1) / np.sqrt(len(rows))),
        }
        for place, rows in zip(where, cells.values(), strict=True)
    ]
    kinds = pa.schema([(name, pa.string()) for name in ("model", "source", "target")] + [("seed", pa.int64())])
    kinds = kinds.append(pa.field("score", pa.list_(pa.float32())))
    rows = [{**place, "score": [float(x) for x in rows]} for place, rows in zip(where, cells.values(), strict=True)]
    return Matrix(matrix, "score", "untuned", ""), pa.Table.from_pylist(scores), {
        "row_scores": pa.Table.from_pylist(rows, schema=kinds)
    }  # fmt: skip


def test_a_gain_that_no_row_and_no_seed_contradicts_has_an_error(warehouse_path: Path) -> None:
    """48 wrong answers turn right with both seeds: a gain of 100 pp with a standard error of 0 would be certain."""
    cells = {("", 0): [0] * 48, ("s", 0): [1] * 48, ("s", 1): [1] * 48, ("idle", 0): [0] * 48}
    matrix, scores, beside = row_results("sure", cells)
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(matrix, scores, beside)
        warehouse.save_scores(replace(matrix, matrix="bare"), scores)
        found = {
            (row["matrix"], row["source"]): row
            for row in warehouse.query("FROM transfer_matrix WHERE matrix IN ('sure', 'bare')").to_pylist()
        }
    assert {key: row["gain"] for key, row in found.items() if key[1] == "s"} == {("sure", "s"): 100, ("bare", "s"): 100}
    paired = 100 * np.sqrt((49 / 50 - (48 / 50) ** 2) / 50)
    assert found["sure", "s"]["standard_error"] == pytest.approx(paired) == pytest.approx(3.4, abs=0.05)
    # Agresti & Caffo: each of the two proportions with one more success and one more failure.
    share = 49 / 50
    unpaired = 100 * np.sqrt(2 * share * (1 - share) / 50)
    assert found["bare", "s"]["standard_error"] == pytest.approx(unpaired) == pytest.approx(2.8, abs=0.05)
    assert found["sure", "idle"]["standard_error"] == pytest.approx(100 * np.sqrt(1 / 50 / 50))


def test_the_error_of_a_mean_gain_is_over_rows_and_seeds(warehouse_path: Path) -> None:
    rng = np.random.default_rng(4)
    base = rng.integers(0, 2, 60)
    tuned = [np.where(rng.random(60) < 0.7, base, 1 - base) for _ in range(3)]
    matrix, scores, beside = row_results("m", {("", 0): base, **{("s", at): rows for at, rows in enumerate(tuned)}})
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(matrix, scores, beside)
        (found,) = warehouse.query("FROM transfer_matrix WHERE matrix = 'm'").to_pylist()
        only = {"row_scores": beside["row_scores"].slice(0, 3)}
        warehouse.save_scores(replace(matrix, matrix="partly"), scores, only)
        (partly,) = warehouse.query("FROM transfer_matrix WHERE matrix = 'partly'").to_pylist()
    changes = np.array(tuned) - base
    by_row = changes.mean(axis=0)
    rows = (((by_row**2).sum() + 1) / 62 - (by_row.sum() / 62) ** 2) / 62
    assert found["standard_error"] == pytest.approx(
        100 * np.sqrt(rows + changes.mean(axis=1).var(ddof=1) / 3), rel=1e-5
    )
    assert (found["gain"], found["seeds"]) == (pytest.approx(100 * changes.mean()), 3)
    assert partly["standard_error"] > found["standard_error"], "rows of two seeds of three are not those of the mean"


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
        _as_shipped(connection, 1)
        connection.execute(
            "INSERT INTO datasets VALUES ('x', 'v1:x', 'generation', 1, " + "NULL, " * 6 + "false, NULL)"
        )
        schema.rebuild_profiles_view(connection)
    with pytest.raises(WarehouseError, match="schema version 1, older than"):
        Warehouse.open(old, read_only=True)
    with Warehouse.open(old) as warehouse:
        assert warehouse.find("x") == "x"
        warehouse.query("SELECT * FROM side_effects")


def _as_shipped(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """A file of an early schema, by the statements that made such files, which no later change of the code reaches."""
    connection.execute("CREATE TABLE traitcast_meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)")
    connection.execute("INSERT INTO traitcast_meta VALUES ('schema_version', ?)", [str(version)])
    for step in range(1, version + 1):
        connection.execute((DATA / f"schema_{step}.sql").read_text(encoding="utf-8"))


@pytest.mark.parametrize("version", [1, 2])
def test_an_upgraded_file_has_the_tables_and_views_of_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))
    quick = schema.migrate, Warehouse._create
    monkeypatch.setattr(schema, "migrate", migrate)
    monkeypatch.setattr(Warehouse, "_create", create)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{tmp_path / 'old.duckdb'}' AS old (STORAGE_VERSION '{schema.STORAGE_VERSION}')")
        connection.execute("USE old")
        _as_shipped(connection, version)
        connection.execute("INSERT INTO matrices VALUES ('u', 'score', 'untuned', '', false)")
        for source, seed, error in (("", 0, 0.1), ("", 1, None), ("a", 0, 0.1)):
            cell = ["u", "m", source, "t", seed, "score", 0.5, 100, error]
            connection.execute("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", cell)

    def shape(name: str) -> dict[str, list[tuple[str, ...]]]:
        Warehouse.open(tmp_path / name).close()  # upgrades, or makes; DuckDB words views anew when it reads a file
        with Warehouse.open(tmp_path / name, read_only=True) as warehouse:
            queries = {
                "views": "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal AND view_name <> 'profiles'",
                "columns": "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
                "WHERE NOT internal ORDER BY table_name, column_index",
            }
            return {
                what: sorted(tuple(map(str, row.values())) for row in warehouse.query(sql).to_pylist())
                for what, sql in queries.items()
            }

    assert shape("old.duckdb") == shape("new.duckdb")
    # DuckDB words a view anew each time that it prints one.
    for name, made in (("again", create), ("copy", quick[1])):
        monkeypatch.setattr(schema, "migrate", quick[0])
        monkeypatch.setattr(Warehouse, "_create", made)
        assert shape(f"{name}.duckdb")["columns"] == shape("new.duckdb")["columns"], "the short cut makes another file"
    with Warehouse.open(tmp_path / "old.duckdb", read_only=True) as warehouse:
        (cell,) = warehouse.query("SELECT gain, standard_error FROM transfer").to_pylist()
    assert cell == {"gain": 0.0, "standard_error": None}, "the error of one of two bases is not known"


def test_a_file_with_the_views_of_schema_9_is_upgraded() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE traitcast_meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)")
        connection.execute("INSERT INTO traitcast_meta VALUES ('schema_version', '9')")
        connection.execute((DATA / "schema_9.sql").read_text(encoding="utf-8"))
        schema.migrate(connection, 9)
        for view in ("transfer", "transfer_matrix"):
            assert connection.sql(f"FROM {view}").columns[-1] == "unit"


def test_nothing_is_lost_when_shipped_rows_get_tables_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))
    names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'"

    def content(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
        return {
            name: sorted(json.dumps(row, default=str, sort_keys=True) for row in rows)
            for (name,) in connection.execute(names).fetchall()
            if name not in ("traitcast_meta", "inputs", "profiles")
            for rows in [connection.sql(f"FROM {name}").to_arrow_table().to_pylist()]
        }

    path = tmp_path / "old.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE traitcast_meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)")
        connection.execute("INSERT INTO traitcast_meta VALUES ('schema_version', '8')")
        connection.execute((DATA / "schema_8.sql").read_text(encoding="utf-8"))
        before = content(connection)
        assert set(schema.NATURAL_KEYS) - before.keys() == {"findings"}
        assert all(before.values()), "a table without rows would prove nothing"
        schema.migrate(connection, 8)
        # Schema 10 gave a view another standard error, schema 11 brought a table, schema 12 units and two columns.
        after, new = content(connection), {"outcome": "gain", "metric": None}
        evaluations = [json.dumps(json.loads(row) | new, sort_keys=True) for row in before["evaluations"]]
        gains = [json.dumps(json.loads(row) | {"unit": "pp"}, sort_keys=True) for row in before["transfer"]]
        kept = {"transfer_matrix": after["transfer_matrix"], "transfer": sorted(gains)}
        assert after == {**before, **kept, "findings": [], "evaluations": sorted(evaluations)}
    # No package ships `public`, `published` and `default`: they go, with all that was found on them.
    with Warehouse.open(path) as warehouse:
        assert warehouse.dataset_names() == ["mine"]
        assert [m.matrix for m in warehouse.matrices()] == ["own"]
        assert warehouse.probes("base", "v1:b") == {"mine": {"probe_score": 0.4}}
        assert warehouse.query("SELECT predictor FROM predictions").to_pylist() == [{"predictor": "mine"}]
        assert len(warehouse.latent("own", "m").factors) == 1
        # `public` took part in them, and its profile is gone.
        assert warehouse.evaluations("own") == []
        assert warehouse.latent("own", "m").traits == ()


def test_matrix_and_model_are_chosen_or_asked_for(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        with pytest.raises(ScoresError, match="no scores.*traitcast scores import FILE"):
            warehouse.cells()
        warehouse.save_scores(TOY, TOY_ROWS)
        assert warehouse.cells().matrix == TOY
        with pytest.raises(ScoresError, match="no matrix named 'tony'; did you mean 'toy'"):
            warehouse.cells("tony")
        with pytest.raises(ScoresError, match="has no model 'x'.*It has: m"):
            warehouse.cells("toy", model="x")
        warehouse.save_scores(Matrix("other", "accuracy", "untuned", ""), TOY_ROWS)
        with pytest.raises(ScoresError, match="one matrix at a time, not 'toy, other'. Choose one with --matrix NAME"):
            warehouse.cells("toy, other")
        with pytest.raises(ScoresError, match="several matrices: other, toy.*--matrix NAME"):
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
    with pytest.raises(WarehouseError, match="is not a DuckDB file, .* Restore a copy"):
        Warehouse.open(text)
    assert text.read_text() == "not a database"

    # DuckDB would open these as databases of its own.
    for name, content in (
        ("a.csv", "text,label\na,b\n"),
        ("a.jsonl", '{"text": "a"}\n'),
        ("a.sqlite", "SQLite format 3"),
    ):
        data = tmp_path / name
        data.write_text(content)
        for read_only in (True, False):
            with pytest.raises(WarehouseError, match=rf"{name} is not a DuckDB file, .* traitcast profile \S+{name}"):
                Warehouse.open(data, read_only=read_only)
        assert data.read_text() == content

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
        for table in ("matrices", "scores"):
            warehouse._connection.execute(f"INSERT INTO {schema.SHIPPED}.{table} FROM {schema.OWN}.{table}")
            warehouse._connection.execute(f"DELETE FROM {schema.OWN}.{table}")
        assert warehouse.shipped("matrices") == ["toy"]
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


def _beside(cells: list[tuple[str, str, int]]) -> dict[str, pa.Table]:
    """Predicted labels, lengths and row results of cells (source, target, seed) of model m."""
    where: dict[str, list[Any]] = {"model": ["m"] * len(cells)}
    where |= {name: [cell[at] for cell in cells] for at, name in enumerate(("source", "target", "seed"))}
    n = len(cells)
    return {
        "predicted_labels": pa.table({**where, "gold": ["A"] * n, "predicted": ["A"] * n, "n": [2] * n}),
        "generations": pa.table({**where, "n": [2] * n, "tokens_mean": [3.0] * n}),
        "row_scores": pa.table({**where, "score": [[1.0, 0.0]] * n}),
    }


def _targets(**fingerprints: str) -> pa.Table:
    n = len(fingerprints)
    about: dict[str, list[Any]] = {"target": list(fingerprints), "fingerprint": list(fingerprints.values())}
    about |= {"task_type": ["classification"] * n, "metric": ["accuracy"] * n, "rows": [2] * n, "labels": [["A"]] * n}
    return pa.table(about)


def test_new_scores_of_a_cell_take_all_that_was_beside_the_old(warehouse_path: Path) -> None:
    cells = [("", "reviews", 0), ("topics", "reviews", 0), ("topics", "reviews", 1)]
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(TOY, TOY_ROWS, _beside(cells))
        warehouse.save_scores(TOY, score_rows(("m", "topics", "reviews", 1, 0.7)))
        left = {
            table: warehouse.query(f"SELECT source, target, seed FROM {table} ORDER BY ALL").to_pylist()
            for table in ("predicted_labels", "generations", "row_scores")
        }
        expected = [{"source": s, "target": "reviews", "seed": 0} for s in ("", "topics")]
        assert all(rows == expected for rows in left.values()), left
        warehouse.save_scores(TOY, TOY_ROWS, _beside(cells[2:]))
        assert {(r.source, r.seed) for r in warehouse.row_results("toy", "m")} == {("topics", 1)}


def test_imported_scores_do_not_take_the_place_of_measured_ones(warehouse_path: Path) -> None:
    cells = [("", "reviews", 0), ("topics", "reviews", 0)]
    base, new = score_rows(("m", "", "reviews", 0, 0.2)), score_rows(("m", "maths", "reviews", 0, 0.2))
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(TOY, TOY_ROWS, _beside(cells))
        warehouse.save_scores(Matrix("bare", "accuracy", "untuned", ""), TOY_ROWS)
        message = r"'toy' was measured here, and these scores would replace 1 cell \(of the untuned model\).*"
        with pytest.raises(ScoresError, match=message + r"import FILE --name NAME.*scores drop toy"):
            warehouse.check_import("toy", base)
        warehouse.check_import("toy", new)
        warehouse.check_import("bare", base)
        warehouse.check_import("never seen", base)


def test_dropped_scores_take_all_that_is_theirs(warehouse_path: Path) -> None:
    cells = [("", "reviews", 0), ("topics", "reviews", 0)]
    every = [table for table, keys in schema.NATURAL_KEYS.items() if keys[0] == "matrix"]
    probe = {"base": "m", "fingerprint": "v1:a", "dtype": "float32", "dataset": "reviews", "trait": "probe_score"}
    probes = pa.Table.from_pylist([probe | {"value": 0.5, "standard_error": 0.1, "n": 2}])
    traits = pa.table({"target": ["reviews"], "trait": ["t"], "value": pa.array([[1.0, 2.0]], pa.list_(pa.float32()))})
    adapters = pa.table({"model": ["m"], "source": ["topics"], "seed": [0], "adapter": ["lora"]})
    lineage = pa.table({"dataset": ["topics"], "parent": ["reviews"], "changed": ["half dataset_rows"]})
    beside = {**_beside(cells), "targets": _targets(reviews="f1"), "row_traits": traits, "lineage": lineage}

    def held(warehouse: Warehouse, matrix: str) -> dict[str, int]:
        counted = {t: f"SELECT count(*) AS n FROM {t} WHERE matrix = '{matrix}'" for t in every}
        return {table: warehouse.query(sql).to_pylist()[0]["n"] for table, sql in counted.items()}

    with Warehouse.open(warehouse_path) as warehouse:
        for name in ("toy", "other"):
            matrix = replace(TOY, matrix=name)
            warehouse.save_scores(matrix, TOY_ROWS, beside | {"adapters": adapters, "probes": probes})
            warehouse.save_evaluation(EVALUATION | {"matrix": name})
            warehouse.save_latent(replace(LATENT, matrix=name))
        warehouse.save_predictor(PredictorRecord("kept", "toy", None, "static", "v1:x", "{}"))
        before = held(warehouse, "other")
        assert min(before.values()) > 0, "every table of a matrix has rows"
        with pytest.raises(ScoresError, match=r"no matrix named 'tyo'; did you mean 'toy'\? There are: other, toy\."):
            warehouse.drop_scores(["other", "tyo"])
        assert held(warehouse, "other") == before, "all of them or none"
        assert warehouse.drop_scores(["toy"]) == ["kept"]
        assert set(held(warehouse, "toy").values()) == {0}
        assert held(warehouse, "other") == before
        assert [m.matrix for m in warehouse.matrices()] == ["other"]
        assert warehouse.predictor("kept").matrix == "toy"


def test_cells_on_other_test_rows_are_not_mixed(warehouse_path: Path) -> None:
    cells = [("", "reviews", 0), ("topics", "reviews", 0), ("topics", "reviews", 1), ("reviews", "reviews", 0)]
    first, other = _targets(reviews="f1", maths="g1"), _targets(reviews="f2")
    table = "SELECT * FROM scores WHERE matrix = 'toy' ORDER BY ALL"
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(TOY, TOY_ROWS, {**_beside(cells), "targets": first})
        before = warehouse.query(table)
        part = score_rows(("m", "", "reviews", 0, 0.2), ("m", "topics", "reviews", 0, 0.3))
        message = r"'toy' was measured on other test rows of reviews, and 2 cells of it \(of reviews, topics\).*--name"
        with pytest.raises(ScoresError, match=message):
            warehouse.save_scores(TOY, part, {"targets": other})
        assert warehouse.query(table).equals(before), "nothing is half done"
        assert warehouse.targets("toy")["reviews"].fingerprint == "f1"
        warehouse.save_scores(Matrix("second", "accuracy", "untuned", ""), part, {"targets": other})
        warehouse.save_scores(TOY, TOY_ROWS, {"targets": other})
        assert warehouse.targets("toy")["reviews"].fingerprint == "f2"
        assert warehouse.row_results("toy", "m") == []


def _probe(dataset: str, value: float, fingerprint: str = "W1") -> pa.Table:
    row = {"base": "m", "fingerprint": fingerprint, "dtype": "float32", "dataset": dataset, "trait": "probe_score"}
    return pa.Table.from_pylist([{**row, "value": value, "standard_error": 0.01, "n": 10}])


def test_a_matrix_has_its_own_probes_first_and_of_one_set_of_weights(warehouse_path: Path) -> None:
    def named(name: str) -> Matrix:
        return Matrix(name, "accuracy", "untuned", "")

    def found(matrix: str = "", fingerprint: str = "W1") -> dict[str, float]:
        with Warehouse.open(warehouse_path, read_only=True) as warehouse:
            return {d: p["probe_score"] for d, p in warehouse.probes("m", fingerprint, matrix=matrix).items()}

    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(named("late"), TOY_ROWS, {"probes": _probe("reviews", 0.9)})
        warehouse.save_scores(named("early"), TOY_ROWS, {"probes": _probe("reviews", 0.1)})
    assert (found("late"), found("early")) == ({"reviews": 0.9}, {"reviews": 0.1})
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_probes(_probe("reviews", 0.5))
    assert (found(), found("late"), found("third")) == ({"reviews": 0.5}, {"reviews": 0.9}, {"reviews": 0.5})
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(named("late"), TOY_ROWS, {"probes": _probe("reviews", 0.8, "W2")})
        assert warehouse.probe_fingerprints("m", matrix="late") == ["W2"]
        assert warehouse.probe_fingerprints("m") == ["W1", "W2"]
    assert found("late", "W2") == {"reviews": 0.8}


EVALUATION = {"matrix": "toy", "protocol": "new-source", "cells": 3, "targets": 2} | {
    "model": {"spearman": {"value": 0.5}, "rmse": {"value": 1.0}}
}
LATENT = LatentRecord(
    "toy",
    "m",
    "pca",
    {"centre": "target", "unit": "pp", "sources": 2, "targets": 2, "measured": 3, "filled": 1, "factors": 1}
    | {"parallel_factors": 1, "cross_validated_factors": 1, "seed": 0},
    ({"factor": 1, "stable": True},),
    ({"factor": 1, "side": "source", "dataset": "maths", "score": 1.0},),
    (
        {"factor": 1, "side": "source", "trait": "prompt_words_mean", "family": "generation_length"}
        | {"spearman": 0.9, "n": 5, "families": 5, "p": 0.01, "q": 0.02},
    ),
)


def test_a_profile_with_other_values_takes_what_was_found_with_the_old(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(TOY, TOY_ROWS)
        warehouse.save_evaluation(EVALUATION)
        warehouse.save_latent(LATENT)

        def kept() -> tuple[int, int]:
            return len(warehouse.evaluations("toy")), len(warehouse.latent("toy", "m").traits)

        maths = warehouse.profile("maths")
        warehouse.save_profile(maths)
        warehouse.save_profile(make_profile("elsewhere", (1.0, 1.0, 5.0, None, None)))
        assert kept() == (1, 1), "the same again, and a dataset that the matrix does not name"
        changed = tuple(replace(t, value=1.5) if t.trait == "prompt_words_mean" else t for t in maths.traits)
        warehouse.save_profile(replace(maths, traits=changed))
        assert kept() == (0, 0)


def test_two_processes_may_make_the_same_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))
    path = tmp_path / "new.duckdb"
    code = (
        "import sys; from traitcast.warehouse.database.warehouse import Warehouse; Warehouse.open(sys.argv[1]).close()"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[3], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 3
    assert list(tmp_path.iterdir()) == [path]


def test_settings_and_files_that_cannot_work(warehouse_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WarehouseError, match="in memory would be lost"):
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


def test_a_file_is_taken_for_its_profile_or_for_data(
    warehouse_path: Path, profiles: tuple[Profile, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("toy.jsonl", "new.csv"):
        (tmp_path / name).write_text("{}")
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_profile(replace(profiles[0], name="toy"))
        with pytest.raises(NotProfiledError, match=r"'toy\.jsonl' in .*; did you mean 'toy'\? See what is there"):
            warehouse.profile("toy.jsonl")
        with pytest.raises(NotProfiledError, match=r"There is new\.csv here: .*traitcast profile new\.csv"):
            warehouse.profile("new.csv")
        with pytest.raises(NotProfiledError, match="no profile of 'x{40}"):
            warehouse.profile("x" * 5000)


def test_a_file_that_this_process_writes_is_waited_for(warehouse_path: Path) -> None:
    with (
        Warehouse.open(warehouse_path),
        pytest.raises(WarehouseError, match="in use by another part of this process; waited 0.1 s"),
    ):
        Warehouse.open(warehouse_path, read_only=True, wait_s=0.1)
    writer = Warehouse.open(warehouse_path)
    closing = threading.Timer(0.1, writer.close)
    closing.start()
    with Warehouse.open(warehouse_path, read_only=True, wait_s=5) as warehouse:
        assert warehouse.dataset_names()
    closing.join()
