"""Queries of the user: every type comes out right, nothing but reading goes in."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import traitcast.cli
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import QueryError


def sql(folder: Path, query: str, *arguments: str) -> Result:
    missing = str(folder / "missing.duckdb")
    return CliRunner().invoke(
        traitcast.cli.cli, ["sql", query, "--warehouse", missing, *arguments], catch_exceptions=False
    )


@pytest.fixture(autouse=True)
def no_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))


UUID = "4ac7a9e9-607c-4c8a-84f3-843f0191e3fd"
# expression, in JSON, in CSV, in Parquet
VALUES: list[tuple[str, Any, str, Any]] = [
    ("DATE '10000-01-01'", "10000-01-01", "10000-01-01", pa.scalar(2932897, pa.int32()).cast(pa.date32())),
    ("TIMESTAMP 'infinity'", "infinity", "infinity", pa.scalar(2**63 - 1, pa.timestamp("us"))),
    ("TIMESTAMP '290000-01-01'", "290000-01-01 00:00:00", "290000-01-01 00:00:00", None),
    ("TIME '24:00:00'", "24:00:00", "24:00:00", "24:00:00"),
    ("TIMETZ '10:00:00+02'", "10:00:00+02", "10:00:00+02", "10:00:00+02"),
    ("INTERVAL '1 month 2 days'", "1 month 2 days", "1 month 2 days", "1 month 2 days"),
    ("(2::HUGEINT ** 100)::HUGEINT", 2**100, str(2**100), Decimal(2**100)),
    ("340282366920938463463374607431768211455::UHUGEINT", str(2**128 - 1), str(2**128 - 1), str(2**128 - 1)),
    ("18446744073709551615::UBIGINT", 2**64 - 1, str(2**64 - 1), 2**64 - 1),
    ("0.0000000001::DECIMAL(38, 10)", 1e-10, "0.0000000001", Decimal("1E-10")),
    ("'NaN'::DOUBLE", None, "nan", None),
    ("'x'::ENUM('x', 'y')", "x", "x", "x"),
    ("'\\xAA\\x00'::BLOB", "\\xAA\\x00", "\\xAA\\x00", b"\xaa\x00"),
    ("'101'::BIT", "101", "101", "101"),
    ("MAP {'a': 1}", {"a": 1}, '{"a": 1}', [("a", 1)]),
    ("MAP {[1]: 1}", {"[1]": 1}, '{"[1]": 1}', [([1], 1)]),
    ("union_value(num := 2)", "2", "2", "2"),
    ("[1, NULL]::INTEGER[2]", [1, None], "[1, null]", [1, None]),
    (
        "{'a b': [DATE 'infinity'], 'm': MAP {DATE '2020-01-01': INTERVAL '1 day'}}",
        {"a b": ["infinity"], "m": {"2020-01-01": "1 day"}},
        '{"a b": ["infinity"], "m": {"2020-01-01": "1 day"}}',
        None,
    ),
    (f"'{UUID}'::UUID", UUID, UUID, UUID),
]


@pytest.mark.parametrize(("expression", "in_json", "in_csv", "in_parquet"), VALUES, ids=[v[0] for v in VALUES])
def test_every_type_comes_out(tmp_path: Path, expression: str, in_json: Any, in_csv: str, in_parquet: Any) -> None:
    query = f"SELECT {expression} AS v, 1 AS one"
    assert json.loads(sql(tmp_path, query, "--format", "json").stdout) == [{"v": in_json, "one": 1}]
    assert json.loads(sql(tmp_path, query, "--format", "jsonl").stdout) == {"v": in_json, "one": 1}
    assert list(csv.reader(sql(tmp_path, query, "--format", "csv").stdout.splitlines()))[1] == [in_csv, "1"]
    assert sql(tmp_path, query).exit_code == 0
    file = tmp_path / "out.parquet"
    assert sql(tmp_path, query, "--output", str(file)).exit_code == 0
    found = pq.read_table(file)["v"][0]
    if isinstance(in_parquet, pa.Scalar):
        assert found == in_parquet
    elif in_parquet is not None:
        assert found.as_py() == in_parquet


@pytest.mark.parametrize("output", ["table", "csv", "json", "jsonl", "parquet"])
def test_all_types_that_duckdb_has(tmp_path: Path, output: str) -> None:
    file = tmp_path / "out.parquet"
    arguments = ("--output", str(file)) if output == "parquet" else ("--format", output)
    result = sql(tmp_path, "SELECT * FROM test_all_types()", *arguments)
    if output == "parquet" and int(pa.__version__.split(".")[0]) < 25:
        assert result.exit_code == 2
        assert "CAST the column to VARCHAR" in result.stderr
        return
    assert (result.exit_code, result.stderr.startswith("Error")) == (0, False)
    assert sorted(path.name for path in tmp_path.iterdir()) == (["out.parquet"] if output == "parquet" else [])


def test_order_and_equal_names_survive_the_casts(tmp_path: Path) -> None:
    query = "SELECT i AS a, DATE '10000-01-01' + i AS a FROM range(5000) t(i) ORDER BY (i * 7919) % 5000"
    with Warehouse.open(tmp_path / "missing.duckdb", read_only=True) as warehouse:
        found = warehouse.query(query.replace("+ i", "+ i::INTEGER"), text=True)
    assert found.column_names == ["a", "a_1"]
    assert found["a"].to_pylist() == sorted(range(5000), key=lambda i: (i * 7919) % 5000)


WRITES = [
    "INSERT INTO scores SELECT * FROM scores",
    "DELETE FROM traits",
    "TRUNCATE traits",
    "UPDATE datasets SET rows = 0",
    "MERGE INTO traits USING traits s ON false WHEN MATCHED THEN DELETE",
    "DROP TABLE traits",
    "ALTER TABLE traits ADD COLUMN x INTEGER",
    "COMMENT ON TABLE traits IS 'x'",
    "CREATE TABLE x AS SELECT 1",
    "CREATE OR REPLACE TABLE traits AS SELECT 1",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE TEMP VIEW x AS SELECT 1",
    "CREATE MACRO f() AS 1",
    "CREATE SECRET s (TYPE s3)",
    "COPY traits TO 'leak.csv'",
    "COPY traits FROM 'outside.csv'",
    "EXPORT DATABASE 'leak'",
    "IMPORT DATABASE 'leak'",
    "ATTACH 'leak.duckdb'",
    "ATTACH ':memory:' AS o",
    "DETACH memory",
    "USE memory",
    "INSTALL httpfs",
    "FORCE INSTALL httpfs",
    "LOAD httpfs",
    "UPDATE EXTENSIONS",
    "SET threads = 1",
    "SET enable_external_access = true",
    "SET VARIABLE x = 1",
    "RESET enable_external_access",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "CALL enable_logging(storage = 'file', storage_config = {'path': 'leak'})",
    "PREPARE p AS SELECT 1",
    "BEGIN",
    "COMMIT",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "WITH x AS (INSERT INTO traitcast_meta VALUES ('a', 'b') RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM datasets RETURNING *) SELECT * FROM x",
    "EXPLAIN ANALYZE INSERT INTO traitcast_meta VALUES ('a', 'b')",
    "EXPLAIN ANALYZE DELETE FROM traits",
    ".read outside.csv",
]
LEAVES = [
    "SELECT * FROM read_csv('outside.csv')",
    "SELECT * FROM read_csv(['outside.csv'])",
    "SELECT * FROM 'outside.csv'",
    'SELECT * FROM "outside.csv"',
    "SELECT * FROM read_text('outside.csv')",
    "SELECT * FROM read_blob('outside.csv')",
    "SELECT * FROM read_csv('/dev/stdin')",
    "SELECT * FROM sniff_csv('outside.csv')",
    "SELECT * FROM query_table('outside.csv')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''leak.csv''')",
    "SELECT * FROM query('DELETE FROM traits')",
    "SELECT * FROM glob('*')",
    "SELECT * FROM enable_logging(storage := 'file', storage_config := {'path': 'leak'})",
    "SELECT * FROM read_parquet('https://example.org/x.parquet')",
    "SELECT * FROM sqlite_scan('a', 'b')",
    "SELECT * FROM load_aws_credentials()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT getenv('HOME')",
    "SUMMARIZE 'outside.csv'",
    "DESCRIBE SELECT * FROM 'outside.csv'",
    "PIVOT (FROM 'outside.csv') ON a USING sum(a)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'leak.csv'",
    "SELECT 1; COPY (SELECT 1) TO 'leak.csv'",
    "SELECT * FROM python_variable",
]


@pytest.mark.parametrize("there", [True, False], ids=["file", "memory"])
def test_queries_write_nothing_and_read_nothing_else(
    warehouse_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outside.csv").write_text("a\n1\n")
    python_variable = pa.table({"a": [1]})
    assert python_variable.num_rows == 1
    path = warehouse_path if there else tmp_path / "missing.duckdb"
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with Warehouse.open(path, read_only=True) as warehouse:
        held = warehouse.query("SELECT (SELECT count(*) FROM traitcast_meta), (SELECT count(*) FROM traits)")
        for statement in WRITES:
            with pytest.raises(QueryError, match=r"only reads|cannot parse"):
                warehouse.query(statement)
        for statement in (*LEAVES, *HIDDEN_WRITES):
            with pytest.raises(QueryError) as refused:
                warehouse.query(statement)
            assert "damaged" not in str(refused.value)
            assert "INSTALL" not in str(refused.value)
        assert warehouse.query("SELECT (SELECT count(*) FROM traitcast_meta), (SELECT count(*) FROM traits)").equals(
            held
        )
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


OUTSIDE = [
    "SELECT * FROM 'outside.csv'",
    "SELECT * FROM read_csv(['outside.csv'])",
    "SELECT o.a FROM 'outside.csv' o, (SELECT count(*) FROM profiles)",
    "PIVOT (FROM 'outside.csv') ON a USING sum(a)",
    "SUMMARIZE 'outside.csv'",
]
_COPY = "COPY (SELECT 1 AS c) TO 'outside.csv'"
_EMPTIES = "COPY (SELECT 1 AS c, 2 AS d) TO 'folder' (FORMAT csv, PARTITION_BY (c), OVERWRITE)"
# What a CTE, a subquery, a set operation, a macro's text or a prepared statement may hold.
HIDDEN_WRITES = [
    f"WITH x AS ({_COPY}) SELECT * FROM x",
    f"WITH x AS MATERIALIZED ({_COPY}) FROM x",
    f"WITH x AS ({_EMPTIES}) SELECT 1",
    f"WITH y AS (SELECT 1), x AS ({_COPY}) SELECT 1 UNION ALL SELECT 2",
    f"WITH x AS ({_COPY}) VALUES (1)",
    f"WITH x AS ({_COPY}) TABLE datasets",
    "with x as (/* */ copy (SELECT 1) to 'outside.csv') UNPIVOT label_counts ON n",
    f"WITH x AS ({_COPY}) PIVOT label_counts ON label USING sum(n)",
    f"PIVOT (WITH x AS ({_COPY}) FROM label_counts) ON label USING sum(n)",
    f"SELECT * FROM (WITH x AS ({_COPY}) SELECT * FROM x)",
    f"SELECT (WITH x AS ({_COPY}) SELECT count(*) FROM x)",
    f"(WITH x AS ({_COPY}) SELECT 1) UNION ALL SELECT 2",
    f"DESCRIBE (WITH x AS ({_COPY}) FROM x)",
    f"SUMMARIZE (WITH x AS ({_COPY}) FROM x)",
    f"SELECT * FROM query($$WITH x AS ({_COPY}) FROM x$$)",
    f"EXPLAIN ANALYZE WITH x AS ({_COPY}) FROM x",
    f"PREPARE p AS {_COPY}",
    "EXECUTE p",
    "WITH x AS (INSERT INTO traitcast_own.label_counts VALUES ('a', 'b', 1) RETURNING *) FROM x",
    "WITH x AS (UPDATE traitcast_meta SET value = '1' RETURNING *) FROM x",
    "WITH x AS (DELETE FROM traitcast_own.traits RETURNING *) FROM x",
    "WITH x AS (MERGE INTO traitcast_meta USING traitcast_meta s ON true WHEN MATCHED THEN DELETE RETURNING *) FROM x",
]
STILL_REFUSED = [
    *WRITES,
    *HIDDEN_WRITES,
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'leak.csv'",
    "/* x */ EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'leak.csv'",
    "EXPLAIN EXPLAIN ANALYZE COPY (SELECT 1) TO 'leak.csv'",
    f"explain analyze WITH x AS ({_COPY}) SELECT 1",
    "EXPLAIN ANALYZE SELECT 1; COPY (SELECT 1) TO 'leak.csv'",
    # A comment that holds the word, a comment within a comment, and one that hides the end of another.
    "--EXPLAIN \nEXPLAIN ANALYZE COPY ( /*\nSELECT 1 --*/ SELECT 1) TO 'leak.csv'",
    "--explain \r\nexPlain\tanalyze cOPY ( /*\nSELECT 1 --*/ SELECT 1) TO 'leak.csv'",
    "/* EXPLAIN */ EXPLAIN ANALYZE /* /* */ SELECT 1 -- */ COPY (SELECT 1) TO 'leak.csv'",
    "EXPLAIN ANALYZE /*\nSELECT 1; --*/ COPY (SELECT 1) TO 'leak.csv'",
    ";EXPLAIN\n\nANALYZE\nCOPY ( /*\nSELECT 1 --*/ SELECT 1) TO 'leak.csv';",
    "--EXPLAIN \nEXPLAIN EXPLAIN ANALYZE COPY ( /*\nSELECT 1 --*/ SELECT 1) TO 'leak.csv'",
    "EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO 'leak.csv'",
    "EXPLAIN (ANALYZE)(WITH x AS (COPY (SELECT 1 AS c) TO 'leak.csv') FROM x)",
    "EXPLAIN\u00a0ANALYZE\u00a0COPY (SELECT 1) TO 'leak.csv'",
    "PIVOT (WITH x AS (COPY\u00a0(SELECT 1 AS c) TO 'leak.csv') FROM x) ON c USING sum(c)",
    "PIVOT (WITH x AS (\u200bCOPY\u2060(SELECT 1 AS c) TO 'leak.csv') FROM x) ON c USING sum(c)",
    "PIVOT (WITH x AS (/* /* */ -- */COPY (SELECT 1 AS c) TO 'leak.csv') FROM x) ON c USING sum(c)",
    f"EXPLAIN ANALYZE WITH x AS ({_COPY}) PIVOT label_counts ON label USING sum(n)",
    f"EXPLAIN ANALYZE PIVOT (WITH x AS ({_COPY}) FROM label_counts) ON label USING sum(n)",
    "SELECT * FROM query('COPY (SELECT 1) TO ''leak.csv''')",
    "SELECT * FROM enable_logging(storage := 'file', storage_config := {'path': 'leak'})",
    "SELECT * FROM enable_profiling()",
    "SELECT * FROM force_checkpoint()",
    "SELECT * FROM sqlite_scan('a', 'b')",
    "SELECT * FROM read_parquet('https://example.org/x.parquet')",
    "SELECT getenv('HOME')",
    "SELECT * FROM python_variable",
    "SELECT 1; COPY (SELECT 1) TO 'leak.csv'",
]


@pytest.mark.parametrize("there", [True, False], ids=["file", "memory"])
def test_allow_external_reads_other_files_and_writes_none(
    warehouse_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outside.csv").write_text("a\n1\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("precious")
    path = warehouse_path if there else tmp_path / "missing.duckdb"

    def content() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    before = content()
    with Warehouse.open(path, read_only=True, external=True) as warehouse:
        for statement in OUTSIDE:
            assert warehouse.query(statement).num_rows == 1
        for statement in STILL_REFUSED:
            with pytest.raises(QueryError) as refused:
                warehouse.query(statement)
            assert "INSTALL" not in str(refused.value)
            assert content() == before, statement
        for statement in HIDDEN_WRITES[:6]:
            with pytest.raises(QueryError, match="only reads"):
                warehouse.query(statement)


def test_sql_in_a_text_is_not_run_where_files_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement in a text has no tree that could be looked at, and json_execute_serialized_sql runs a COPY."""
    monkeypatch.chdir(tmp_path)
    writing = "WITH x AS (COPY (SELECT 1 AS a) TO 'leak.csv') FROM x".replace("'", "''")
    run = f"FROM json_execute_serialized_sql(json_serialize_sql('{writing}'))"
    file = tmp_path / "w.duckdb"
    with Warehouse.open(file):
        pass
    with Warehouse.open(file, read_only=True, external=True) as warehouse:
        for statement in (
            run,
            f"SELECT (SELECT count(*) {run})",
            run.replace("json_execute_serialized_sql", 'main."JSON_execute_serialized_SQL"'),
            f"PIVOT ({run}) ON a",
            f"""PIVOT ({run.replace("json_execute_serialized_sql", '"json_execute_serialized_sql"/**/')}) ON a""",
            *(
                f"PIVOT (FROM{blank}query{blank}('SELECT 1 AS a')) ON a"
                for blank in ("\ufeff", "\u200b", "/*(*/", "--\n")
            ),
            "FROM query('FROM json_execute_' || 'serialized_sql(1)')",
            "EXPLAIN ANALYZE FROM query('SELECT 1')",
        ):
            with pytest.raises(QueryError, match=r"(query|json_execute_serialized_sql)\(\) runs text as SQL"):
                warehouse.query(statement)
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"CREATE VIEW traitcast_own.planted AS {run}")
    with Warehouse.open(file, read_only=True, external=True) as warehouse:
        for statement in ("FROM traitcast_own.planted", "SELECT 1"):
            with pytest.raises(QueryError, match="'planted', which is stored in the warehouse, runs text as SQL"):
                warehouse.query(statement)
    with Warehouse.open(file, read_only=True) as warehouse:
        assert warehouse.query("FROM query('SELECT 1')").num_rows == 1
    assert [path.name for path in tmp_path.iterdir()] == ["w.duckdb"]


