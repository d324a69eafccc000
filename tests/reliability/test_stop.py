"""Ctrl-C inside a long query and a long parse: once is enough, it takes no two seconds, and twice is no traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.conftest import ROOT
from traitcast.cli import cli
from traitcast.start import _Interrupt
from traitcast.warehouse.console import interrupts

QUERY = "SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range * b.range % 7 = 3"
# The moment is when the process has used so much time: a busy machine starts late.
LOADED_S = {"sql": 1.5, "profile": 5.0}
# Before that Python itself loads.
STARTED_S = 0.12


def used(pid: int) -> float:
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(argv: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "traitcast", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        env={**os.environ, "TRAITCAST_REFERENCE": str(folder / "no_reference"), "OMP_NUM_THREADS": "1"},
    )


def wait_for(process: subprocess.Popen[str], seconds: float) -> None:
    while used(process.pid) < seconds:
        assert process.poll() is None
        time.sleep(0.005)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize(("command", "times"), [("sql", 1), ("sql", 3), ("profile", 3)])
def test_it_ends_at_once(tmp_path: Path, command: str, times: int) -> None:
    rows = [
        {"text": f"the {' '.join(f'word{(i * k) % 997}' for k in range(150))}.", "label": "xy"[i % 2]}
        for i in range(3000)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    argv = {"sql": ["sql", QUERY], "profile": ["profile", str(tmp_path / "a.jsonl"), "--processes", "1"]}[command]
    process = started([*argv, "--warehouse", str(tmp_path / "w.duckdb")], tmp_path)
    wait_for(process, LOADED_S[command])
    began = time.monotonic()
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    stdout, stderr = process.communicate(timeout=60)
    # Two seconds on an idle machine (docs/explanation/reliability.md); not interrupted it runs for minutes.
    assert time.monotonic() - began < 30
    assert process.returncode == 130
    assert "Stopped." in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".part", ".partial")] == []


@needs_proc
@pytest.mark.parametrize("times", [1, 2])
def test_it_ends_while_modules_load(tmp_path: Path, times: int) -> None:
    """DuckDB ended the process with SIGABRT when it was interrupted half loaded."""
    for late in (0.0, 0.08, 0.16, 0.24):
        process = started(["sql", QUERY, "--warehouse", str(tmp_path / "w.duckdb")], tmp_path)
        wait_for(process, STARTED_S + late)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=60)[1]
        assert (process.returncode, "Stopped." in stderr, "Traceback" in stderr) == (130, True, False), (late, stderr)


def test_what_a_library_makes_of_it_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(handler: object) -> None:
        monkeypatch.setattr(signal, "getsignal", lambda _: handler)
        with interrupts():
            raise RuntimeError("Query interrupted")

    interrupt = _Interrupt()
    with pytest.raises(RuntimeError, match="Query interrupted"):
        failing(interrupt)
    with pytest.raises(KeyboardInterrupt):
        interrupt(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        failing(interrupt)


def test_an_interrupt_inside_click_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.Group, "invoke", interrupted)
    result = CliRunner().invoke(cli, ["sql", "SELECT 1"])
    assert (result.exit_code, result.stderr) == (130, "Stopped.\n"), "click says Aborted! and ends with 1"
