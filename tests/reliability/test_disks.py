"""A disk that may not be written, a disk that is full: a message, exit code 2, and the warehouse as it was.

The disks are small ones in memory, mounted in a namespace of the test's own, so that nothing is left of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from traitcast.warehouse.database.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
MOUNT = "unshare --map-root-user --mount sh -c"


@pytest.fixture(scope="module", autouse=True)
def _may_mount(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("mount")
    tried = subprocess.run([*MOUNT.split(), f"mount -t tmpfs none {folder}"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no disk can be mounted here (user namespaces are off)")


def on_disk(folder: Path, warehouse: Path, *, size: str, read_only: bool, argv: str) -> tuple[int, str, bool]:
    """(exit code, stderr, whether the warehouse is unchanged) of a command on a small disk that holds `warehouse`."""
    disk = folder / "disk"
    disk.mkdir()
    script = f"""
        mount -t tmpfs -o size={size} none "{disk}" && cp "{warehouse}" "{disk}/w.duckdb" || exit 99
        {f'mount -o remount,ro none "{disk}"' if read_only else ":"} || exit 99
        TRAITCAST_WAREHOUSE="{disk}/w.duckdb" "{sys.executable}" -m traitcast {argv}
        code=$?
        cmp "{warehouse}" "{disk}/w.duckdb" >&2 && echo same >&2
        exit $code
    """
    done = subprocess.run(
        [*MOUNT.split(), script],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode != 99, done.stderr
    return done.returncode, done.stderr, done.stderr.endswith("same\n")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Scores of 3 MB: more than the small disk has left."""
    file = tmp_path / "results.csv"
    rows = [f"m{i % 977},topics{i % 89},t{i},0,accuracy,0.{i:07}\n" for i in range(60_000)]
    base = [f"m{i % 977},,t{i},0,accuracy,0.5\n" for i in range(60_000)]
    file.write_text("model,source,target,seed,metric,score\n" + "".join(rows + base))
    return file


def test_a_disk_that_may_not_be_written(warehouse_path: Path, tmp_path: Path, results: Path) -> None:
    code, said, same = on_disk(tmp_path, warehouse_path, size="16m", read_only=True, argv=f"scores import {results}")
    assert (code, same) == (2, True)
    assert "Error: " in said
    assert "w.duckdb may not be written" in said
    assert "Choose another file with --warehouse FILE" in said
    assert "Traceback" not in said


def test_a_disk_that_may_not_be_written_can_be_read(warehouse_path: Path, tmp_path: Path) -> None:
    code, said, same = on_disk(tmp_path, warehouse_path, size="16m", read_only=True, argv="show reviews")
    assert (code, same) == (0, True), said


def test_a_full_disk(warehouse_path: Path, tmp_path: Path, results: Path) -> None:
    size = warehouse_path.stat().st_size + (300 << 10)
    code, said, _ = on_disk(tmp_path, warehouse_path, size=str(size), read_only=False, argv=f"scores import {results}")
    assert code == 2
    assert "nothing was changed" in said
    assert "Traceback" not in said


def test_a_warehouse_that_does_not_fit(warehouse_path: Path, tmp_path: Path) -> None:
    """No half file is left behind where a new one could not be made."""
    command = f"scores import {tmp_path}/s.csv --warehouse {tmp_path}/disk/new.duckdb"
    argv = f'{command}; echo "$?" >&2; ls -A {tmp_path}/disk >&2'
    (tmp_path / "s.csv").write_text("model,source,target,score\nm,,reviews,0.5\nm,topics,reviews,0.6\n")
    size = warehouse_path.stat().st_size + (16 << 10)
    _, said, same = on_disk(tmp_path, warehouse_path, size=str(size), read_only=False, argv=argv)
    assert same
    assert "disk/new.duckdb could not be written" in said or "cannot create" in said
    assert said.split("\n2\n")[-1].split() == ["w.duckdb", "same"]


def test_the_file_of_a_full_disk_still_opens(warehouse_path: Path, tmp_path: Path, results: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    size = warehouse_path.stat().st_size + (300 << 10)
    argv = f"scores import {results}; cp {tmp_path}/disk/w.duckdb* {tmp_path}/; mv {tmp_path}/w.duckdb {copy}"
    on_disk(tmp_path, warehouse_path, size=str(size), read_only=False, argv=argv)
    with Warehouse.open(copy, read_only=True) as warehouse:
        assert warehouse.dataset_names() == ["maths", "reviews", "topics"]
        assert warehouse.matrices() == []
