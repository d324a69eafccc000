"""Profiles in the warehouse: stored once, found again, replaced only when something changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from profiler.service import Request, ensure_profiled, profile_into
from warehouse.errors import InputError, NotProfiledError
from warehouse.store import Warehouse

ROWS = [{"ticket": f"My bike number {i} has a flat tyre.", "team": "repair" if i % 3 else "billing"} for i in range(12)]


@pytest.fixture(autouse=True)
def no_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    file = tmp_path / "my tickets.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    file = tmp_path / "roles.yaml"
    file.write_text("task_type: classification\ntext_fields: [ticket]\nlabel_field: team\n")
    return file


def test_unknown_columns_ask_for_a_spec_with_the_command(tickets: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    with pytest.raises(InputError, match=r"traitcast profile '.*my tickets.jsonl' --spec roles.yaml"):
        ensure_profiled(str(tickets), path)
    with Warehouse.open(path, read_only=True) as warehouse:
        assert warehouse.dataset_names() == []


def test_profile_once_then_reuse_until_something_changes(tickets: Path, roles: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    request = Request(str(tickets), spec=roles)
    first, computed = profile_into(path, request)
    assert computed
    again, computed = profile_into(path, request)
    assert not computed
    assert again.traits == first.traits
    assert profile_into(path, Request(str(tickets), spec=roles, seed=1))[1]
    assert profile_into(path, Request(str(tickets), spec=roles, seed=1), force=True)[1]
    with tickets.open("a") as rows:
        rows.write(json.dumps({"ticket": "One more.", "team": "billing"}) + "\n")
    changed, computed = profile_into(path, request)
    assert computed
    assert changed.rows == 13
    assert changed.fingerprint != first.fingerprint


def test_the_spec_of_a_file_is_given_once(tickets: Path, roles: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    profile_into(path, Request(str(tickets), name="mine", spec=roles, rows=5, seed=3))
    before = Path(path).read_bytes()
    assert ensure_profiled(str(tickets), path) == "mine"
    assert ensure_profiled("mine", path) == "mine"
    assert Path(path).read_bytes() == before


def test_a_word_that_is_neither_name_nor_file(tmp_path: Path) -> None:
    with pytest.raises(NotProfiledError, match="no profile of 'gsm8j'"):
        ensure_profiled("gsm8j", str(tmp_path / "w.duckdb"))
    with pytest.raises(InputError):
        ensure_profiled("./nothing.jsonl", str(tmp_path / "w.duckdb"))


def test_profiles_are_the_same_bytes_each_time(tickets: Path, roles: Path, tmp_path: Path) -> None:
    exports = []
    for i in (1, 2):
        path = str(tmp_path / f"{i}.duckdb")
        profile_into(path, Request(str(tickets), spec=roles, processes=i))
        with Warehouse.open(path, read_only=True) as warehouse:
            warehouse.export_reference(tmp_path / str(i))
        exports.append({file.name: file.read_bytes() for file in sorted((tmp_path / str(i)).iterdir())})
    assert exports[0].keys() >= {"datasets.parquet", "traits.parquet", "sketches.parquet"}
    assert exports[0] == exports[1]
