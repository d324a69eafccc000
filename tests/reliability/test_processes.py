"""Several processes on one warehouse, and processes that are killed: the short form of benchmarks/reliability.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from traitcast.warehouse.database.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "reliability.py"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not part of an installed package")


def measured(tmp_path: Path, *argv: str) -> list[dict[str, Any]]:
    environment = {**os.environ, "TRAITCAST_REFERENCE": str(tmp_path / "no_reference")}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *argv], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_killed_commands_leave_all_or_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    found = measured(tmp_path, "kills", "import", "--points", "3")[0]
    assert found["opened"] == found["whole"] == found["same"] == found["runs"] >= found["killed"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["profile", "profile-new", "import-new", "import", "fit"])
def test_killed_at_many_points(tmp_path: Path, operation: str) -> None:
    found = measured(tmp_path, "kills", operation, "--points", "20", "--seed", "9")[0]
    assert found["opened"] == found["whole"] == found["same"] == found["runs"] >= found["killed"] == 20


@pytest.mark.slow
def test_two_writers_and_five_readers(tmp_path: Path) -> None:
    found = measured(tmp_path, "crowd", "--rounds", "4", "--seconds", "4")[0]
    assert (found["lost"], found["double"], found["broken_reads"]) == (0, 0, 0)
    assert (found["profiles"], found["scores"]) == (8, 8)
    assert found["reads"] > 0


@pytest.mark.parametrize("command", ["datasets", "profile"])
def test_a_busy_warehouse_is_waited_for_and_then_reported(warehouse_path: Path, tmp_path: Path, command: str) -> None:
    hold = "import sys, duckdb\nheld = duckdb.connect(sys.argv[1])\nprint('held', flush=True)\nsys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(warehouse_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,y\n")
    argv = [command, *([str(tmp_path / "a.csv")] if command == "profile" else []), "--warehouse", str(warehouse_path)]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "traitcast", *argv],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TRAITCAST_WAIT": "0.5"},
        check=False,
    )
    waited = time.monotonic() - began
    holder.communicate("")
    assert done.returncode == 2
    assert f"is in use by another process (process {holder.pid}); waited 0.5 s" in done.stderr
    assert "TRAITCAST_WAIT=SECONDS" in done.stderr
    assert 0.5 <= waited < 60


def test_what_a_killed_process_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-made file of a process that is gone goes; that of one that lives stays."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = [f".w.duckdb.{gone.pid}.partial", f".w.duckdb.{gone.pid}.partial.wal"]
    kept = [f".w.duckdb.{os.getppid()}.partial", ".w.duckdb.mine.partial", f".other.duckdb.{gone.pid}.partial"]
    for name in (*left, *kept):
        (tmp_path / name).write_bytes(b"x")
    with Warehouse.open(tmp_path / "w.duckdb"):
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "w.duckdb"])
