"""The `profile` command: what is printed, in which order, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from traitcast.profiler.cli import profile
from traitcast.warehouse.database.warehouse import Warehouse

GOOD = "".join(json.dumps({"text": f"Bike {i} is flat.", "label": "ab"[i % 2]}) + "\n" for i in range(8))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(tmp_path / "w.duckdb"))
    monkeypatch.chdir(tmp_path)
    for name in ("good.jsonl", "other.jsonl", "данные.jsonl"):
        (tmp_path / name).write_text(GOOD)
    (tmp_path / "bad.jsonl").write_text(GOOD + "{")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(profile, arguments)


def stored(place: Path) -> list[str]:
    with Warehouse.open(place / "w.duckdb", read_only=True) as warehouse:
        return warehouse.dataset_names()


def test_a_bad_dataset_among_several_is_left_out_and_told(place: Path) -> None:
    result = run("good.jsonl", "bad.jsonl", "missing.jsonl", "other.jsonl", "--format", "json")
    assert result.exit_code == 2
    assert [row["name"] for row in json.loads(result.stdout)] == ["good", "other"]
    assert "Error: bad.jsonl: line 9, column 2: broken JSON" in result.stderr
    assert "Error: 'missing.jsonl' is neither" in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last == "Error: 2 of 4 datasets not profiled: bad.jsonl, missing.jsonl (see above)"
    assert stored(place) == ["good", "other"]


def test_an_unusable_warehouse_ends_the_run_at_once(place: Path) -> None:
    (place / "w.duckdb").write_text("no warehouse")
    result = run("good.jsonl", "other.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert sum(line.startswith("Error: ") for line in result.stderr.splitlines()) == 1


def test_a_lone_bad_dataset_prints_no_data_and_makes_no_file(place: Path) -> None:
    result = run("bad.jsonl", "--format", "json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert not (place / "w.duckdb").exists()


def test_two_datasets_of_one_name(place: Path) -> None:
    result = run("good.jsonl", "./good.jsonl")
    assert result.exit_code == 2
    assert "good.jsonl and ./good.jsonl would both be stored as 'good'" in result.stderr
    assert not (place / "w.duckdb").exists()
    result = run("good.jsonl", "other.jsonl", "--name", "mine")
    assert result.exit_code == 2
    assert "--name names one dataset; 2 were given" in result.stderr


def test_a_name_in_other_letters(place: Path) -> None:
    result = run("данные.jsonl", "good.jsonl", "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert [row["name"] for row in json.loads(result.stdout)] == ["данные", "good"]
    assert stored(place) == ["good", "данные"]


def test_next_commands_carry_the_warehouse(place: Path) -> None:
    result = run("good.jsonl", "--warehouse", "mine.duckdb")
    assert result.exit_code == 0, result.stderr
    assert "Whole profile: traitcast show good --warehouse mine.duckdb." in result.stderr
    assert "traitcast rank good --warehouse mine.duckdb" in result.stderr
    assert "--warehouse" not in run("good.jsonl").stderr
    (place / "unclear.jsonl").write_text(GOOD.replace('"text"', '"one"').replace('"label"', '"two"'))
    asked = run("unclear.jsonl", "--warehouse", "mine.duckdb").stderr
    assert "--spec roles.yaml --warehouse mine.duckdb" in asked


def test_the_table_counts_defined_traits(place: Path) -> None:
    traits = json.loads(run("good.jsonl", "--format", "json").stdout)[0]["traits"]
    defined = sum(value is not None for value in traits.values())
    assert 0 < defined < len(traits)
    assert run("good.jsonl").stdout.splitlines()[2].endswith(f"  {defined} of {len(traits)}")


def test_one_row_is_no_rows(place: Path) -> None:
    (place / "lone.jsonl").write_text(GOOD.splitlines()[0] + "\n")
    assert "lone: 1 row of split 'all', classification" in run("lone.jsonl").stderr