def test_words_of_writing_are_no_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outside.csv").write_text("copy,delete\nINSERT,1\n")
    with Warehouse.open(tmp_path / "missing.duckdb", read_only=True, external=True) as warehouse:
        for statement in (
            "WITH copy AS (FROM 'outside.csv') SELECT copy, delete FROM copy",
            """SELECT '"type":"COPY_QUERY_NODE"' AS a, 'COPY (SELECT 1)' AS b -- INSERT""",
            """PIVOT 'outside.csv' ON "copy" USING sum("delete") /* DELETE */""",
            "PIVOT (SELECT 1 AS query, 2 AS rel, 'query(' AS b) ON query USING sum(rel) -- query(",
            "EXPLAIN SELECT copy FROM 'outside.csv'",
            "  explain Analyze FROM 'outside.csv';",
            "EXPLAIN (ANALYZE, FORMAT json) SELECT '-- /*'",
            "EXPLAIN ANALYZE(SELECT 1)",
        ):
            assert warehouse.query(statement).num_rows == 1
        with pytest.raises(QueryError, match="a PIVOT with COPY is not allowed.*In double quotes it is a name"):
            warehouse.query("PIVOT 'outside.csv' ON copy")
        for statement in ("-- why\nEXPLAIN SELECT 1", "EXPLAIN SELECT 1 /* why */", "EXPLAIN/**/SELECT 1"):
            with pytest.raises(QueryError, match="EXPLAIN explains one SELECT, without comments"):
                warehouse.query(statement)


