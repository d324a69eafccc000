"""Reference data that is renewed under a user's own data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

import traitcast.cli
import traitcast.front_door
from tests.conftest import DEFINITIONS, make_profile
from traitcast.warehouse.database import release, shipped
from traitcast.warehouse.database.profiles import measure_again
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError, UserError, WarehouseError
from traitcast.warehouse.records import Matrix, PredictorRecord, Profile, TraitValue

NEW = replace(DEFINITIONS[4], trait="response_tokens_median", definition="New in version 2.")
CATALOGUES = {1: DEFINITIONS, 2: (*DEFINITIONS[:4], NEW)}
PREDICTION = {
    "source": "reviews",
    "target": "topics",
    "gain": 1.0,
    "low": 0.0,
    "high": 2.0,
    "harm": 0.1,
    "novel": False,
}
REASON = {
    "source": "reviews",
    "target": "topics",
    "trait": "t",
    "side": "source",
    "family": "f",
    "value": 1.0,
    "shap": 1,
}


def measured(name: str, value: float, version: int) -> Profile:
    """A profile in which every trait is `value`, measured with catalogue `version`."""
    profile = make_profile(name, (value,) * len(DEFINITIONS), (("a", int(value)),))
    traits = tuple(TraitValue(definition.trait, value, None, 100) for definition in CATALOGUES[version])
    return replace(profile, traits=traits, details={"catalogue_version": version, "origin": f"/data/{name} x.csv"})


def scores(value: float) -> pa.Table:
    return pa.table(
        {
            "model": ["m", "m"],
            "source": ["", "topics"],
            "target": ["reviews", "reviews"],
            "seed": pa.array([0, 0], pa.int64()),
            "metric": ["accuracy", "accuracy"],
            "score": [0.5, value],
            "n": pa.array([100, 100], pa.int64()),
            "standard_error": [0.03, 0.03],
        }
    )


def predictor(name: str, fingerprint: str) -> PredictorRecord:
    return PredictorRecord(name, "published", None, "static", fingerprint, f'{{"is": "{fingerprint}"}}')


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, Path]:
    """The reference files of two versions of the package: 1 ships three datasets, 2 drops one and adds one."""
    folders = {}
    for version, names in ((1, ("reviews", "topics", "gone")), (2, ("reviews", "topics", "added"))):
        monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
        with Warehouse.open(tmp_path / f"release{version}.duckdb") as warehouse:
            warehouse.sync_catalogue(CATALOGUES[version], version)
            for name in names:
                warehouse.save_profile(measured(name, 10.0 * version, version))
            warehouse.save_scores(
                Matrix("published", "accuracy", "untuned", f"of {version}"), scores(0.6 + version / 10)
            )
            warehouse.save_scores(Matrix(f"only{version}", "accuracy", "untuned", ""), scores(0.6))
            warehouse.save_predictor(predictor("default", f"shipped {version}"))
            folders[version] = tmp_path / f"reference{version}"
            release.export(warehouse, folders[version])
    return folders


@pytest.fixture
def users(packages: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A warehouse made by package 1, with data of the user; package 2 is installed now."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[1]))
    path = tmp_path / "users.duckdb"
    with Warehouse.open(path) as warehouse:
        warehouse.save_profile(measured("mine", 3.0, 1))
        warehouse.save_profile(measured("topics", 4.0, 1))  # named like a shipped one
        warehouse.save_scores(Matrix("own", "accuracy", "untuned", ""), scores(0.9))
        warehouse.save_scores(Matrix("only2", "accuracy", "untuned", "the user's"), scores(0.91))
        warehouse.save_predictor(predictor("own", "user"))
        for name in ("default", "own"):
            warehouse.save_predictions(name, [PREDICTION], [REASON])
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[2]))
    return path


def prompt_words(warehouse: Warehouse) -> dict[str, float]:
    matrix = warehouse.trait_matrix()
    return dict(zip(matrix.names, matrix.values[:, matrix.traits.index("prompt_words_mean")], strict=True))


def test_a_newer_package_renews_what_it_shipped_and_keeps_what_is_the_users(users: Path) -> None:
    for _ in range(2):
        with Warehouse.open(users) as warehouse:
            assert prompt_words(warehouse) == {"added": 20.0, "mine": 3.0, "reviews": 20.0, "topics": 4.0}
            assert warehouse.catalogue() == CATALOGUES[2]
            assert warehouse.catalogue_version() == 2
            columns = warehouse.query("SELECT * FROM profiles").column_names
            assert columns[4:] == [definition.trait for definition in CATALOGUES[2]]
            assert [m.matrix for m in warehouse.matrices()] == ["only2", "own", "published"]
            assert {m.matrix: m.description for m in warehouse.matrices()} == {
                "only2": "the user's",
                "own": "",
                "published": "of 2",
            }
            gains = {name: warehouse.cells(name).gain.round(6).tolist() for name in ("own", "only2", "published")}
            assert gains == {"own": [40.0], "only2": [41.0], "published": [30.0]}
            assert warehouse.predictor("default").fingerprint == "shipped 2"
            assert warehouse.predictor("own").fingerprint == "user"
            kept = "SELECT predictor FROM predictions UNION ALL SELECT predictor FROM attributions"
            assert warehouse.query(kept)["predictor"].to_pylist() == ["own", "own"]


def test_what_was_found_with_renewed_traits_goes(
    packages: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"protocol": "new-source", "cells": 1, "targets": 1}
    result |= {"model": {"spearman": {"value": 0.5}, "rmse": {"value": 1.0}}}
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[1]))
    elsewhere = scores(0.9).set_column(2, "target", pa.array(["mine", "mine"]))
    elsewhere = elsewhere.set_column(1, "source", pa.array(["", "mine"]))
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        for name, table in (("own", scores(0.9)), ("elsewhere", elsewhere)):
            warehouse.save_scores(Matrix(name, "accuracy", "untuned", ""), table)
            warehouse.save_evaluation({**result, "matrix": name})
        warehouse._install_reference()
        assert len(warehouse.evaluations("own")) == 1, "the same package again"
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[2]))
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        assert warehouse.evaluations("own") == []
        assert len(warehouse.evaluations("elsewhere")) == 1


def test_nothing_is_left_of_a_dataset_that_is_shipped_no_more(users: Path) -> None:
    with Warehouse.open(users) as warehouse:
        for table in ("traits", "label_counts", "length_histograms", "sketches"):
            found = warehouse.query(f"SELECT DISTINCT dataset FROM {table} ORDER BY 1")["dataset"].to_pylist()
            assert found == ["added", "mine", "reviews", "topics"]
        assert warehouse.query("SELECT count(*) AS n FROM label_counts").to_pylist() == [{"n": 4}]


def test_the_users_default_predictor_is_not_replaced(users: Path, packages: dict[int, Path]) -> None:
    with Warehouse.open(users) as warehouse:
        warehouse.save_predictor(predictor("default", "user's own"))
        warehouse.save_predictions("default", [PREDICTION], [REASON])
        warehouse._set_meta("reference_version", "of an older package")
    with Warehouse.open(users) as warehouse:
        assert warehouse.predictor("default").fingerprint == "user's own"
        assert warehouse.query("SELECT * FROM predictions WHERE predictor = 'default'").num_rows == 1


def test_an_older_package_does_not_take_a_newer_catalogue_back(
    users: Path, packages: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Warehouse.open(users) as warehouse:
        assert warehouse.catalogue_version() == 2
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[1]))
    with Warehouse.open(users) as warehouse:
        assert warehouse.predictor("default").fingerprint == "shipped 1"
        assert (warehouse.catalogue(), warehouse.catalogue_version()) == (CATALOGUES[2], 2)


def test_a_warehouse_opened_for_reading_stays_whole_as_it_was(users: Path) -> None:
    before = users.read_bytes()
    with Warehouse.open(users, read_only=True) as warehouse:
        assert warehouse.catalogue() == CATALOGUES[1]
        assert prompt_words(warehouse)["reviews"] == 10.0
        assert warehouse.outdated() == []
    assert users.read_bytes() == before


def test_a_failed_refresh_changes_nothing(users: Path, packages: dict[int, Path]) -> None:
    (packages[2] / "traits.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(
        WarehouseError, match=r"reference data .* damaged \(traits.parquet.*pip install --force-reinstall"
    ):
        Warehouse.open(users)
    with Warehouse.open(users, read_only=True) as warehouse:
        assert prompt_words(warehouse) == {"gone": 10.0, "mine": 3.0, "reviews": 10.0, "topics": 4.0}
        assert warehouse.predictor("default").fingerprint == "shipped 1"


def test_profiles_of_an_older_catalogue_are_told(users: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(traitcast.cli.cli, [*arguments, "--warehouse", str(users)], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stderr

    told = "'mine' was measured with older trait definitions (version 1) than the rest of the warehouse (2)"
    command = "traitcast profile '/data/mine x.csv' --name mine --rows all"
    with Warehouse.open(users) as warehouse:
        assert warehouse.outdated() == ["mine", "topics"]
    assert told in run("datasets")
    assert command in run("show", "mine")
    assert told in run("compare", "mine", "reviews")
    assert "older trait definitions" not in run("compare", "added", "reviews")
    with Warehouse.open(users) as warehouse:
        for name in ("mine", "topics"):
            warehouse.save_profile(measured(name, 3.0, 2))
    assert "older trait definitions" not in run("datasets")


def test_the_front_door_tells_of_an_outdated_profile(users: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Warehouse.open(users).close()
    assert traitcast.front_door.FrontDoor().ensure_profiled(["mine"], str(users)) == ["mine"]
    assert "'mine' was measured with older trait definitions" in capsys.readouterr().err
    assert traitcast.front_door.FrontDoor().ensure_profiled(["reviews"], str(users)) == ["reviews"]
    assert capsys.readouterr().err == ""


def test_the_command_to_measure_again_repeats_the_options() -> None:
    details = {
        "origin": "org/data",
        "split": "train",
        "revision": "abc",
        "spec": "/s p.yaml",
        "sample_rows": 50,
        "seed": 7,
    }
    command = measure_again(replace(measured("mine", 3.0, 1), details=details))
    assert command == (
        "traitcast profile org/data --name mine --split train --spec '/s p.yaml' --revision abc --rows 50 --seed 7"
    )


def test_predictions_go_with_the_predictor_that_made_them(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_predictor(predictor("default", "first"))
        warehouse.save_predictions("default", [PREDICTION], [REASON])
        warehouse.save_predictor(predictor("default", "first"))
        assert warehouse.query("SELECT * FROM predictions").num_rows == 1
        warehouse.save_predictor(predictor("default", "second"))
        for table in ("predictions", "attributions"):
            assert warehouse.query(f"SELECT * FROM {table}").num_rows == 0


OWNED = ("datasets", "traits", "label_counts", "length_histograms", "sketches", "matrices", "scores", "predictors")


def shipped_rows(warehouse: Warehouse) -> dict[str, list[dict[str, object]]]:
    return {table: warehouse.query(f"SELECT * FROM {table} ORDER BY ALL").to_pylist() for table in OWNED}


def test_what_was_shipped_can_be_had_back(packages: dict[int, Path], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[2]))
    path = tmp_path / "users.duckdb"
    with Warehouse.open(path) as warehouse:
        warehouse.save_profile(measured("mine", 3.0, 2))
        before = shipped_rows(warehouse)
        assert warehouse.shipped("datasets") == ["added", "reviews", "topics"]
        warehouse.save_profile(measured("topics", 4.0, 2))
        warehouse.save_scores(Matrix("published", "f1", "target mean", "the user's"), scores(0.99))
        warehouse.save_predictor(predictor("default", "user"))
        warehouse.save_predictions("default", [PREDICTION], [REASON])
        assert warehouse.shipped("datasets") == ["added", "reviews"]
        assert (warehouse.shipped("predictors"), warehouse.shipped("matrices")) == ([], ["only2"])
        assert shipped_rows(warehouse) != before
        for kind, name in (("datasets", "topics"), ("matrices", "published"), ("predictors", "default")):
            assert warehouse.restore(kind, [name]) == [name]
        assert shipped_rows(warehouse) == before
        assert warehouse.query("SELECT * FROM predictions").num_rows == 0
        assert warehouse.query("SELECT * FROM attributions").num_rows == 0


def test_what_was_found_with_shipped_traits_goes_and_comes_with_them(
    packages: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"matrix": "published", "protocol": "new-source", "cells": 1, "targets": 1}
    result |= {"model": {"spearman": {"value": 0.5}, "rmse": {"value": 1.0}}}
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[2]))
    with Warehouse.open(tmp_path / "release.duckdb") as warehouse:
        warehouse.save_evaluation(result)
        release.export(warehouse, tmp_path / "reference")
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "reference"))
    with Warehouse.open(tmp_path / "users.duckdb") as warehouse:

        def kept() -> int:
            return len(warehouse.evaluations("published"))

        assert kept() == 1
        for name in ("topics", "reviews"):
            warehouse.save_profile(measured(name, 4.0, 2))
            assert kept() == 0
        warehouse._install_reference()
        assert kept() == 0, "a newer package has other profiles than the user"
        warehouse.restore("datasets", ["topics"])
        assert kept() == 0, "reviews is still the user's"
        warehouse.save_scores(Matrix("published", "f1", "target mean", "the user's"), scores(0.99))
        warehouse.restore("matrices", ["published"])
        assert kept() == 0
        warehouse.restore("datasets", ["reviews"])
        assert kept() == 1


def test_what_is_as_shipped_keeps_what_was_derived_from_it(
    packages: dict[int, Path], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[2]))
    with Warehouse.open(tmp_path / "users.duckdb") as warehouse:
        warehouse.save_predictions("default", [PREDICTION], [REASON])
        assert warehouse.restore("predictors", ["default"]) == []
        assert warehouse.query("SELECT * FROM predictions").num_rows == 1


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("datasets", "topcs", r"traitcast ships no dataset 'topcs'; did you mean 'topics'\?"),
        ("datasets", "mine", r"traitcast ships no dataset 'mine'\."),
        ("matrices", "own", r"ships no matrix 'own'"),
        ("predictors", "own", r"ships no predictor 'own'"),
    ],
)
def test_only_what_is_shipped_is_restored(users: Path, kind, name: str, message: str) -> None:
    with Warehouse.open(users) as warehouse:
        before = shipped_rows(warehouse)
        with pytest.raises(UserError, match=message):
            warehouse.restore(kind, [name])
        assert shipped_rows(warehouse) == before


def test_one_name_that_is_not_shipped_restores_nothing(users: Path) -> None:
    with Warehouse.open(users) as warehouse:
        warehouse.save_profile(measured("topics", 4.0, 2))
        before = shipped_rows(warehouse)
        with pytest.raises(UserError, match="ships no dataset 'nosuch'"):
            warehouse.restore("datasets", ["topics", "nosuch"])
        assert shipped_rows(warehouse) == before
        assert "topics" not in warehouse.shipped("datasets")


def test_datasets_restore(users: Path, tmp_path: Path) -> None:
    def run(*arguments: str):
        return CliRunner().invoke(traitcast.cli.cli, ["datasets", *arguments])

    result = run("--restore", "topics", "--warehouse", str(users), "--format", "jsonl")
    assert result.exit_code == 0
    assert "topics: the shipped profile is back" in result.stderr
    with Warehouse.open(users, read_only=True) as warehouse:
        assert prompt_words(warehouse)["topics"] == 20.0
    assert run("--restore", "nothing", "--warehouse", str(users)).exit_code == 2
    missing = tmp_path / "missing.duckdb"
    assert run("--restore", "topics", "--warehouse", str(missing)).exit_code == 0
    assert run("--restore", "nothing", "--warehouse", str(missing)).exit_code == 2
    assert not missing.exists()


def test_scores_restore(users: Path, tmp_path: Path) -> None:
    def run(*arguments: str):
        return CliRunner().invoke(traitcast.cli.cli, ["scores", "restore", *arguments, "--format", "json"])

    with Warehouse.open(users, read_only=True) as warehouse:
        own = next(m.matrix for m in warehouse.matrices() if m.matrix in shipped.names("matrices"))
        assert own not in warehouse.shipped("matrices")
    result = run(own, "--warehouse", str(users))
    assert result.exit_code == 0
    assert f"{own}: the shipped matrix is back" in result.stderr
    assert {row["matrix"]: row["shipped"] for row in json.loads(result.stdout)}[own]
    with Warehouse.open(users, read_only=True) as warehouse:
        assert own in warehouse.shipped("matrices")
    wrong = run("nothing", "--warehouse", str(tmp_path / "missing.duckdb"))
    assert wrong.exit_code == 2
    assert "ships no matrix 'nothing'" in wrong.stderr


def test_shipped_scores_are_not_dropped(users: Path, tmp_path: Path) -> None:
    def run(*arguments: str):
        return CliRunner().invoke(traitcast.cli.cli, ["scores", "drop", *arguments, "--format", "json"])

    with Warehouse.open(users) as warehouse:
        came_with_it = warehouse.shipped("matrices")[0]
        own = next(name for name in shipped.names("matrices") if name not in warehouse.shipped("matrices"))
        before = warehouse.matrices()
    refused = run(came_with_it, "--warehouse", str(users))
    assert refused.exit_code == 2
    assert f"{came_with_it!r} came with traitcast and would come back with the next version" in refused.stderr
    replaced = run(own, "--warehouse", str(users))
    assert replaced.exit_code == 2
    assert f"Bring the shipped one back: traitcast scores restore {own}" in replaced.stderr
    missing = tmp_path / "missing.duckdb"
    assert run(came_with_it, "--warehouse", str(missing)).exit_code == 2
    assert run("nothing", "--warehouse", str(missing)).exit_code == 2
    assert not missing.exists()
    with Warehouse.open(users, read_only=True) as warehouse:
        assert warehouse.matrices() == before


def test_fit_restore(users: Path, tmp_path: Path) -> None:
    def run(*arguments: str):
        return CliRunner().invoke(traitcast.cli.cli, ["fit", "--restore", *arguments, "--format", "json"])

    result = run("--warehouse", str(users))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["predictor"] == "default"
    with Warehouse.open(users, read_only=True) as warehouse:
        assert "default" in warehouse.shipped("predictors")
    missing = tmp_path / "missing.duckdb"
    assert run("--warehouse", str(missing)).exit_code == 0
    assert not missing.exists()
    wrong = run("--name", "mine", "--warehouse", str(missing))
    assert wrong.exit_code == 2
    assert "ships no predictor 'mine'" in wrong.stderr


ADAPTER = pa.table(
    {
        "model": ["m"],
        "source": ["topics"],
        "seed": [0],
        "adapter": ["v1-a"],
        **{name: [1] for name in ("rank", "steps", "rows", "tokens")},
        "final_loss": [0.5],
        "failed_at": pa.array([None], pa.int64()),
    }
)


@pytest.fixture
def with_measured(packages: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reference files with two imported matrices and one that was measured."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[1]))
    folder = tmp_path / "with_measured"
    with Warehouse.open(tmp_path / "next.duckdb") as warehouse:
        warehouse.save_scores(Matrix("lora", "accuracy", "untuned", "ours"), scores(0.8), {"adapters": ADAPTER})
        release.export(warehouse, folder)
    return folder


def test_the_shipped_matrix_that_was_measured_is_the_default_until_the_user_has_one(
    with_measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(with_measured))
    with Warehouse.open(tmp_path / "user.duckdb") as warehouse:
        assert warehouse.cells().matrix.matrix == "lora"
        warehouse.save_scores(Matrix("mine", "accuracy", "untuned", ""), scores(0.9))
        assert warehouse.cells().matrix.matrix == "mine"


def test_a_file_of_an_older_package_says_how_to_get_a_matrix_that_ships_now(
    packages: dict[int, Path], with_measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(packages[1]))
    Warehouse.open(tmp_path / "old.duckdb").close()
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(with_measured))
    with Warehouse.open(tmp_path / "old.duckdb", read_only=True) as warehouse:
        with pytest.raises(ScoresError, match="of an older traitcast, without 'lora'.*traitcast scores restore lora"):
            warehouse.cells("lora")
        with pytest.raises(ScoresError, match="no matrix named 'lara'"):
            warehouse.cells("lara")
    with Warehouse.open(tmp_path / "old.duckdb") as warehouse:
        assert warehouse.cells("lora").matrix.matrix == "lora"


def test_a_measured_matrix_is_carried_into_the_next_release(
    with_measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))
    path = tmp_path / "build.duckdb"
    Warehouse.open(path).close()
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(with_measured))
    release.main([str(path), "--carry", "lora"])
    with pytest.raises(WarehouseError, match="holds no matrix 'lara'; it has: lora, only1, published"):
        release.main([str(path), "--carry", "lara"])
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))
    with Warehouse.open(path) as warehouse:
        assert [m.matrix for m in warehouse.matrices()] == ["lora"]
        assert warehouse.cells().gain.round(6).tolist() == [30.0]
    release.main([str(path), "--into", str(tmp_path / "out")])
    for name in ("matrices", "adapters"):
        assert (tmp_path / "out" / f"{name}.parquet").is_file()
    with pytest.raises(SystemExit, match="make it with: make reference"):
        release.main([str(tmp_path / "no.duckdb"), "--into", str(tmp_path / "out")])
