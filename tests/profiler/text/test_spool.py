"""Rows on a disk are the rows in memory."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.profile import profile
from traitcast.profiler.reading.reader import read
from traitcast.profiler.text import spool
from traitcast.profiler.text.spool import Spool, rows_at
from traitcast.warehouse.errors import InputError


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = ({"text": f"is number {i} of {i % 7} good ?", "label": "yes" if i % 3 else "no"} for i in range(9000))
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_a_profile_from_the_disk_is_the_same(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spool").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spool"))
    small = read(rows)
    monkeypatch.setattr(spool, "MEMORY_BYTES", 1000)
    mapped = pa.total_allocated_bytes()
    large = read(rows)
    assert pa.total_allocated_bytes() - mapped < small.table.nbytes / 2
    assert large.table.equals(small.table)
    assert large.fingerprint == small.fingerprint
    assert list((tmp_path / "spool").iterdir()) == [], "the file has no name any more"
    found, expected = profile(large, rows=20, processes=1), profile(small, rows=20, processes=1)
    assert found.traits == expected.traits
    assert found.details == expected.details


def test_bad_rows_leave_no_file(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spool").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spool"))
    monkeypatch.setattr(spool, "MEMORY_BYTES", 1000)
    with rows.open("a") as file:
        file.write('\n{"text": "a", "label": [1]}\n')
    with pytest.raises(InputError, match="line 9001"):
        read(rows)
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_folder_without_room_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    batch = pa.record_batch([pa.array([1, 2])], names=["a"])
    with (
        Spool(batch.schema) as made,
        pytest.raises(InputError, match=r"cannot write 16 bytes of rows to .*gone.*TMPDIR"),
    ):
        made.add(batch)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full here")
def test_a_full_disk_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 0)
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        batch = pa.record_batch([pa.array(["x"])], names=["a"])
        with Spool(batch.schema) as made, pytest.raises(InputError, match="No space left on device"):
            made.add(batch)


@given(
    st.lists(st.lists(st.none() | st.lists(st.text(max_size=3), max_size=2), max_size=4), min_size=1, max_size=5),
    st.data(),
)
def test_some_rows_are_those_that_take_gives(batches: list[list[list[str] | None]], data: st.DataObject) -> None:
    schema = pa.schema([("fields", pa.list_(pa.string()))])
    table = pa.Table.from_batches(
        [pa.record_batch([pa.array(b, schema.field(0).type)], schema=schema) for b in batches]
    )
    numbers = data.draw(st.lists(st.integers(0, table.num_rows - 1), max_size=9)) if table.num_rows else []
    expected = table.take(pa.array(numbers, pa.int64()))
    assert rows_at(table, np.array(numbers, dtype=np.int64)).equals(expected)
