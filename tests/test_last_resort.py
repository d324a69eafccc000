"""An error that nobody foresaw: one line, a file, exit code 70; the traceback on request."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from traitcast.last_resort import last_resort


def test_one_line_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRAITCAST_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as ended, last_resort():
        raise KeyError("\x1b[31m\nan odd\u202e name")
    assert ended.value.code == 70
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    found = re.fullmatch(
        r"Error: traitcast failed, which it should not \(KeyError: .*\); details are in (\S+), .*\n", said
    )
    assert found
    assert "\x1b" not in said
    details = Path(found[1])
    assert details.parent == tmp_path
    assert details.stat().st_mode & 0o777 == 0o600
    assert "Traceback" in details.read_text()


def test_without_a_place_for_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRAITCAST_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(SystemExit), last_resort():
        raise MemoryError
    assert "TRAITCAST_DEBUG=1 shows details" in capsys.readouterr().err


def test_on_request_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_DEBUG", "1")
    with pytest.raises(KeyError), last_resort():
        raise KeyError("x")


STOP = """
import atexit, time
from traitcast.last_resort import last_resort
atexit.register(time.sleep, 60)
with last_resort():
    print("told")
    raise {}
"""


@pytest.mark.parametrize(("raised", "said"), [("KeyboardInterrupt", "Stopped.\n"), ("SystemExit(130)", "")])
def test_a_stop_is_one_line_and_waits_for_nothing(raised: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOP.format(raised)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=50
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "told\n", said)
