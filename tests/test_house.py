"""The house keeps its order: arrows point down, nothing imports in a circle, and no file grows past 500 lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("predictor", "profiler", "training", "warehouse")
LONGEST = 500
# Files that are being split. Nothing may be added.
TOO_LONG: set[str] = set()


def lint_imports(house: Path) -> subprocess.CompletedProcess[str]:
    """Check the package under `house` against the contracts of its pyproject.toml."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    # A narrow table would cut the names of modules.
    environment = {**os.environ, "PYTHONPATH": str(house), "COLUMNS": "200"}
    return subprocess.run(
        [*command, "--no-cache", "--no-logo"], cwd=house, env=environment, capture_output=True, text=True, check=False
    )


def test_imports_point_down_and_never_in_a_circle() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package that a test may spoil."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "traitcast", tmp_path / "traitcast", symlinks=True)
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("reference", "__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        ("warehouse/names.py", "import traitcast.profiler.cli", "Rooms import only rooms below BROKEN"),
        ("predictor/api.py", "import traitcast.training.cli", "Rooms import only rooms below BROKEN"),
        ("predictor/api.py", "import traitcast.profiler.cli", "never datasets BROKEN"),
        ("profiler/text/scan.py", "import traitcast.profiler.traits.form", "Floors of the profiler BROKEN"),
        ("profiler/text/scan.py", "import traitcast.profiler.text.sketches", "No circular imports BROKEN"),
        ("profiler/added.py", "", "Floors of the profiler BROKEN"),
        ("predictor/api.py", "import duckdb", "SQL lives in the warehouse BROKEN"),
        ("profiler/service.py", "import torch", "Only training needs torch BROKEN"),
    ],
)
def test_an_import_against_the_order_is_found(house: Path, file: str, line: str, reason: str) -> None:
    spoilt = house / file
    before = spoilt.read_text() if spoilt.exists() else ""
    spoilt.write_text(f"{before}\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {line or 'pass'}\n")
    done = lint_imports(house)
    assert done.returncode == 1, done.stderr
    assert reason in done.stdout


def test_no_source_file_is_long() -> None:
    files = {
        str(file.relative_to(ROOT)): file for room in (*ROOMS, "traitcast") for file in (ROOT / room).rglob("*.py")
    }
    assert len(files) > 100
    long = {name for name, file in files.items() if len(file.read_text().splitlines()) > LONGEST}
    assert not long, f"split {sorted(long)}: a file has at most {LONGEST} lines"
