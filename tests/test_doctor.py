"""`traitcast doctor`: finds what is missing or broken, names the cure, and tells by its exit code."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from traitcast import doctor
from traitcast.cli import cli
from traitcast.warehouse.database.schema import OWN, SCHEMA_VERSION
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.records import PredictorRecord


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the language model nor torch is loaded."""
    monkeypatch.setattr(doctor, "_language_model", lambda: doctor.Check("spaCy model", "loads"))
    monkeypatch.setattr(doctor, "_gpu", lambda: doctor.Check("GPU", "none", doctor.ABSENT))


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", "--warehouse", str(path), *options], env={"COLUMNS": "80"})


def checks(path: Path) -> dict[str, Any]:
    found = json.loads(run(path, "--format", "json").stdout)
    return {"ok": found["ok"]} | {check["what"]: check for check in found["checks"]}


def test_a_warehouse_is_described(warehouse_path: Path) -> None:
    result = run(warehouse_path)
    assert result.exit_code == 0
    assert "Nothing is broken." in result.stderr
    assert [line for line in result.stdout.splitlines() if len(line) > 80 and max(map(len, line.split())) < 40] == []
    assert "datasets: 3 own, 0 shipped" in " ".join(result.stdout.split())
    found = checks(warehouse_path)
    assert found["ok"]
    tables = found["warehouse"]["details"].pop("tables")
    assert tables[f"{OWN}.datasets"]["rows"] == 3
    assert found["warehouse"]["details"] == {
        "path": str(warehouse_path),
        "bytes": warehouse_path.stat().st_size,
        "schema": SCHEMA_VERSION,
        "datasets": {"own": 3, "shipped": 0},
        "matrices": {"own": 0, "shipped": 0},
        "predictors": {"own": 0, "shipped": 0},
    }
    assert found["packages"]["details"]["duckdb"] == version("duckdb")


def test_a_damaged_table_is_broken(warehouse_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from traitcast.warehouse.database import checksums

    damaged = checksums.TableCheck("own.traits", None, None, "w.duckdb cannot be read (a wrong checksum)")
    fine = checksums.TableCheck("own.scores", 0, "0")
    monkeypatch.setattr(checksums, "check_tables", lambda _: (damaged, fine))
    result = run(warehouse_path)
    assert result.exit_code == 1
    assert "1 of 2 tables: w.duckdb cannot be read (a wrong checksum)" in " ".join(result.stdout.split())


def test_a_damaged_predictor_is_broken(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_predictor(PredictorRecord("mine", "law", None, "static", "v2:0", "{}"))
    result = run(warehouse_path)
    assert result.exit_code == 1
    words = " ".join(result.stdout.split())
    assert "broken predictors" in words
    assert "'mine'" in words
    assert "Fit a new one with: traitcast fit --matrix law --name mine" in words


def test_looking_creates_nothing(tmp_path: Path) -> None:
    found = checks(tmp_path / "none.duckdb")
    assert found["warehouse"]["details"]["bytes"] is None
    assert found["warehouse"]["details"]["datasets"]["shipped"] > 0
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_warehouse_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    path.write_text("not a database")
    result = run(path)
    assert result.exit_code == 1
    assert "broken  warehouse" in result.stdout
    assert "1 thing broken." in result.stderr


def test_a_missing_extra_is_no_fault(monkeypatch: pytest.MonkeyPatch, warehouse_path: Path) -> None:
    installed = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda package: None if package == "ray" else installed(package))
    result = run(warehouse_path)
    assert result.exit_code == 0
    assert "absent  extra ray" in result.stdout
    assert "  pip install 'traitcast[ray]'\n" in result.stdout


@pytest.mark.parametrize(("release", "found"), [(None, "missing"), ("2.1.4", "2.1.4")])
def test_a_package_that_is_missing_or_of_a_wrong_release(
    monkeypatch: pytest.MonkeyPatch, warehouse_path: Path, release: str | None, found: str
) -> None:
    installed = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda package: release if package == "xgboost" else installed(package))
    result = run(warehouse_path)
    assert result.exit_code == 1
    broken = checks(warehouse_path)["package xgboost"]
    assert (broken["found"], broken["state"], broken["cure"]) == (found, "broken", "pip install 'xgboost<4,>=3.0'")


def test_xgboost_without_cuda_counts_as_xgboost(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_cpu(package: str) -> str:
        if package != "xgboost-cpu":
            raise doctor.PackageNotFoundError
        return "3.2.0"

    monkeypatch.setattr(doctor, "version", only_cpu)
    assert doctor._installed("xgboost") == "3.2.0"
    assert doctor._installed("numpy") is None


def test_what_does_not_load_is_broken() -> None:
    def look() -> str:
        raise OSError("libomp.so\n was not found")

    assert doctor._tried("xgboost", look, "pip install x") == doctor.Check(
        "xgboost", "libomp.so was not found", "broken", "pip install x"
    )


def test_requirements_by_extra() -> None:
    assert "torch" in doctor.required("train")
    assert "duckdb" in doctor.required()
    assert not set(doctor.required()) & set(doctor.required("train"))


def test_a_torch_that_does_not_load_is_broken(monkeypatch: pytest.MonkeyPatch, warehouse_path: Path) -> None:
    def look() -> doctor.Check:
        raise OSError("libcudart.so was not found")

    monkeypatch.setattr(doctor, "_gpu", look)
    result = run(warehouse_path)
    assert result.exit_code == 1
    assert "broken  GPU" in result.stdout
    assert "pip install --force-reinstall 'traitcast[train]'" in result.stdout


def test_an_extra_that_an_older_release_did_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "required", lambda extra="": {})
    found = doctor._extra("mcp", "assistants")
    assert "older than this code" in found.found
    assert found.cure is not None
    assert found.cure.startswith("reinstall: pip install ")
    assert "[mcp]'" in found.cure
