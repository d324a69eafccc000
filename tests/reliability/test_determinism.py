"""The same input, seed and versions give the same profile bytes.

Whatever the processes, threads, hash seeds, locale and order of files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDS = (
    "the",
    "film",
    "bike",
    "was",
    "not",
    "very",
    "good",
    "because",
    "nobody",
    "in",
    "Paris",
    "wrote",
    "three",
    "long",
    "sentences",
    "about",
    "it",
    "yesterday",
)
EXPORTS = {
    "datasets": "SELECT * EXCLUDE profiled_at FROM datasets WHERE NOT reference",
    **{table: f"SELECT * FROM {table} WHERE dataset = 'mine' ORDER BY ALL" for table in (
        "traits", "label_counts", "length_histograms", "sketches"
    )},
}  # fmt: skip


def sentence(i: int, j: int) -> str:
    return (
        " ".join(WORDS[(i * 7 + j * 3 + k * (1 + i % 5)) % len(WORDS)] for k in range(6 + (i + j) % 9)).capitalize()
        + "."
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts enough for several batches, so that two processes have something to share."""
    folder = tmp_path_factory.mktemp("determinism")
    write(folder, range(3))
    return folder


def write(folder: Path, order: Sequence[int]) -> None:
    """Three files of rows, made in this order, in which a file system may list them."""
    for number in order:
        places = range(20 * number, 20 * number + 20)
        rows = [
            {"text": " ".join(sentence(i, j) for j in range(20)), "label": f"cla\u0131ss {i % 7}", "id": i}
            for i in places
        ]
        (folder / f"train-{number}.jsonl").unlink(missing_ok=True)
        (folder / f"train-{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def exported(
    data: Path, folder: Path, *, processes: int, threads: int, hash_seed: int, locale: str
) -> dict[str, bytes]:
    """Profile in a fresh process; its tables as Parquet and JSON."""
    folder.mkdir()
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(hash_seed),
        "OMP_NUM_THREADS": str(threads),
        "LC_ALL": locale,
        "PYTHONUTF8": "0",
        "TRAITCAST_WAREHOUSE": str(folder / "w.duckdb"),
        "TRAITCAST_REFERENCE": str(folder / "no_reference"),
        "PYTHONPATH": str(ROOT),
    }

    def traitcast(*argv: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", "traitcast", *argv], capture_output=True, cwd=folder, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    traitcast("profile", str(data), "--name", "mine", "--processes", str(processes), "--rows", "50", "--seed", "3")
    found = {"show": traitcast("show", "mine", "--format", "json")}
    for table, query in EXPORTS.items():
        traitcast("sql", query, "--output", f"{table}.parquet")
        found[table] = (folder / f"{table}.parquet").read_bytes()
    return found


@pytest.mark.slow
def test_profiles_are_the_same_bytes(data: Path, tmp_path: Path) -> None:
    first = exported(data, tmp_path / "first", processes=1, threads=1, hash_seed=0, locale="C.UTF-8")
    write(data, (2, 0, 1))
    again = exported(data, tmp_path / "again", processes=2, threads=2, hash_seed=4711, locale="tr_TR.ISO-8859-9")
    assert json.loads(first["show"])["traits"]
    assert {name for name, content in first.items() if content != again[name]} == set()
