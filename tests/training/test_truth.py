"""`make truth` on three small datasets: it starts, continues what another machine began, and packs what is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.training.results import shards
from traitcast.warehouse.database.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "matrix" / "truth.sh"
Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def start(datasets: dict[str, str], base_folder: Path, tmp_path: Path) -> Start:
    """start(folder, *arguments, **variables): the script with a pack of its own, on the small datasets."""
    (tmp_path / "data").mkdir()
    for name, folder in datasets.items():
        shutil.copytree(folder, tmp_path / "data" / name)

    def run(folder: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "BIN": str(Path(sys.executable).parent),
            "PACK": str(tmp_path / folder / "m"),
            "DATA": str(tmp_path / "data"),
            "BASE": str(base_folder),
            "TARGETS": ",".join(datasets),
            "CELLS": str(tmp_path / "cells.parquet"),
            "MEASURED": str(tmp_path / "none"),
            "TRAITCAST_WAREHOUSE": str(tmp_path / "w.duckdb"),
            **variables,
        }
        return subprocess.run(
            ["sh", str(SCRIPT), *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.slow
def test_the_ground_truth_starts_stops_and_continues_elsewhere(start: Start, tmp_path: Path) -> None:
    done = start("here")
    assert done.returncode == 0, done.stderr
    cells = list(shards.cells_of(tmp_path / "cells.parquet"))
    assert len(cells) == (3 * 2 + 1) * 3
    assert all(cell.outputs is None for cell in cells), "texts do not travel"
    with Warehouse.open(tmp_path / "w.duckdb", read_only=True) as warehouse:
        assert len(warehouse.cells("smollm2_84").sources) == 18
    # Seed 0 of every source comes before any second seed.
    log = (tmp_path / "here" / "m" / "run1.log").read_text()
    assert "group 1 of 1: 3 adapters done" in log
    written = (tmp_path / "cells.parquet").read_bytes()
    # Half of the cells, found on another machine: the rest is measured, and the cells are the same.
    shards.write_file(tmp_path / "cells.parquet", [cell for cell in cells if cell.seed < 1])
    shutil.rmtree(tmp_path / "here")
    there = start("there")
    assert there.returncode == 0, there.stderr
    assert ": 12 new cells" in (tmp_path / "there" / "m" / "run1.log").read_text()
    assert (tmp_path / "cells.parquet").read_bytes() == written
    packed = start("there", "pack")
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout.splitlines()[-1].split() == ["missing", "0"]


def test_a_second_start_in_one_pack_is_refused(start: Start, tmp_path: Path) -> None:
    pack = tmp_path / "here" / "m"
    pack.mkdir(parents=True)
    (pack / "truth.pid").write_text(str(os.getpid()))
    refused = start("here")
    assert refused.returncode == 2
    assert (
        f"process {os.getpid()} measures into {pack} already; to pack what is there: make truth-pack" in refused.stderr
    )
