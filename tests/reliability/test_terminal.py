"""Names and labels with control characters, escapes and right-to-left marks: visible on a terminal, exact in data."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import traitcast.cli
from tests.conftest import DEFINITIONS, make_profile
from traitcast.warehouse.database.warehouse import Warehouse

STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\u202egnp.exe\x9b2J\r"


@pytest.fixture
def hostile_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A warehouse whose every free text is hostile. Names cannot be: they are checked on the way in."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    path = tmp_path / "w.duckdb"
    made = make_profile("reviews", (2.0, 0.6, 20.0, 1.0, 1.0), ((HOSTILE, 60), ("bad", 40)))
    texts = {"family": HOSTILE, "language": HOSTILE, "licence": HOSTILE, "parent": HOSTILE, "changed": HOSTILE}
    details = {"split": HOSTILE, "warnings": [HOSTILE], "origin": f"{HOSTILE}/", "catalogue_version": 0}
    with Warehouse.open(path) as warehouse:
        warehouse.sync_catalogue(DEFINITIONS, 1)
        warehouse.save_profile(replace(made, **texts, details=details))  # type: ignore[arg-type]
        warehouse.save_profile(make_profile("topics", (4.0, 0.3, 40.0, 1.0, 1.0), (("a", 30), ("b", 30))))
    return path


def run(*argv: str) -> Result:
    return CliRunner().invoke(traitcast.cli.cli, argv)


COMMANDS = (
    ("datasets",),
    ("show", "reviews"),
    ("show", "reviews", "--family", HOSTILE),
    ("compare", "reviews", "topics"),
    ("compare", "reviews", HOSTILE),
    ("sql", "SELECT * FROM datasets"),
    ("sql", "SELECT * FROM label_counts"),
    ("sql", f'SELECT 1 AS "{HOSTILE.replace(chr(13), "")}"'),
    ("sql", f"SELECT {HOSTILE}"),
    ("sql", f"SELECT error('{HOSTILE}')"),
    ("predict", HOSTILE, "reviews"),
    ("rank", HOSTILE),
    ("rank", "reviews", "--sources", HOSTILE),
    ("explain", "reviews", "topics", "--predictor", HOSTILE),
    ("whatif", "reviews", "topics", "--set", f"{HOSTILE}=1"),
    ("evaluate", "--matrix", HOSTILE),
    ("fit", "--matrix", HOSTILE),
    ("matrix", "status", "--pack", HOSTILE),
    ("profile", HOSTILE),
    (HOSTILE,),
    ("datasets", f"--{HOSTILE}"),
    ("datasets", "--format", HOSTILE),
    ("profile", "x", "--rows", HOSTILE),
)


@pytest.mark.parametrize("argv", COMMANDS, ids=[f"{i} {argv[0][:8]!r}" for i, argv in enumerate(COMMANDS)])
def test_nothing_steers_the_terminal(
    hostile_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(hostile_path))
    result = run(*argv)
    assert isinstance(result.exception, SystemExit | None)
    assert not STEERING.search(result.stdout + result.stderr)
    assert result.stdout or result.stderr


def test_data_on_stdout_is_exact(hostile_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(hostile_path))
    shown = json.loads(run("show", "reviews", "--format", "json").stdout)
    assert (shown["language"], shown["label_counts"][HOSTILE]) == (HOSTILE, 60)
    query = "SELECT label FROM label_counts WHERE n = 60"
    assert json.loads(run("sql", query, "--format", "json").stdout) == [{"label": HOSTILE}]
    assert json.loads(run("sql", query, "--format", "jsonl").stdout) == {"label": HOSTILE}
    written = run("sql", query, "--format", "csv").stdout
    assert list(csv.reader(io.StringIO(written, newline=""))) == [["label"], [HOSTILE]]


def test_profile_of_hostile_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns and classes of a file that is read well: its notes, its table and its warnings."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(tmp_path / "w.duckdb"))
    rows = [{f"text{HOSTILE}": f"my bike {i} is flat", f"label{HOSTILE}": (HOSTILE, "y")[i % 2]} for i in range(12)]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = tmp_path / "spec.yaml"
    roles = {"task_type": "classification", "text_fields": [f"text{HOSTILE}"], "label_field": f"label{HOSTILE}"}
    spec.write_text(json.dumps(roles))
    result = run("profile", str(file), "--spec", str(spec), "--processes", "1")
    assert result.exit_code == 0, result.stderr
    for argv in (("show", "a"), ("datasets",)):
        result_of = run(*argv)
        assert result_of.exit_code == 0
        assert not STEERING.search(result_of.stdout + result_of.stderr)
    assert not STEERING.search(result.stdout + result.stderr)
    assert json.loads(run("show", "a", "--format", "json").stdout)["label_counts"] == {HOSTILE: 6, "y": 6}