def test_allow_external_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "outside.csv").write_text("a\n1\n")
    query = f"SELECT * FROM '{tmp_path / 'outside.csv'}'"
    refused = sql(tmp_path, query)
    assert refused.exit_code == 2
    assert "--allow-external" in refused.stderr
    assert json.loads(sql(tmp_path, query, "--allow-external", "--format", "json").stdout) == [{"a": 1}]


def test_another_file_that_is_missing_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and nothing else")
    for path, message in (("nope.csv", "No files found"), ("no.parquet", "no.parquet")):
        refused = sql(tmp_path, f"SELECT * FROM '{tmp_path / path}'", "--allow-external")
        assert refused.exit_code == 2
        assert message in refused.stderr
        assert "damaged" not in refused.stderr


def test_query_messages(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        with pytest.raises(QueryError, match="one statement, not 2"):
            warehouse.query("SELECT 1; SELECT 2")
        with pytest.raises(QueryError, match="one statement, not 0"):
            warehouse.query("  ")
        with pytest.raises(QueryError, match="Tables and views: profiles, transfer"):
            warehouse.query("SELECT * FROM profile")
        with pytest.raises(QueryError, match="cannot parse"):
            warehouse.query("SELEC 1")
        with pytest.raises(QueryError, match=r"DELETE is not allowed.*only reads"):
            warehouse.query("DELETE FROM traits")
        pivot = warehouse.query("PIVOT label_counts ON label USING sum(n)").to_pylist()
    assert len(pivot) == 2
