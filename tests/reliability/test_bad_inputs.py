"""Every bad input of the corpus through the command line: one message, no traceback, nothing changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import steering

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Of kinds whose every case takes a while, or that the reader's own tests hold too.
_SLOW = ("bombs", "known", "places", "rows", "archives", "binary")
_QUICK = ("encodings", "specs", "results", "command_lines", "packs")


def outcomes(folder: Path, warehouse: Path, kinds: Sequence[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(HERE / "bad_inputs.py"), str(folder), str(warehouse), *kinds],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def wrong(found: dict[str, Any]) -> list[str]:
    """What an outcome lacks of: the exit code, one message, and nothing else."""
    said = found["stdout"] + found["stderr"]
    refused = found["wanted"] == 2
    errors = [line for line in found["stderr"].splitlines() if line.startswith("Error: ")]
    checks = {
        f"exit {found['exit']}": found["exit"] == found["wanted"],
        f"raised {found['exception']}": found["exception"] is None,
        "a traceback": "Traceback" not in said,
        "raw control characters": not steering(said),
        "no message, or several": len(errors) == (1 if refused else 0),
        "a message of pages": len(found["stderr"]) < 2000,
        "something on stdout": not (refused and found["stdout"]),
        "a changed warehouse": not (refused and found["changed"]),
    }
    return [what for what, fine in checks.items() if not fine]


def check(found: list[dict[str, Any]]) -> None:
    failures = {case["case"]: (wrong(case), case["stderr"][-300:]) for case in found if wrong(case)}
    assert not failures


def test_bad_words_specs_and_scores(warehouse_path: Path, tmp_path: Path) -> None:
    found = outcomes(tmp_path, warehouse_path, _QUICK)
    check(found)
    assert len(found) > 120


@pytest.mark.slow
def test_bad_files(warehouse_path: Path, tmp_path: Path) -> None:
    found = outcomes(tmp_path, warehouse_path, _SLOW)
    check(found)
    assert len(found) > 140


REAL = (
    ("profile", "{}/gone.jsonl"),
    ("profile", "{}/caf\udce9.jsonl"),
    ("sql", "SELECT '\udcff'"),
    ("show", "\x1b[31mred"),
)


@pytest.mark.parametrize("argv", REAL, ids=[argv[0] + str(i) for i, argv in enumerate(REAL)])
def test_in_a_process_of_its_own(warehouse_path: Path, tmp_path: Path, argv: tuple[str, ...]) -> None:
    """Bytes that are no UTF-8 come as a shell passes them on, and the encoding of the terminal is the strictest."""
    before = warehouse_path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "traitcast", *(os.fsencode(word.replace("{}", str(tmp_path))) for word in argv)],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "TRAITCAST_WAREHOUSE": str(warehouse_path), "PYTHONIOENCODING": "ascii:backslashreplace"},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"Error: ")
    assert b"Traceback" not in done.stderr
    assert not steering(done.stderr.decode("ascii"))
    assert done.stdout == b""
    assert warehouse_path.read_bytes() == before
