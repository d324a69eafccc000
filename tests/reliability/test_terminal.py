"""Names and labels with control characters, escapes and right-to-left marks: visible on a terminal, exact in data."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import traitcast.cli
from tests.conftest import DEFINITIONS, ROOT, make_profile, steering
from traitcast.warehouse.console import quoted
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.layout import as_json, inline, printable

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\u202egnp.exe\x9b2J\r\u061c\u2028\nwarning: everything is verified\u200b"


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
    assert not steering(result.stdout + result.stderr)
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
        assert not steering(result_of.stdout + result_of.stderr)
    assert not steering(result.stdout + result.stderr)
    assert json.loads(run("show", "a", "--format", "json").stdout)["label_counts"] == {HOSTILE: 6, "y": 6}


def test_every_character_that_steers_is_escaped() -> None:
    """Over the whole of Unicode; JSON reads every escape of its own back."""
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    assert steering(every)
    assert not steering(printable(every))
    assert not steering(as_json(every))
    whole = "".join(char for char in every if unicodedata.category(char) != "Cs")  # two halves make another character
    assert json.loads(as_json(whole)) == whole
    kept = "".join(char for char in every if not steering(char) and unicodedata.category(char) != "Cn")
    assert printable(kept) == kept
    assert not set(inline("a\nb\tc")) & set("\n\t")


def test_a_value_cannot_pass_for_a_line_of_ours(hostile_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(hostile_path))
    for argv in COMMANDS:
        if HOSTILE in " ".join(argv):  # of the user's own words
            continue
        result = run(*argv)
        forged = [line for line in result.output.splitlines() if line.startswith("warning: everything")]
        assert not forged, argv


def test_names_of_files_and_columns_forge_no_message(tmp_path: Path) -> None:
    name = "a\nwarning: everything is verified\u202e"
    broken, columns = tmp_path / f"{name}.jsonl", tmp_path / "b.jsonl"
    broken.write_text('{"a": 1}\n{broken\n')
    columns.write_text(f'{{"text": "some text", {json.dumps(name)}: "x"}}\n' * 12)
    for path in (broken, columns):
        result = run("check", str(path))
        assert result.exit_code == 2
        assert "\\nwarning: everything" in result.stderr
        assert not steering(result.output)
        assert not [line for line in result.output.splitlines() if line.startswith("warning: everything")]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("word", ["a\nb'c\\d\u202e\x1b[31m\x9b", "it's", "\udcff\n", "tab\tx"])
def test_a_command_says_every_name_as_a_shell_reads_it(word: str) -> None:
    assert inline(quoted(word)) == quoted(word)
    done = subprocess.run(
        ["bash", "-c", f"printf %s {quoted(word)}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert done.stdout == word.encode("utf-8", "surrogateescape")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_other_file(tmp_path: Path, closed: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "some text", "label": "x"}\n' * 12)
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m traitcast check {tmp_path}/a.jsonl --fail-on never {closed}"],
        check=False, capture_output=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "koi8-r", "utf-8"])
def test_a_terminal_that_lacks_characters(hostile_path: Path, encoding: str) -> None:
    """What an encoding cannot show is the escape that JSON has for it."""
    for output_format in ("table", "json", "csv"):
        query = "SELECT '\u4e2d \U0001f600' AS \"\u0442\u00e9\""
        done = subprocess.run(
            [sys.executable, "-m", "traitcast", "sql", query, "--format", output_format],
            capture_output=True,
            cwd=ROOT,
            env={
                **os.environ,
                "TRAITCAST_WAREHOUSE": str(hostile_path),
                "PYTHONIOENCODING": f"{encoding}:strict",
                "PYTHONUTF8": "0",
            },
            check=False,
        )
        assert done.returncode == 0, done.stderr
        shown = done.stdout.decode(encoding)
        assert ("\u4e2d" if encoding == "utf-8" else "\\u4e2d \\ud83d\\ude00") in shown
        if output_format == "json":
            assert json.loads(shown) == [{"\u0442\u00e9": "\u4e2d \U0001f600"}]
