"""The front door: quick to open, and no room imports one that it may not."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {
    "duckdb",
    "numpy",
    "pyarrow",
    "spacy",
    "datasets",
    "textstat",
    "xgboost",
    "shap",
    "sklearn",
    "torch",
    "transformers",
    "peft",
}
MAY_IMPORT = {
    "warehouse": set(),
    "profiler": {"warehouse"},
    "predictor": {"warehouse"},
    "training": {"profiler", "warehouse"},
}


@pytest.mark.parametrize(
    "statement", ["import traitcast", "import traitcast; traitcast.cli(['--help'], standalone_mode=False)"]
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint('heavy', sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy []"


def imported_rooms(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names & {*MAY_IMPORT, "traitcast"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_arrows_only_point_down(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        assert imported_rooms(file) <= MAY_IMPORT[room] | {room}, file


def test_every_sql_statement_lives_in_the_warehouse() -> None:
    for room in ("profiler", "predictor", "training"):
        for file in (ROOT / room).rglob("*.py"):
            assert "duckdb" not in _modules(file), file


def _modules(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    found = {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    return found | {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}


def test_every_command_has_an_example_in_its_help() -> None:
    import click

    import traitcast

    def leaves(command: click.Command) -> list[click.Command]:
        if isinstance(command, click.Group):
            return [leaf for child in command.commands.values() for leaf in leaves(child)]
        return [command]

    for command in leaves(traitcast.cli):
        assert "traitcast " in (command.help or ""), command.name


def test_version_is_that_of_the_package() -> None:
    import tomllib

    import traitcast

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == traitcast.__version__


def test_the_shipped_profiles_were_measured_by_this_catalogue(tmp_path: Path) -> None:
    from profiler.catalogue import CATALOGUE, VERSION
    from warehouse.store import Warehouse

    with Warehouse.open(tmp_path / "missing.duckdb", read_only=True) as warehouse:
        versions = {row["catalogue_version"] for row in warehouse.datasets()}
        assert versions == {VERSION}, "the reference data is of another catalogue; run: make reference"
        assert warehouse.catalogue() == CATALOGUE, "the shipped catalogue is not that of the code; run: make reference"


def test_rank_warns_of_candidates_of_an_older_catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import traitcast
    from warehouse.store import Warehouse

    path = tmp_path / "users.duckdb"
    with Warehouse.open(path) as warehouse:
        profile = warehouse.profile("mnli")
        warehouse.save_profile(dataclasses.replace(profile, name="mine", details={"catalogue_version": 0}))
    assert "mine" in [found.source for found in traitcast.rank("rte", warehouse=path)]
    assert "'mine' was measured with older trait definitions (version 0)" in capsys.readouterr().err
