"""A checksum per table: equal for equal content, another for any other, and damage by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from tests.predictor.effects.test_side_effects import Made
from traitcast.warehouse.database.checksums import TableCheck, check_tables
from traitcast.warehouse.database.schema import OWN
from traitcast.warehouse.database.warehouse import Warehouse


def checks(path: Path) -> dict[str, TableCheck]:
    with Warehouse.open(path, read_only=True) as warehouse:
        return {one.table: one for one in check_tables(warehouse)}


def changed(path: Path, sql: str) -> set[str]:
    """Tables whose checksum a statement changes, in a copy."""
    copy = path.with_name("copy.duckdb")
    shutil.copy(path, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(sql)
    before, after = checks(path), checks(copy)
    return {table for table in before if before[table].checksum != after[table].checksum}


@pytest.fixture
def path(warehouse_path: Path) -> Path:
    return Made().save(warehouse_path)


def test_equal_content_has_equal_checksums(path: Path) -> None:
    found = checks(path)
    assert found[f"{OWN}.scores"].rows == 30
    assert all(one.problem is None and len(one.checksum or "") == 48 for one in found.values())
    table = f"{OWN}.row_scores"
    turned = f"CREATE TABLE x AS FROM {table} ORDER BY seed DESC; DELETE FROM {table}; INSERT INTO {table} FROM x"
    assert changed(path, f"{turned}; DROP TABLE x") == set()


@pytest.mark.parametrize(
    ("table", "sql"),
    [
        ("scores", "UPDATE {} SET score = score + 1e-12 WHERE source = 'a' AND target = 'b' AND seed = 0"),
        ("scores", "UPDATE {} SET n = NULL WHERE source = 'a'"),
        ("scores", "DELETE FROM {} WHERE source = 'a' AND target = 'b' AND seed = 0"),
        ("scores", "INSERT INTO {} FROM {} LIMIT 1"),
        ("row_scores", "UPDATE {} SET score = list_reverse(score) WHERE source = 'a' AND target = 'b'"),
        ("matrices", "UPDATE {} SET description = description || ' '"),
    ],
)
def test_any_change_shows_in_its_table(path: Path, table: str, sql: str) -> None:
    assert changed(path, sql.replace("{}", f"{OWN}.{table}")) == {f"{OWN}.{table}"}


def test_a_damaged_table_is_named_and_the_others_are_read(path: Path) -> None:
    """A byte of the middle of a block in which texts of a table lie."""
    marker = b"a text that is not compressed away " * 8
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE traitcast_own.notes AS SELECT ?::VARCHAR AS note", [marker.decode()])
    raw = bytearray(path.read_bytes())
    raw[raw.index(marker[:32]) + 5] ^= 1
    path.write_bytes(raw)
    found = checks(path)
    damaged = {table for table, one in found.items() if one.problem}
    assert damaged >= {"traitcast_own.notes"}
    assert found["traitcast_own.notes"].checksum is None
    assert "the file is damaged" in (found["traitcast_own.notes"].problem or "")
    assert any(one.checksum for one in found.values())
