"""A damaged file or a full disk: a message that names the file and the next step, and nothing half-written."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner

import traitcast.cli
from tests.conftest import DEFINITIONS, make_profile
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import WarehouseError
from traitcast.warehouse.records import Matrix, PredictorRecord

ROOT = Path(__file__).parents[3]


@pytest.fixture
def full_path(warehouse_path: Path) -> Path:
    """A warehouse in which every table holds something."""
    size = 2000
    rows = pa.table(
        {
            "model": ["m"] * size,
            "source": ["", *(f"s{i}" for i in range(size - 1))],
            "target": ["reviews"] * size,
            "seed": pa.array([0] * size, pa.int64()),
            "metric": ["accuracy"] * size,
            "score": [0.5] * size,
            "n": pa.array([100] * size, pa.int64()),
            "standard_error": [0.03] * size,
        }
    )
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(Matrix("toy", "accuracy", "untuned", ""), rows)
        warehouse.save_predictor(PredictorRecord("default", "toy", None, "static", "f", '{"a": 1}'))
    return warehouse_path


def damaged(data: bytes) -> list[tuple[str, bytes]]:
    """The file cut at 5 places, and with one bit turned at 12: half of them in the headers, which are small."""
    draw = random.Random(11)
    cuts = [(f"cut at {len(data) * i // 5}", data[: len(data) * i // 5]) for i in range(5)]
    bits = [draw.randrange(8 * (12288 if i % 2 else len(data))) for i in range(12)]
    return cuts + [
        (f"bit {bit}", data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]) for bit in bits
    ]


def test_damage_is_told_and_never_a_traceback(full_path: Path, tmp_path: Path) -> None:
    results = tmp_path / "new.csv"
    results.write_text("model,source,target,score\nm,,reviews,0.5\nm,topics,reviews,0.6\n")
    commands = [
        ("sql", "SELECT * FROM traits, trait_catalogue, scores, sketches, predictors LIMIT 5000"),
        ("compare", "reviews", "topics"),
        ("scores", "import", str(results)),
    ]
    file = tmp_path / "damaged.duckdb"
    told = 0
    for what, data in damaged(full_path.read_bytes()):
        for command in commands:
            file.write_bytes(data)
            file.with_name(file.name + ".wal").unlink(missing_ok=True)
            result = CliRunner().invoke(traitcast.cli.cli, [*command, "--warehouse", str(file)])
            assert isinstance(result.exception, SystemExit | None), (what, command, result.exception)
            if result.exit_code:
                told += 1
                assert result.exit_code == 2
                assert result.stderr.startswith("Error: ")
                assert "damaged.duckdb" in result.stderr, (what, command, result.stderr)
                assert "--warehouse FILE" in result.stderr
    assert told > 15


def test_reading_and_writing_a_damaged_block(full_path: Path) -> None:
    """Flips the data blocks one by one: each is read by some method, and each method says so."""
    data = full_path.read_bytes()
    failed: set[str] = set()
    again = make_profile("reviews", (1.0,) * len(DEFINITIONS))
    for start in range(12288, len(data), 262144):
        broken = bytearray(data)
        broken[start + 100] ^= 0xFF
        full_path.write_bytes(broken)
        calls: dict[str, Callable[[Warehouse], object]] = {
            "trait_matrix": lambda warehouse: warehouse.trait_matrix(),
            "cells": lambda warehouse: warehouse.cells(),
            "query": lambda warehouse: warehouse.query("SELECT * FROM scores"),
            "save_profile": lambda warehouse: warehouse.save_profile(again),
        }
        for name, call in calls.items():
            full_path.write_bytes(broken)
            try:
                with Warehouse.open(full_path) as warehouse:
                    call(warehouse)
            except WarehouseError as error:
                assert str(full_path) in str(error)  # noqa: PT017 - which of the calls fails depends on the block
                failed.add(name)
    assert {"trait_matrix", "cells", "query", "save_profile"} <= failed


def test_a_warehouse_without_its_tables_is_told(warehouse_path: Path) -> None:
    with duckdb.connect(str(warehouse_path)) as connection:
        connection.execute("DROP VIEW profiles; DROP TABLE traitcast_own.traits")
    with (
        Warehouse.open(warehouse_path, read_only=True) as warehouse,
        pytest.raises(WarehouseError, match="cannot be read.*traits.*Restore a copy"),
    ):
        warehouse.datasets()
    with duckdb.connect(str(warehouse_path)) as connection:
        connection.execute("UPDATE traitcast_meta SET value = 'two' WHERE key = 'schema_version'")
    with pytest.raises(WarehouseError, match="schema version 'two', which is not a number: the file is damaged"):
        Warehouse.open(warehouse_path)


def contents(file: Path) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        names = "SELECT schema_name || '.' || table_name FROM duckdb_tables()"
        tables = [row[0] for row in connection.execute(names).fetchall()]
        return {table: connection.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables}


@pytest.mark.parametrize("limit", [1000, 2_000_000], ids=["at once", "midway"])
def test_a_full_disk_leaves_the_warehouse_as_it_was(full_path: Path, limit: int) -> None:
    """No file may be written beyond `limit` bytes: the log of the transaction does not fit, and COMMIT fails."""
    before = contents(full_path)
    code = """
import resource, sys
import pyarrow as pa
from traitcast.warehouse.errors import WarehouseError
from traitcast.warehouse.records import Matrix
from traitcast.warehouse.database.warehouse import Warehouse
path, limit = sys.argv[1], int(sys.argv[2])
size = 100_000
rows = pa.table({
    "model": ["m"] * size, "source": [""] + [f"new{i * 7919 % size}" for i in range(size - 1)],
    "target": ["reviews"] * size, "seed": pa.array(range(size), pa.int64()), "metric": ["accuracy"] * size,
    "score": [i / size for i in range(size)], "n": pa.array(range(size), pa.int64()), "standard_error": [0.03] * size,
})
with Warehouse.open(path) as warehouse:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        warehouse.save_scores(Matrix("big", "accuracy", "untuned", ""), rows)
    except WarehouseError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(full_path), str(limit)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nothing was changed" in done.stdout
    assert "disk has space" in done.stdout
    assert contents(full_path) == before
    with Warehouse.open(full_path) as warehouse:
        warehouse.save_scores(
            Matrix("small", "accuracy", "untuned", ""),
            warehouse.query("SELECT * EXCLUDE matrix FROM scores"),
        )
        assert len(warehouse.cells("small").gain) == 1999
