"""The matrix commands from plan to export, as a user types them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from traitcast.training.cli import COMMANDS

MATRIX = next(command for command in COMMANDS if command.name == "matrix")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(MATRIX, [str(argument) for argument in arguments])


def test_every_command_shows_an_example() -> None:
    assert isinstance(MATRIX, click.Group)
    assert sorted(MATRIX.commands) == ["export", "ingest", "plan", "reliability", "run", "status"]
    for name in ("", *MATRIX.commands):
        text = call(*([name] if name else []), "--help").output
        assert re.search(r"Examples?:\n    traitcast matrix", text), name


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; import traitcast.training.cli; "
        "print([m for m in ('torch', 'transformers', 'peft', 'numpy', 'pyarrow', 'duckdb') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_from_plan_to_export(datasets: dict[str, str], base_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
    pytest.importorskip("duckdb", reason="the warehouse needs duckdb")
    pack = tmp_path / "m"
    done = call(
        "plan", "--pack", pack, "--base", base_folder, "--seeds", "0", "--train-rows", 4, "--test-rows", 3,
        "--epochs", 1, "--rank", 2, "--max-prompt-tokens", 100, "--max-new-tokens", 5, "--format", "json",
        *datasets.values(),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "mood: 4 training rows, 3 test rows, classification" in done.stderr
    assert json.loads(done.stdout)["cells"] == 12
    done = call("status", "--pack", pack, "--format", "json")
    assert json.loads(done.stdout)["missing"] == 12
    done = call("run", "--pack", pack, "--device", "cpu", "--format", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["scored"] == 12
    assert "training steps: 1 in " in done.stderr
    assert "tokens/s" in done.stderr
    assert "loading base model " in done.stderr
    assert f"next: traitcast matrix ingest --pack {pack}" in done.stderr
    done = call("status", "--pack", pack)
    assert done.stdout.splitlines()[-1].split() == ["missing", "0"]
    done = call("ingest", "--pack", pack, "--warehouse", tmp_path / "w.duckdb", "--format", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["table"] == "scores"
    done = call("export", "--pack", pack, "-o", tmp_path / "scores.csv")
    assert done.stderr.strip() == f"12 cells in {tmp_path / 'scores.csv'}"


def test_the_table_names_the_next_command(datasets: dict[str, str], tmp_path: Path) -> None:
    done = call("plan", "--pack", tmp_path / "m", datasets["mood"])
    assert done.exit_code == 0, done.output
    assert "minutes on one H200" in done.stdout
    assert done.stderr.endswith(f"next: traitcast matrix run --pack {tmp_path / 'm'}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status", "--pack", "nowhere"), "holds no recipe.json; make one: traitcast matrix plan --pack nowhere"),
        (
            ("plan", "--pack", "m", "--seeds", "a", "DATASET"),
            "--seeds 'a' is not a list of whole numbers",
        ),
        (("plan", "--pack", "m", "no-such-file.jsonl"), "no-such-file.jsonl"),
        (("export", "--pack", "nowhere", "-o", "x.csv"), "holds no recipe.json"),
        (("ingest", "--pack", "nowhere"), "holds no recipe.json"),
    ],
)
def test_mistakes_exit_with_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output
